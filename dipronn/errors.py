"""The one error hierarchy. A message names the thing, the place and the remedy."""

from __future__ import annotations


class DipronnError(Exception):
    """Base of every error that DiProNN raises on purpose."""

    path = ""
    """The field of the session's message that it is about, ``inputs[0].to``; empty if it is about none."""


class InvalidSession(DipronnError):
    """A session that cannot be what its text says; carries the located diagnostics in its message."""


class InvalidProgram(InvalidSession):
    """A Phonepl program of a session that does not compile; the message is the compiler's."""


class NotFound(DipronnError):
    """A name that the node does not know."""


class AlreadyExists(DipronnError):
    """A name that is taken."""


class InUse(DipronnError):
    """Something that cannot be removed because something else needs it."""


class InsufficientResources(DipronnError):
    """Admission refused; the message shows the arithmetic."""


class PermissionRefused(DipronnError):
    """The caller may not do that."""


class Unavailable(DipronnError):
    """A part of the node, or of the host, that is needed now and is not there."""


class TimedOut(DipronnError):
    """Something awaited did not happen within its deadline; the message names what is missing."""

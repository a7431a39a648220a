"""Refusals that belong to a statement of the session: they are told with its line."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field

from controller.program import Diagnostic, Place, Severity
from dipronn.errors import DipronnError


@contextmanager
def at(path: str) -> Iterator[None]:
    """A DipronnError from the body is about this field of the program, unless it says another."""
    try:
        yield
    except DipronnError as error:
        error.path = error.path or path
        raise


@dataclass(frozen=True)
class Source:
    """What a session was read from; ``text`` is empty when it came as a message."""

    file_name: str = "session"
    text: str = ""
    places: Mapping[str, Place] = field(default_factory=dict)

    def located(self, error: DipronnError) -> DipronnError:
        """The same error with the line that it is about, as a diagnostic."""
        if not error.path:
            return error
        path = error.path
        while path and path not in self.places:
            path = path.rpartition(".")[0]
        place = self.places.get(path)
        message, _, rest = str(error).partition("\n")
        rendered = Diagnostic(Severity.ERROR, message, error.path, place).render(self.file_name, self.text)
        text = "\n".join([rendered, *([rest] if rest else [])])
        kind = next(kind for kind in type(error).__mro__ if kind.__module__ == DipronnError.__module__)
        assert issubclass(kind, DipronnError)
        return kind(text)

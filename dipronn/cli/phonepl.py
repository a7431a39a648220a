"""`dipronn phonepl …`: the packet language's own command line, mounted."""

from phonepl.command import app

__all__ = ["app"]

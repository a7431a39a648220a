"""State that the instances of a session share: small, versioned, on disk before it is answered."""

from controller.sharing.sessions import SharedStates
from controller.sharing.state import Answer, SessionState

__all__ = ["Answer", "SessionState", "SharedStates"]

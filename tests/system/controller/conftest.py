"""The whole node of the node's own tests, for what the command line says about it."""

from tests.system.node.conftest import hello, node

__all__ = ["hello", "node"]

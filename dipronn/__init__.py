"""What users of a node import: ``dipronn.connect()`` and, without asyncio, ``dipronn.connect_sync()``."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from dipronn.client import Node, SyncNode, connect, connect_sync

__all__ = ["Node", "SyncNode", "connect", "connect_sync"]


def __getattr__(name: str) -> Any:
    # Loaded when asked for: every part of the node imports this package for the API, and needs no client.
    if name in __all__:
        from dipronn import client

        return getattr(client, name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")

"""The client: ``async with dipronn.connect(ADDRESS) as node: …``, or the same without asyncio."""

from dipronn.client.node import DEFAULT_ADDRESS, Node, Unreachable, connect
from dipronn.client.sync import SyncNode, connect_sync

__all__ = ["DEFAULT_ADDRESS", "Node", "SyncNode", "Unreachable", "connect", "connect_sync"]

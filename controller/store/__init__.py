"""Desired state, stored before the world is touched."""

from controller.store.sqlite import Store, StoredUnit

__all__ = ["Store", "StoredUnit"]

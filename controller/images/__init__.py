"""Images that users pushed: kept by content, counted by owner, judged before they count as there."""

from controller.images.index import ImageRecord, Kind
from controller.images.store import ImageLimits, ImageStore, Upload

__all__ = ["ImageLimits", "ImageRecord", "ImageStore", "Kind", "Upload"]

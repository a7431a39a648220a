"""Whether a file is what its owner said."""

from __future__ import annotations

from pathlib import Path

from controller.images.index import ImageRecord, Kind
from dipronn.errors import InvalidSession
from dipronn.images.bundle import read_bundle
from dipronn.images.disk import verify_qcow2, verify_raw
from dipronn.images.kernel import verify_kernel


def judge(record: ImageRecord, path: Path, max_virtual: int) -> None:
    """Raises InvalidSession with what is wrong. Reads the file, and a bundle into memory."""
    try:
        match record.kind:
            case Kind.BUNDLE:
                read_bundle(path)
            case Kind.KERNEL:
                verify_kernel(path)
            case Kind.RAW:
                verify_raw(path, max_virtual)
            case Kind.QCOW2:
                verify_qcow2(path, max_virtual)
    except InvalidSession as error:
        # The file has a name of ours, which tells its owner nothing.
        raise InvalidSession(str(error).replace(path.name, record.name)) from error

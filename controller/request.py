"""An Establish request → the program and its bundles, checked; or every diagnostic of what is wrong."""

from __future__ import annotations

import hashlib
import io
import tarfile
from collections.abc import Callable
from dataclasses import dataclass

from controller.program import Parsed, Severity, check, check_text, fill_in, render_all, unsupported
from dipronn.errors import InvalidSession, NotFound
from dipronn.v1 import session_pb2 as pb

DEFAULT_REGISTRATION_SECONDS = 30.0
_LONGEST_REGISTRATION = 3600.0


def _nothing_pushed(owner: str, name: str) -> bytes:
    raise NotFound(f"no image `{name}`")


@dataclass(frozen=True)
class Request:
    """``bundles``: by SHA-256 those that were sent along; ``bundle_hashes``: every one's by its name."""

    program: pb.Program
    bundle_hashes: dict[str, bytes]
    bundles: dict[bytes, bytes]
    registration_seconds: float


def read(request: pb.EstablishRequest, pushed: Callable[[str, str], bytes] = _nothing_pushed) -> Request:
    """Pure but for ``pushed``, and slow for long texts.  Raises InvalidSession.

    ``pushed``: the SHA-256 of the image that an owner calls so; raises NotFound.
    """
    text, file_name = "", request.file_name or "session"
    if request.WhichOneof("form") == "text":
        text = request.text
        parsed = check_text(text)
    elif request.WhichOneof("form") == "program":
        parsed = Parsed(request.program)
        fill_in(parsed.program)
        parsed.diagnostics += check(request.program)
    else:
        raise InvalidSession("the request has neither a program nor a text")
    if not any(one.severity is Severity.ERROR for one in parsed.diagnostics):
        parsed.diagnostics += unsupported(parsed.program, parsed.places)
    if parsed.diagnostics:  # a warning of check is a refusal here: nobody is asked whether it was meant
        raise InvalidSession(render_all(parsed.diagnostics, file_name, text))
    hashes, bundles = _bundles(parsed.program, dict(request.bundles), pushed)
    return Request(parsed.program, hashes, bundles, _seconds(request))


def _bundles(
    program: pb.Program, sent: dict[str, bytes], pushed: Callable[[str, str], bytes]
) -> tuple[dict[str, bytes], dict[bytes, bytes]]:
    wanted = {one.bundle: one.name for one in program.programs}
    hashes: dict[str, bytes] = {}
    for bundle, name in wanted.items():
        if bundle in sent:
            _require_run(name, bundle, sent[bundle])
            hashes[bundle] = hashlib.sha256(sent[bundle]).digest()
            continue
        try:
            hashes[bundle] = pushed(program.owner, bundle)
        except NotFound as error:
            raise InvalidSession(
                f"program `{name}`: its bundle `{bundle}` was not sent along, and there is {error}"
            ) from error
    for bundle in sent.keys() - wanted.keys():
        raise InvalidSession(f"the bundle `{bundle}` was sent along, but no program names it")
    return hashes, {hashes[bundle]: data for bundle, data in sent.items()}


def _require_run(name: str, bundle: str, data: bytes) -> None:
    """The unit reads the bundle with more care; this is to refuse the commonest slip at once."""
    try:
        with tarfile.open(fileobj=io.BytesIO(data), mode="r:") as tar:
            for member in tar:
                if member.name.removeprefix("./").lstrip("/") == "run":
                    return
    except (tarfile.TarError, ValueError, OverflowError) as error:
        raise InvalidSession(
            f"program `{name}`: its bundle `{bundle}` is no plain tar file ({error}); make it by `tar -cf`"
        ) from error
    raise InvalidSession(f"program `{name}`: its bundle `{bundle}` has no file `run` at its top")


def _seconds(request: pb.EstablishRequest) -> float:
    if not request.HasField("registration_timeout"):
        return DEFAULT_REGISTRATION_SECONDS
    seconds = request.registration_timeout.seconds + request.registration_timeout.nanos / 1e9
    if not 0 < seconds <= _LONGEST_REGISTRATION:
        raise InvalidSession(f"the registration time-out must be in (0, {_LONGEST_REGISTRATION:g}] s")
    return seconds

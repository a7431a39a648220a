"""An Establish request → the program and its bundles, checked; or every diagnostic of what is wrong."""

from __future__ import annotations

import hashlib
import io
import tarfile
from collections.abc import Callable
from dataclasses import dataclass, field

from controller.located import Source, at
from controller.offers import Standing
from controller.placement.counting import with_counts
from controller.program import Parsed, check, check_text, fill_in, render_all, unsupported
from controller.record import MachineImage
from dipronn.errors import DipronnError, InvalidSession, NotFound
from dipronn.v1 import session_pb2 as pb

DEFAULT_REGISTRATION_SECONDS = 30.0
DEFAULT_VALIDITY_SECONDS = 30.0
LONGEST_VALIDITY_SECONDS = 600.0
_LONGEST_REGISTRATION = 3600.0
_SECTOR = 512


def _nothing_pushed(owner: str, name: str) -> bytes:
    raise NotFound(f"no image `{name}`")


def _no_machines(owner: str, name: str) -> tuple[MachineImage, int]:
    raise NotFound(f"no image `{name}`")


@dataclass(frozen=True)
class Request:
    """``bundles``: by SHA-256 those that were sent along; ``bundle_hashes``: every one's by its name.
    ``images``: of whole machines, by their names.

    ``user``: whose limits it counts against.  ``offer``: an offer that is to be taken.
    """

    program: pb.Program
    bundle_hashes: dict[str, bytes]
    bundles: dict[bytes, bytes]
    registration_seconds: float
    user: str = ""
    source: Source = field(default_factory=Source)
    offer: Standing | None = None
    images: dict[str, MachineImage] = field(default_factory=dict)


def read(
    request: pb.EstablishRequest,
    pushed: Callable[[str, str], bytes] = _nothing_pushed,
    user: str | None = None,
    offer: Standing | None = None,
    machines: Callable[[str, str], tuple[MachineImage, int]] = _no_machines,
) -> Request:
    """Pure but for ``pushed`` and ``machines``, and slow for long texts.  Raises InvalidSession.

    ``pushed``: the SHA-256 of the bundle that an owner calls so; else NotFound.  ``machines``: what a whole
    machine boots, and the bytes of its disk as the guest sees it.  ``user``: None: operator.
    """
    if offer and request.WhichOneof("form") is None:
        program, source = offer.asked, Source()
    else:
        program, source = _read_form(request)
    if offer:
        if program != offer.asked:
            raise InvalidSession(f"the offer `{offer.id}` was made for another session `{offer.asked.name}`")
        program = offer.proposal.record.program
    _require_supported(program, source)
    try:
        hashes, bundles = _bundles(program, dict(request.bundles), pushed)
        images = _images(program, machines)
    except DipronnError as error:
        raise source.located(error) from error
    who = program.owner if user is None else user
    return Request(program, hashes, bundles, _seconds(request), who, source, offer, images)


def read_negotiation(request: pb.NegotiateRequest, user: str | None = None) -> Request:
    """As ``read``; numbers of instances may be left to the node, and bundles come later."""
    program, source = _read_form(request)
    fixed = with_counts(program, {one.name: one.min_instances for one in program.programs})
    _require_supported(fixed, source)
    return Request(program, {}, {}, 0.0, program.owner if user is None else user, source)


def validity(request: pb.NegotiateRequest) -> float:
    """For how many seconds an offer shall stand.  Raises InvalidSession."""
    seconds = (
        request.valid_for.ToNanoseconds() / 1e9 if request.HasField("valid_for") else DEFAULT_VALIDITY_SECONDS
    )
    if not 0 < seconds <= LONGEST_VALIDITY_SECONDS:
        raise InvalidSession(f"an offer is valid for (0, {LONGEST_VALIDITY_SECONDS:g}] s, not {seconds:g} s")
    return seconds


def _read_form(request: pb.EstablishRequest | pb.NegotiateRequest) -> tuple[pb.Program, Source]:
    text, file_name = "", request.file_name or "session"
    if request.WhichOneof("form") == "text":
        text = request.text
        parsed = check_text(text)
    elif request.WhichOneof("form") == "program":
        parsed = Parsed(request.program)
        fill_in(parsed.program)
        parsed.diagnostics += check(parsed.program)
    else:
        raise InvalidSession("the request has neither a program nor a text")
    if parsed.diagnostics:  # a warning of check is a refusal here: nobody is asked whether it was meant
        raise InvalidSession(render_all(parsed.diagnostics, file_name, text))
    return parsed.program, Source(file_name, text, parsed.places)


def _require_supported(program: pb.Program, source: Source) -> None:
    if diagnostics := unsupported(program, source.places):
        raise InvalidSession(render_all(diagnostics, source.file_name, source.text))


def _bundles(
    program: pb.Program, sent: dict[str, bytes], pushed: Callable[[str, str], bytes]
) -> tuple[dict[str, bytes], dict[bytes, bytes]]:
    wanted = {one.bundle: index for index, one in enumerate(program.programs) if one.bundle}
    sources = {one.phonepl: index for index, one in enumerate(program.programs) if one.phonepl}
    hashes: dict[str, bytes] = {}
    for bundle, index in wanted.items():
        name = program.programs[index].name
        with at(f"programs[{index}].code"):
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
    for file, index in sources.items():
        with at(f"programs[{index}].code"):
            if file in wanted:
                raise InvalidSession(f"`{file}` is named both as a bundle and as a Phonepl program")
            if file not in sent:
                name = program.programs[index].name
                raise InvalidSession(f"program `{name}`: its source `{file}` was not sent along")
            hashes[file] = hashlib.sha256(sent[file]).digest()
    for bundle in sent.keys() - wanted.keys() - sources.keys():
        raise InvalidSession(f"the bundle `{bundle}` was sent along, but no program names it")
    return hashes, {hashes[bundle]: data for bundle, data in sent.items()}


def _images(
    program: pb.Program, machines: Callable[[str, str], tuple[MachineImage, int]]
) -> dict[str, MachineImage]:
    images: dict[str, MachineImage] = {}
    for index, vm in enumerate(program.vms):
        with at(f"vms[{index}]"):
            try:
                images[vm.name], disk = machines(program.owner, vm.image)
            except NotFound as error:
                raise InvalidSession(f"vm `{vm.name}`: {error}") from error
            stated = vm.needs.storage_bytes
            if stated < disk or stated % _SECTOR:
                raise InvalidSession(
                    f"vm `{vm.name}`: its disk has {disk} bytes, all for writing, but it states {stated} "
                    f"as storage; write `storage {-(-disk // (1 << 20))}MiB` or more"
                )
    return images


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

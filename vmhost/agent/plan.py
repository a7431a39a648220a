"""The planner: what must be done so that a unit has what it is ordered to have. Data in, steps out.

``plan(desired, observed)`` compares two states of one slice. Steps are data; every step has an undo, and
doing a step that is done already changes nothing, so a plan may be repeated after a crash.

The order of steps: machines and sequencers that are replaced go first, with the rows that name their devices;
sequencers are started, taps are opened
with XDP on them (a tap without a link row drops everything), units and links inserted; machines start; then
endpoints, slots, channels, forks; then peers, flows and bindings, which flips traffic to the new rows. What
is no longer wanted goes in the opposite order.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace

from controller.steering.model import BindingKey, Endpoint, LinkKey, Peer, PutKey, Tables
from vmhost.agent.kernel import KernelProgram
from vmhost.order.rules import Sequencer
from vmhost.vm.spec import VmSpec

GROUND = ("unit", "limit", "link")
"""Tables that machines need before they start."""
ENDS = ("endpoint", "slot")
PATHS = ("channel", "fork", "artp")
ENTRANCES = ("peer", "flow", "binding")
"""Tables whose rows let packets in: the last to be inserted, the first to be deleted."""
TABLES = (*GROUND, *ENDS, *PATHS, *ENTRANCES)
"""All tables, in the order in which rows are inserted; they are deleted in the opposite one."""


@dataclass(frozen=True)
class Machine:
    """A VM of one session behind its tap.

    ``bundles``: SHA-256 of each program's bundle, in order. ``image``: that of what a whole machine boots,
    and its bytes. ``names``: ``program/port`` that it may register.

    ``name`` is the session's name for it, ``spec.name`` is unique in the unit. One that died by itself is
    observed with ``running`` false: it differs from what is desired, so a plan replaces it.
    """

    session: int
    name: str
    device: str
    host_mac: str
    spec: VmSpec
    bundles: tuple[bytes, ...] = ()
    names: tuple[str, ...] = ()
    running: bool = True
    image: tuple[bytes, int] | None = None

    @property
    def contents(self) -> tuple[bytes, ...]:
        """SHA-256 of all that it is made of."""
        return self.bundles if self.image is None else (*self.bundles, self.image[0])


@dataclass
class SliceState:
    """What a unit has, or is to have, for one session.

    ``attached``: devices with the steering program on them. ``serving``: machines whose taps have a name
    server. Machines go by ``spec.name``. ``sequencer``: puts outputs in order, behind a device of its own.
    """

    machines: dict[str, Machine] = field(default_factory=dict)
    attached: set[str] = field(default_factory=set)
    serving: set[str] = field(default_factory=set)
    rows: Tables = field(default_factory=Tables)
    sequencer: Sequencer | None = None
    programs: dict[int, KernelProgram] = field(default_factory=dict)


@dataclass(frozen=True)
class FetchBundles:
    """Have all that a machine is made of in the cache. Nothing to undo: the cache bounds itself."""

    machine: Machine

    def undo(self) -> None:
        return None


@dataclass(frozen=True)
class OpenTap:
    """Make a machine's tap, with the steering program on it."""

    machine: Machine

    def undo(self) -> CloseTap:
        return CloseTap(self.machine)


@dataclass(frozen=True)
class CloseTap:
    """Let go of a tap. One that a machine holds goes with the machine."""

    machine: Machine

    def undo(self) -> OpenTap:
        return OpenTap(self.machine)


@dataclass(frozen=True)
class Attach:
    """Put the steering program on a device."""

    device: str

    def undo(self) -> Detach:
        return Detach(self.device)


@dataclass(frozen=True)
class Detach:
    device: str

    def undo(self) -> Attach:
        return Attach(self.device)


@dataclass(frozen=True)
class ServeNames:
    """Serve the name protocol, DHCP and router solicitations on a machine's tap."""

    machine: Machine

    def undo(self) -> EndNames:
        return EndNames(self.machine)


@dataclass(frozen=True)
class EndNames:
    machine: Machine

    def undo(self) -> ServeNames:
        return ServeNames(self.machine)


@dataclass(frozen=True)
class StartVm:
    """Start a machine behind its tap, which is opened if that was not done before."""

    machine: Machine

    def undo(self) -> StopVm:
        return StopVm(self.machine)


@dataclass(frozen=True)
class StopVm:
    """End a machine and its tap. The undo starts it afresh: its programs register again."""

    machine: Machine

    def undo(self) -> StartVm:
        return StartVm(self.machine)


@dataclass(frozen=True)
class StartSequencer:
    """Start a sequencer behind its device, with the steering program on that."""

    sequencer: Sequencer

    def undo(self) -> StopSequencer:
        return StopSequencer(self.sequencer)


@dataclass(frozen=True)
class StopSequencer:
    """End a sequencer and its device. What it holds is lost, what comes later starts anew."""

    sequencer: Sequencer

    def undo(self) -> StartSequencer:
        return StartSequencer(self.sequencer)


@dataclass(frozen=True)
class InstallProgram:
    """Compile a kernel program and put it to work; no row leads to it yet."""

    program: KernelProgram

    def undo(self) -> RemoveProgram:
        return RemoveProgram(self.program)


@dataclass(frozen=True)
class RemoveProgram:
    """Remove a kernel program to which no row leads. The undo compiles it again: its arrays are empty."""

    program: KernelProgram

    def undo(self) -> InstallProgram:
        return InstallProgram(self.program)


@dataclass(frozen=True)
class Drain:
    """Wait until no packet is on its way by rows that are no more."""

    def undo(self) -> None:
        return None


@dataclass(frozen=True)
class RowChange:
    """``before`` and ``after`` are the row's value; None: no row."""

    key: object
    before: object | None
    after: object | None


@dataclass(frozen=True)
class ChangeRows:
    """Change rows of one table, all of them or, undone, none."""

    table: str
    changes: tuple[RowChange, ...]

    def undo(self) -> ChangeRows:
        back = tuple(RowChange(each.key, each.after, each.before) for each in reversed(self.changes))
        return ChangeRows(self.table, back)


Step = (
    FetchBundles
    | OpenTap
    | CloseTap
    | Attach
    | Detach
    | ServeNames
    | EndNames
    | StartVm
    | StopVm
    | StartSequencer
    | StopSequencer
    | InstallProgram
    | RemoveProgram
    | Drain
    | ChangeRows
)


def plan(desired: SliceState, observed: SliceState) -> list[Step]:
    """The steps from ``observed`` to ``desired``; none if they are the same."""
    starting = _differing(desired.machines, observed.machines)
    stopping = _differing(observed.machines, desired.machines)
    fresh_taps = {machine.device for machine in starting}
    taken = fresh_taps | {machine.spec.name for machine in starting}
    replaced = [machine for machine in stopping if {machine.device, machine.spec.name} & taken]
    moving = desired.sequencer != observed.sequencer
    begun = [desired.sequencer] if moving and desired.sequencer else []
    ended_sequencer = [observed.sequencer] if moving and observed.sequencer else []
    fresh = {one.device for one in begun}
    going = [machine for machine in stopping if machine not in replaced]
    # A tap that is opened again is another interface: rows that name it must be written anew.
    outdated = rows_naming(observed.rows, fresh_taps | fresh | {machine.device for machine in replaced})
    before = _without(observed.rows, outdated)

    steps: list[Step] = [FetchBundles(machine) for machine in starting]
    # First what takes longest and may be refused: nothing else has been touched then.
    begun_programs = [one for number, one in desired.programs.items() if number not in observed.programs]
    steps += [InstallProgram(one) for one in begun_programs]
    steps += deletions(outdated)
    for machine in replaced:
        steps += _end(machine, observed)
    if begun:
        steps += [StopSequencer(one) for one in ended_sequencer]
    steps += [StartSequencer(one) for one in begun]
    steps += [OpenTap(machine) for machine in starting]
    steps += _put(GROUND, desired.rows, before)
    # Own links get their rows first and so lose nothing; adopted taps get the program's newest version.
    steps += [Attach(device) for device in sorted(desired.attached - observed.attached - fresh_taps - fresh)]
    ended = {machine.spec.name for machine in replaced}
    for name, machine in desired.machines.items():
        if name in desired.serving - (observed.serving - ended):
            steps.append(ServeNames(machine))
    steps += [StartVm(machine) for machine in starting]
    steps += _put(ENDS, desired.rows, before)
    # What a program puts must find its way before a channel leads to the program.
    steps += _put(("binding",), _of_programs(desired.rows), before)
    steps += _put(PATHS, desired.rows, before)
    steps += _put(ENTRANCES, desired.rows, _with_programs(before, desired.rows))

    retired = [one for number, one in observed.programs.items() if number not in desired.programs]
    steps += [Drain()] if retired else []
    steps += deletions(before, keep=desired.rows)
    steps += [RemoveProgram(one) for one in retired]
    for machine in going:
        steps += _end(machine, observed)
    if not begun:
        steps += [StopSequencer(one) for one in ended_sequencer]
    taps = fresh_taps | {machine.device for machine in stopping} | {one.device for one in ended_sequencer}
    steps += [Detach(device) for device in sorted(observed.attached - desired.attached - taps)]
    return steps


def _end(machine: Machine, observed: SliceState) -> list[Step]:
    """A machine's end. The steering program stays on the tap to the last, so that nothing slips past it."""
    steps: list[Step] = [EndNames(machine)] if machine.spec.name in observed.serving else []
    return [*steps, StopVm(machine)]


def _differing(these: Mapping[str, Machine], others: Mapping[str, Machine]) -> list[Machine]:
    return [machine for name, machine in these.items() if others.get(name) != machine]


def _put(tables: Iterable[str], desired: Tables, observed: Tables) -> list[Step]:
    """Rows that are missing or have another value."""
    steps: list[Step] = []
    for table in tables:
        present = getattr(observed, table)
        changes = tuple(
            RowChange(key, present.get(key), value)
            for key, value in getattr(desired, table).items()
            if present.get(key) != value
        )
        if changes:
            steps.append(ChangeRows(table, changes))
    return steps


def deletions(rows: Tables, keep: Tables | None = None) -> list[Step]:
    """Steps that delete rows, entrances first, but those whose key is in ``keep``."""
    steps: list[Step] = []
    for table in reversed(TABLES):
        kept = getattr(keep, table) if keep else {}
        changes = tuple(
            RowChange(key, value, None) for key, value in getattr(rows, table).items() if key not in kept
        )
        if changes:
            steps.append(ChangeRows(table, changes))
    return steps


def rows_naming(rows: Tables, devices: set[str]) -> Tables:
    """The rows that name one of the devices."""
    naming = Tables()
    if devices:
        for table, key, value in rows.rows():
            if device_of(key) in devices or device_of(value) in devices:
                getattr(naming, table)[key] = value
    return naming


def _of_programs(rows: Tables) -> Tables:
    return Tables(binding={key: row for key, row in rows.binding.items() if isinstance(key, PutKey)})


def _with_programs(rows: Tables, others: Tables) -> Tables:
    """The rows, as they are when those of the kernel programs are written."""
    return replace(rows, binding={**rows.binding, **_of_programs(others).binding})


def _without(rows: Tables, others: Tables) -> Tables:
    left = Tables()
    for table in TABLES:
        theirs = getattr(others, table)
        getattr(left, table).update(
            {key: value for key, value in getattr(rows, table).items() if key not in theirs}
        )
    return left


def device_of(part: object) -> str | None:
    """The device that a row's key or value names, if any."""
    match part:
        case LinkKey(device=device) | BindingKey(link=LinkKey(device=device)):
            return device
        case Peer(device=device) | Endpoint(device=device):
            return device
        case str(device):  # of a limit
            return device
        case _:
            return None

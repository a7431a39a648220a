"""A host on paper: what steps do, without a kernel and without machines."""

from __future__ import annotations

from collections.abc import Iterable
from copy import deepcopy
from dataclasses import replace

from vmhost.agent.plan import (
    Attach,
    ChangeRows,
    CloseTap,
    Detach,
    EndNames,
    FetchBundles,
    Machine,
    OpenTap,
    ServeNames,
    SliceState,
    StartSequencer,
    StartVm,
    Step,
    StopSequencer,
    StopVm,
    deletions,
    rows_naming,
)

_MADE = ("dt", "dpn-o")
"""What the names of devices begin with that steps make."""


def copied(state: SliceState) -> SliceState:
    return deepcopy(state)


class Paper:
    """Does steps to a state and insists on the order that a real host needs."""

    def __init__(self, state: SliceState) -> None:
        self.state = state
        self.taps = {machine.device for machine in state.machines.values() if machine.running}
        if state.sequencer:
            self.taps.add(state.sequencer.device)
        self.open: set[str] = set()

    def do_all(self, steps: Iterable[Step]) -> None:
        for step in steps:
            self.do(step)

    def kill(self, name: str) -> None:
        """A machine dies by itself, as ``HeldSlice.machine_died`` notes it."""
        machine = self.state.machines[name]
        self.state.machines[name] = replace(machine, running=False)
        self.taps.discard(machine.device)
        self.state.attached.discard(machine.device)
        self.state.serving.discard(name)
        self.do_all(deletions(rows_naming(self.state.rows, {machine.device})))

    def do(self, step: Step) -> None:
        state = self.state
        match step:
            case FetchBundles():
                pass
            case OpenTap(machine):
                if machine.running:
                    self._open(machine)
            case CloseTap(machine):
                self._close(machine)
            case Attach(device):
                assert device in self.taps or not device.startswith(_MADE), f"no device {device}"
                state.attached.add(device)
            case Detach(device):
                state.attached.discard(device)
            case ServeNames(machine):
                if machine.running:
                    assert machine.device in self.taps
                    state.serving.add(machine.spec.name)
            case EndNames(machine):
                state.serving.discard(machine.spec.name)
            case StartVm(machine):
                if machine.running and not self._runs(machine):
                    self._open(machine)
                    self.open.discard(machine.device)
                    state.machines[machine.spec.name] = machine
            case StopVm(machine):
                state.machines.pop(machine.spec.name, None)
                self.taps.discard(machine.device)
                self._close(machine)
            case StartSequencer(sequencer):
                if state.sequencer != sequencer:
                    assert sequencer.device not in self.taps, "a link of that name exists"
                self.taps.add(sequencer.device)
                state.attached.add(sequencer.device)
                state.sequencer = sequencer
            case StopSequencer(sequencer):
                self.taps.discard(sequencer.device)
                state.attached.discard(sequencer.device)
                state.sequencer = None
            case ChangeRows(table, changes):
                rows = getattr(state.rows, table)
                for change in changes:
                    if change.after is None:
                        rows.pop(change.key, None)
                    else:
                        self._check_device(change.after, change.key)
                        rows[change.key] = change.after

    def _runs(self, machine: Machine) -> bool:
        running = self.state.machines.get(machine.spec.name)
        return running is not None and running.running

    def _open(self, machine: Machine) -> None:
        if machine.device not in self.open and not self._runs(machine):
            assert machine.device not in self.taps, "a link of that name exists"
            self.taps.add(machine.device)
            self.open.add(machine.device)
            self.state.attached.add(machine.device)

    def _close(self, machine: Machine) -> None:
        if machine.device in self.open:
            self.open.discard(machine.device)
            self.taps.discard(machine.device)
        if not self._runs(machine):
            self.state.attached.discard(machine.device)

    def _check_device(self, *parts: object) -> None:
        for part in parts:
            device = getattr(part, "device", None) or getattr(getattr(part, "link", None), "device", None)
            assert device is None or device in self.taps or not device.startswith(_MADE), (
                f"no device {device}"
            )

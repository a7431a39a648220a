"""A unit's devices as its program meets them: attached, allowed to be sent to, watched for losses.

Interface numbers mean something in one network namespace only, and the kernel resolves them silently in that
of the calling thread: every method makes sure that it is the one that the program was loaded in.
"""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from dipronn.errors import Unavailable
from ebpf import devices, layout
from ebpf.bpf import Map, close_all, open_raw_tracepoint, pin
from ebpf.btf import member_offsets
from ebpf.layout import Sizes
from ebpf.rows import number

TRACEPOINTS = {"count_refused": "xdp_devmap_xmit", "count_unsent": "xdp_redirect_err"}
"""The function that watches each tracepoint."""
FORK_LINK = ("dpn-fork", "dpn-fork-tx")
"""Where copies are steered, and where they are sent into. One unit, one namespace: one pair of names."""
FORK_MTU = 3498
"""What a veth carries under XDP without fragments, less a VLAN tag."""
GUEST_RATE = 200
"""Packets per second that a guest may send to the host, and at once."""
CONTROL_RATES = ((2000, 200), (20000, 1000))
"""Packets per second over the control network, and at once: of an instance, by a device."""
_READY_FOR = 2.0
"""Seconds for which a device found ready is not asked again."""


class DeviceNames:
    """Names and numbers; of the namespace, or those that a test gave."""

    def __init__(self, given: Mapping[str, int] | None) -> None:
        self._given = given
        self._known: dict[str, int] = {}

    def index(self, name: str) -> int:
        """``#number`` stands for itself. Unavailable when there is no such device."""
        if name.startswith("#"):
            return int(name[1:])
        if self._given is None:
            self._known[name] = devices.index_of(name)
            return self._known[name]
        if name not in self._given:
            raise Unavailable(f"no device {name} was given to the test build")
        return self._given[name]

    def former_index(self, name: str) -> int:
        """As it was when a row was last written for that name: the device may be gone."""
        return self._known[name] if name in self._known else self.index(name)

    def name(self, index: int) -> str:
        if self._given is None:
            return devices.name_of(index)
        return next((name for name, i in self._given.items() if i == index), f"#{index}")

    def former(self) -> FormerNames:
        return FormerNames(self)


@dataclass(frozen=True)
class FormerNames:
    """The devices as they were when rows were written: for deletions."""

    names: DeviceNames

    def index(self, name: str) -> int:
        return self.names.former_index(name)

    def name(self, index: int) -> str:
        return self.names.name(index)


class Attachment:
    """``programs`` are descriptors by function; in the test build (``trace``) nothing real is touched."""

    def __init__(
        self, maps: Mapping[str, Map], names: DeviceNames, sizes: Sizes, pins: Path | None, trace: bool
    ) -> None:
        self._maps = maps
        self.names = names
        self._sizes = sizes
        self._pins = pins
        self._trace = trace
        self._namespace = devices.namespace()
        self._programs: Mapping[str, int] = {}
        self._links: list[int] = []
        self._ready: dict[int, tuple[float, int]] = {}
        self._with_copies: set[int] = set()
        self._fork_link: tuple[int, int] | None = None

    def configure(self) -> None:
        """What the programs must know of the host. Unavailable when pinned maps serve another namespace."""
        config = self._config()
        if config.netns not in (0, self._namespace) and not self._trace:
            raise Unavailable(
                f"the maps pinned in {self._pins} serve another network namespace; "
                f"enter that one, or remove them"
            )
        config.netns = self._namespace
        config.tx = self._maps["tx"].info.id
        config.guest_interval = 1_000_000_000 // GUEST_RATE
        config.guest_burst = GUEST_RATE
        for index, (rate, burst) in enumerate(CONTROL_RATES):
            config.control_interval[index] = 1_000_000_000 // rate
            config.control_burst[index] = burst
        if not self._trace:
            config.offset_ifindex, config.offset_net, ns, inum = member_offsets(
                (("net_device", "ifindex"), ("net_device", "nd_net"), ("net", "ns"), ("ns_common", "inum"))
            )
            config.offset_inum = ns + inum
        self._maps["config"].update(number(0), bytes(config))

    def start(self, programs: Mapping[str, int]) -> None:
        """Take over what a predecessor left behind: the fork veth gets the new program."""
        self._programs = programs
        sending = self._config().fork_tx
        if self._trace:
            self._mark_fork_link(self.fork_index)
        elif sending and devices.name_of(sending) == FORK_LINK[1]:
            self._fork_link = (devices.index_of(FORK_LINK[0]), sending)
            devices.attach_xdp(self._fork_link[0], programs["steer"])

    @property
    def fork_index(self) -> int:
        """The test build's own fork link: the last number."""
        return self._sizes.ifindex - 1

    def _config(self) -> layout.Config:
        return layout.Config.from_buffer_copy(self._maps["config"].lookup(number(0)) or b"")

    def require_namespace(self) -> None:
        if not self._trace and devices.namespace() != self._namespace:
            raise Unavailable("called from another network namespace than the steering program was loaded in")

    def index(self, device: str) -> int:
        self.require_namespace()
        index = self.names.index(device)
        if index >= self._sizes.ifindex:
            raise Unavailable(
                f"{device} has interface number {index}; the tables reach to {self._sizes.ifindex - 1}: "
                f"use a fresh network namespace, or larger Sizes.ifindex"
            )
        return index

    def attach(self, device: str) -> None:
        """Native XDP; atomically replaces what is there."""
        index = self.index(device)
        self._watch_losses()
        self.allow(index)
        devices.attach_xdp(index, self._programs["steer"])
        self._maps["attached"].update(number(index), number(1))

    def detach(self, device: str) -> None:
        """Nothing happens when nothing of ours is attached, or the device is gone."""
        self.require_namespace()
        try:
            index = self.names.former_index(device)
        except Unavailable:
            return
        if self._maps["attached"].delete(number(index)) and devices.name_of(index) == device:
            devices.attach_xdp(index, -1)

    def allow(self, index: int, *, copies: bool = False) -> None:
        """Let frames be sent to a device.

        Once copies may leave by it, all its frames pass ``steer_copy``: the kernel runs the program of the
        first frame in a device's bulk queue on all the others there.
        """
        if self._trace:
            return
        if copies:
            self._with_copies.add(index)
        program = self._programs["steer_copy"] if index in self._with_copies else 0xFFFFFFFF
        self._maps["tx"].update(number(index), bytes(layout.DevmapValue(index, program)))

    def prepare(self, device: str, mtu: int) -> None:
        """Allow a device to which a row is to send ``mtu`` bytes; Unavailable when it would lose them."""
        index = self.index(device)
        if self._trace:
            return
        now = time.monotonic()
        checked, proven = self._ready.get(index, (0.0, -1))
        if now - checked > _READY_FOR or proven < mtu:
            devices.require_ready(index, mtu)
            self._ready[index] = (now, mtu)
            self.allow(index)

    def _watch_losses(self) -> None:
        """Attach the tracepoints, once; with pins they survive the process too."""
        if self._links:
            return
        for function, tracepoint in TRACEPOINTS.items():
            path = self._pins / f"link_{tracepoint}" if self._pins else None
            if path is not None:
                path.unlink(missing_ok=True)
            link = open_raw_tracepoint(tracepoint, self._programs[function])
            self._links.append(link)
            if path is not None:
                pin(link, str(path))

    def _mark_fork_link(self, index: int) -> None:
        self._maps["link"].update(number(index), bytes(layout.LinkRow(kind=layout.LINK_FORK)))

    def fork_link(self) -> int:
        """The device that copies are sent into, made when first asked for."""
        if self._fork_link is None:
            self.require_namespace()
            devices.delete_device(FORK_LINK[0])
            devices.create_veth(*FORK_LINK, FORK_MTU)
            receiving, sending = (devices.index_of(name) for name in FORK_LINK)
            self._mark_fork_link(receiving)
            devices.attach_xdp(receiving, self._programs["steer"])
            config = self._config()
            config.fork_tx = sending
            self._maps["config"].update(number(0), bytes(config))
            self._watch_losses()
            self._fork_link = (receiving, sending)
        return self._fork_link[1]

    def undo(self) -> None:
        """Detach from every device and remove the fork veth."""
        self.require_namespace()
        if self._trace:
            return
        for raw, _ in self._maps["attached"].items():
            name = devices.name_of(int.from_bytes(raw, "little"))
            if not name.startswith("#"):
                self.detach(name)
        if self._fork_link is not None:
            devices.delete_device(FORK_LINK[0])
            self._fork_link = None

    def close(self) -> None:
        close_all(self._links)
        self._links.clear()

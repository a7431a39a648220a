"""The sessions that there are: found by name and number, shown, judged, told about."""

from __future__ import annotations

import structlog

from controller.offers import Offers
from controller.record import InstanceRecord, Membership, Phase, SessionRecord
from controller.rule_names import RuleNames
from controller.session import LiveSession, event, is_registered, snapshot
from controller.steering import addressing
from controller.steering.identifiers import Identifiers
from controller.units import Units
from dipronn.errors import NotFound
from dipronn.v1 import session_pb2 as pb
from dipronn.v1 import unit_pb2

_log = structlog.get_logger(__name__)


class Registry:
    """``sessions``: by name.  ``leaving``: by number, those still to be removed from units that are away."""

    def __init__(self, identifiers: Identifiers, units: Units, offers: Offers) -> None:
        self._identifiers = identifiers
        self._units = units
        self.offers = offers
        self.sessions: dict[str, LiveSession] = {}
        self.leaving: dict[int, SessionRecord] = {}

    def get(self, name: str) -> LiveSession:
        if name not in self.sessions:
            known = ", ".join(sorted(self.sessions)) or "none"
            raise NotFound(f"no session `{name}`; there are: {known}")
        return self.sessions[name]

    def records(self) -> list[SessionRecord]:
        """All sessions that reserve something."""
        mine = {session.record.number: session.record for session in self.sessions.values()}
        return list({**self.leaving, **mine}.values())

    def reserving(self, but: str = "") -> list[SessionRecord]:
        """Sessions and held offers; ``but`` the offer that is about to be taken."""
        return [*self.records(), *self.offers.held(but)]

    def desired_of(self, unit: str) -> list[unit_pb2.Slice]:
        """The slices that a unit must have now."""
        return [session.desired[unit] for session in self.sessions.values() if unit in session.desired]

    def names(self) -> RuleNames:
        return RuleNames(
            (one, session.record.name)
            for session in self.sessions.values()
            for one in self._identifiers.of(session.record.owner)
        )

    def snapshot(self, session: LiveSession) -> pb.Session:
        return snapshot(session, {name: unit.counters for name, unit in self._units.known.items()})

    def numbered(self, number: int) -> LiveSession | None:
        """A session that is not being closed."""
        for session in self.sessions.values():
            if session.record.number == number and session.record.phase is not Phase.CLOSING:
                return session
        return None

    def find(self, number: int, machine: str, unit: str) -> tuple[LiveSession, list[InstanceRecord]] | None:
        """A session that is not being closed, and its instances in that machine of that unit."""
        session = self.numbered(number)
        instances = [one for one in session.instances_in(machine) if one.unit == unit] if session else []
        return (session, instances) if session and instances else None

    def behind(self, unit: str, device: str) -> tuple[LiveSession, InstanceRecord] | None:
        """Whose tap this is; of several programs in a machine the first."""
        for session in self.sessions.values():
            for instance in session.record.instances:
                if instance.unit == unit and addressing.tap_device(instance.number) == device:
                    return session, instance
        return None

    def judge(self, session: LiveSession, text: str) -> None:
        """Active or degraded, and why; told to watchers if it changed or there is something to say."""
        if session.record.phase is not Phase.ACTIVE:
            if text:
                self.tell(session, session.state, text)
            return
        # One that comes or goes while the session runs is no fault of it.
        members = [one for one in session.record.instances if one.membership is Membership.MEMBER]
        faults = [f"{one.name}: {one.message}" for one in members if not one.alive]
        faults += [
            f"{one.name} has not registered all its names"
            for one in members
            if one.alive and not is_registered(session.record, one)
        ]
        faults += [
            f"unit {name} is dead" for name in session.record.units() if not self._units.known[name].alive
        ]
        state = pb.SESSION_STATE_DEGRADED if faults else pb.SESSION_STATE_ACTIVE
        changed = (state, "; ".join(faults)) != (session.state, session.message)
        session.message = "; ".join(faults)
        if changed or text:
            self.tell(session, state, text or session.message)

    def tell(self, session: LiveSession, state: pb.SessionState.ValueType, text: str) -> None:
        session.state = state
        _log.info("session", name=session.record.name, state=pb.SessionState.Name(state), message=text)
        session.publish(event(self.snapshot(session), text))

    def end_watching(self) -> None:
        for session in self.sessions.values():
            session.end_watching()

"""Another source for a Phonepl program of an active session, while packets go on."""

from __future__ import annotations

import hashlib

from controller.admission import Admission
from controller.convergence import Convergence
from controller.program.kernel import is_kernel
from controller.record import Phase, SessionRecord
from controller.registry import Registry
from controller.session import LiveSession
from controller.steering.identifiers import Identifiers
from controller.store import Store
from dipronn.errors import InUse, NotFound
from dipronn.v1 import session_pb2 as pb


class KernelReplacement:
    def __init__(
        self,
        store: Store,
        identifiers: Identifiers,
        admission: Admission,
        registry: Registry,
        convergence: Convergence,
    ) -> None:
        self._store = store
        self._identifiers = identifiers
        self._admission = admission
        self._registry = registry
        self._convergence = convergence

    async def replace(self, name: str, program: str, source: bytes, file_name: str) -> LiveSession:
        """All units have the new program when it returns, or all the former one when it raises.

        A packet meets the one or the other: the new program is another program with rows of its own, and one
        write per channel leads to it.
        """
        session = self._registry.get(name)
        async with session.lock:
            if session.record.phase is not Phase.ACTIVE:
                raise InUse(f"session `{name}` is not active; its programs are replaced while it is")
            former = session.record
            record = self._with_source(former, program, source, file_name)
            owner = record.owner
            sha256 = hashlib.sha256(source).digest()
            # The units fetch the source; the desired state changes when they have all taken it.
            self._store.save_session(former, self._identifiers.of(owner), {sha256: source})
            session.record = record
            try:
                self._convergence.compile(session)
                await self._convergence.converge(session)
                self._store.save_session(record, self._identifiers.of(owner))
            except BaseException:
                session.record = former
                self._convergence.compile(session)
                raise
            self._convergence.shed_numbers(session)
        self._registry.judge(session, f"program {program} has been replaced")
        return session

    def _with_source(
        self, former: SessionRecord, program: str, source: bytes, file_name: str
    ) -> SessionRecord:
        record = former.copy()
        record.program = pb.Program()
        record.program.CopyFrom(former.program)
        active = next((one for one in record.program.programs if one.name == program), None)
        if active is None or not is_kernel(active):
            known = [one.name for one in record.program.programs if is_kernel(one)]
            what = f"its Phonepl programs: {', '.join(known)}" if known else "it has none"
            raise NotFound(f"session `{record.name}` has no Phonepl program `{program}`; {what}")
        others = {one.phonepl for one in record.program.programs if one.name != program and is_kernel(one)}
        name = file_name or active.phonepl
        active.phonepl = f"{program}/{name}" if name in others else name
        record.bundles = {**former.bundles, active.phonepl: hashlib.sha256(source).digest()}
        record.generation += 1
        for instance in record.instances:
            if instance.program == program:
                instance.kernel = self._admission.program_number(record, active)
        return record

"""A standing offer as users see it."""

from __future__ import annotations

from collections.abc import Mapping

from controller.admission import reservations
from controller.offers import Standing
from controller.placement.admission import Amount
from dipronn.v1 import session_pb2 as pb


def offer_message(
    standing: Standing, totals: Mapping[str, Amount], reserved: Mapping[str, Amount]
) -> pb.Offer:
    """``totals``: what each unit has; ``reserved``: what others have of it."""
    record, cuts = standing.proposal.record, standing.proposal.cuts
    wanted = reservations([record])
    message = pb.Offer(
        id=standing.id,
        held=standing.held,
        program=record.program,
        programs=[
            pb.OfferedProgram(
                program=asked.name,
                least=asked.min_instances,
                most=asked.max_instances,
                instances=fixed.max_instances,
                cut=cuts.get(asked.name, ""),
            )
            for asked, fixed in zip(standing.asked.programs, record.program.programs, strict=True)
        ],
        instances=[
            pb.OfferedInstance(
                program=one.program,
                index=one.index,
                unit=one.unit,
                needs=_needs(Amount(one.cpu, one.memory_bytes, one.bandwidth_bps, one.storage_bytes)),
            )
            for one in record.instances
        ],
        inputs=[pb.OfferedEnd(name=name, unit=one.unit) for name, one in record.entrances.items()],
        outputs=[pb.OfferedEnd(name=name, unit=one.unit) for name, one in record.exits.items()],
        units=[
            pb.OfferedUnit(
                unit=unit,
                total=_needs(totals[unit]),
                reserved=_needs(reserved.get(unit, Amount())),
                wanted=_needs(wanted.get(unit, Amount())),
            )
            for unit in record.units()
            if unit in totals
        ],
    )
    message.valid_until.FromNanoseconds(int(standing.ends * 1e9))
    return message


def _needs(amount: Amount) -> pb.Needs:
    return pb.Needs(
        cpu=round(amount.cpu, 3),
        memory_bytes=amount.memory_bytes,
        storage_bytes=amount.storage_bytes,
        bandwidth_bps=amount.bandwidth_bps,
    )

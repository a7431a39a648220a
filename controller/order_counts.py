"""What sequencers report → how a session's ordered outputs stand.  Pure."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from dipronn.v1 import session_pb2, unit_pb2


def output_orders(
    session: int, counters: Mapping[str, unit_pb2.UnitCounters]
) -> Iterator[session_pb2.OutputOrder]:
    """``counters`` by unit, as last reported."""
    for unit, counted in counters.items():
        for report in counted.sequencers:
            if report.session != session:
                continue
            for output in report.outputs:
                counts = dict(output.counts)
                shown = session_pb2.OutputOrder(
                    output=output.name,
                    unit=unit,
                    running=report.running,
                    restarts=report.restarts,
                    depth_before=counts.pop("depth_before", 0),
                    depth_after=counts.pop("depth_after", 0),
                )
                left = counts.get("released", 0) - counts.get("unordered", 0)
                shown.mean_delay.FromNanoseconds(counts.pop("delay_ns", 0) // max(1, left))
                shown.longest_delay.FromNanoseconds(counts.pop("delay_most_ns", 0))
                shown.counts.update({name: count for name, count in counts.items() if count})
                # Of all outputs of the session on this unit.
                shown.counts.update({name: count for name, count in report.losses.items() if count})
                yield shown

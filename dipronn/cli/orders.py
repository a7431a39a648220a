"""How a session's ordered outputs stand, as people read it."""

from __future__ import annotations

from google.protobuf.duration_pb2 import Duration

from dipronn.cli.output import write_table
from dipronn.v1 import session_pb2 as pb

_SHOWN = ("timeouts", "late_released", "late_dropped", "bypassed", "disagreements")


def show_orders(session: pb.Session) -> None:
    """A row an output; after the delays everything that was counted and is not zero."""
    write_table(
        ("ordered output", "unit", "sequencer", "depth before → after", "delay mean, longest", "counted"),
        (
            (
                one.output,
                one.unit,
                "runs" if one.running else "dead: packets go on unordered",
                f"{one.depth_before} → {one.depth_after}",
                f"{_milliseconds(one.mean_delay)}, {_milliseconds(one.longest_delay)}",
                ", ".join(f"{name} {one.counts[name]}" for name in _order(one)),
            )
            for one in session.orders
        ),
    )


def _order(one: pb.OutputOrder) -> list[str]:
    """What tells of trouble comes first."""
    return sorted(one.counts, key=lambda name: (name not in _SHOWN, name))


def _milliseconds(duration: Duration) -> str:
    return f"{duration.ToNanoseconds() / 1e6:.2f} ms"

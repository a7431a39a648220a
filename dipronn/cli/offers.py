"""How an offer of the node is shown."""

from __future__ import annotations

from dipronn.cli.output import write, write_table
from dipronn.v1 import session_pb2 as pb


def show_offer(offer: pb.Offer, file: str) -> None:
    until = offer.valid_until.ToDatetime().strftime("%H:%M:%S UTC")
    kept = "resources are kept" if offer.held else "resources are not kept"
    write(f"offer {offer.id} for session {offer.program.name}, valid until {until}; {kept}")
    for what, ends in (("input ", offer.inputs), ("output", offer.outputs)):
        for end in ends:
            write(f"  {what} {end.name}: by {end.unit}")
    write("")
    write_table(
        ("program", "accepted", "offered", "units"),
        (
            (
                one.program,
                f"{one.least}..{one.most}" if one.least != one.most else str(one.most),
                str(one.instances),
                ", ".join(each.unit for each in offer.instances if each.program == one.program),
            )
            for one in offer.programs
        ),
    )
    write("")
    write_table(
        ("unit", "cpu", "memory MiB", "bandwidth Mbps", "storage MiB"),
        (
            (
                one.unit,
                _sum(one.reserved.cpu, one.wanted.cpu, one.total.cpu),
                *(
                    _sum(*(getattr(needs, name) / size for needs in (one.reserved, one.wanted, one.total)))
                    for name, size in (
                        ("memory_bytes", 1 << 20),
                        ("bandwidth_bps", 1e6),
                        ("storage_bytes", 1 << 20),
                    )
                ),
            )
            for one in offer.units
        ),
        title="reserved by others + by this session, of all",
    )
    for one in offer.programs:
        if one.cut:
            first, *rest = one.cut.split("\n")
            write(f"\ncut: {one.program} gets {one.instances} of {one.most}: {first}")
            for line in rest:
                write(line)
    write(f"\ntake it: dipronn session establish {file} --offer {offer.id}")


def _sum(reserved: float, wanted: float, total: float) -> str:
    return f"{reserved:.6g} + {wanted:.6g} of {total:.6g}" if total else f"{reserved:.6g} + {wanted:.6g}"

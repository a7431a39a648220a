"""``dipronn session``."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Annotated

import typer

from dipronn.cli import frames
from dipronn.cli.offers import show_offer
from dipronn.cli.orders import show_orders
from dipronn.cli.output import write, write_json, write_json_line, write_table
from dipronn.cli.program import File, is_json, read
from dipronn.cli.target import Target
from dipronn.client import Node
from dipronn.client.bundles import find
from dipronn.errors import NotFound
from dipronn.v1 import node_pb2
from dipronn.v1 import session_pb2 as pb

app = typer.Typer(help="Establish sessions and look at them.", no_args_is_help=True)
Json = Annotated[bool, typer.Option("--json", help="For machines.")]
Name = Annotated[str, typer.Argument(help="The session's name.")]


@app.command()
def negotiate(
    context: typer.Context,
    file: File,
    valid_for: Annotated[float, typer.Option(help="Seconds that the offer shall stand.")] = 30.0,
    hold: Annotated[bool, typer.Option("--hold", help="Keep its resources reserved until then.")] = False,
    as_json: Json = False,
) -> None:
    """Ask what the node would make of a file: how many instances where, what it would cut and why."""
    text, parsed = read(file)
    form = parsed.program if is_json(file) else text

    async def ask(target: Target) -> pb.Offer:
        async with target.connect() as node:
            return await node.negotiate(form, file_name=str(file), valid_for=valid_for, hold=hold)

    offer = asyncio.run(ask(context.obj))
    if as_json:
        write_json(offer)
    else:
        show_offer(offer, str(file))


@app.command()
def establish(
    context: typer.Context,
    file: File,
    watch: Annotated[bool, typer.Option("--watch", help="Then show every change until it ends.")] = False,
    registration_timeout: Annotated[float, typer.Option(help="Seconds to wait for all names.")] = 30.0,
    offer: Annotated[str, typer.Option(help="An offer of `session negotiate` to take, by its id.")] = "",
    as_json: Json = False,
) -> None:
    """Establish the session of a file; bundles are tar files or folders beside it, or images on the node."""
    text, parsed = read(file)
    programs = parsed.program.programs
    names = {name for one in programs for name in (one.bundle, one.phonepl) if name}
    # What is not beside the file may have been pushed before; the node knows.
    bundles = {name: path for name in names if (path := find(file.parent, name)) is not None}
    form = parsed.program if is_json(file) else text
    establishing = _establish(context.obj, form, bundles, file, offer, registration_timeout, watch, as_json)
    asyncio.run(establishing)


async def _establish(
    target: Target,
    form: str | pb.Program,
    bundles: dict[str, Path],
    file: Path,
    offer: str,
    registration_timeout: float,
    watch: bool,
    as_json: bool,
) -> None:
    async with target.connect() as node:
        session = await node.establish(
            form, bundles, offer=offer, file_name=str(file), registration_timeout=registration_timeout
        )
        if as_json and not watch:
            write_json(session)
        elif not as_json:
            _show(session)
        if watch:
            await _watch(node, session.name, as_json)


@app.command(name="list")
def list_sessions(context: typer.Context, as_json: Json = False) -> None:
    """Every session of the node."""

    async def fetch(target: Target) -> list[pb.Session]:
        async with target.connect() as node:
            return await node.sessions()

    sessions = asyncio.run(fetch(context.obj))
    if as_json:
        write_json(sessions)
        return
    write_table(
        ("session", "state", "owner", "programs", "instances", "message"),
        (
            (
                one.name,
                _state(one),
                one.program.owner,
                str(len(one.program.programs)),
                str(len(one.instances)),
                one.message,
            )
            for one in sessions
        ),
    )


@app.command()
def show(context: typer.Context, name: Name, as_json: Json = False) -> None:
    """One session: where it enters and leaves, its instances, its channels' counters."""

    async def fetch(target: Target) -> pb.Session:
        async with target.connect() as node:
            return await node.session(name)

    session = asyncio.run(fetch(context.obj))
    if as_json:
        write_json(session)
    else:
        _show(session)


@app.command()
def watch(context: typer.Context, name: Name, as_json: Json = False) -> None:
    """The state now and every change, until the session ends."""

    async def follow(target: Target) -> None:
        async with target.connect() as node:
            await _watch(node, name, as_json)

    asyncio.run(follow(context.obj))


@app.command()
def explain(
    context: typer.Context,
    name: Name,
    source: Annotated[
        str, typer.Option("--from", help="Who sends: ADDRESS or ADDRESS:PORT; anyone who may if not stated.")
    ] = "",
    input_name: Annotated[
        str, typer.Option("--input", help="The session input; the first if not stated.")
    ] = "",
    size: Annotated[int, typer.Option(help="Bytes of payload.", min=0, max=1400)] = 100,
    as_json: Json = False,
) -> None:
    """Which rules a packet meets that is sent to one of the session's inputs, to the end."""
    steps = asyncio.run(_explain(context.obj, name, source, input_name, size))
    if as_json:
        write_json(steps)
        return
    write_table(
        ("unit", "copy", "table", "rule or verdict"),
        ((one.unit, str(one.copy), one.table, one.rule if one.table else one.verdict) for one in steps),
    )


async def _explain(
    target: Target, name: str, source: str, input_name: str, size: int
) -> list[node_pb2.ExplainStep]:
    async with target.connect() as node:
        session = await node.session(name)
        inputs = [one for one in session.inputs if input_name in ("", one.name)]
        if not inputs:
            known = ", ".join(one.name for one in session.inputs)
            raise NotFound(f"session `{name}` has no input `{input_name}`; it has {known or 'none'}")
        to = inputs[0].address
        declared = next(one for one in session.program.inputs if one.name == inputs[0].name)
        source = source or frames.permitted_source(declared.from_prefix, to.address)
        unit, device, frame = frames.to_input(await node.units(), source, to.address, to.port, size)
        return await node.explain(unit, device, frame)


@app.command()
def replace(
    context: typer.Context,
    name: Name,
    program: Annotated[str, typer.Argument(help="One of its Phonepl programs.")],
    file: Annotated[Path, typer.Argument(help="The new source.", exists=True, dir_okay=False)],
    as_json: Json = False,
) -> None:
    """Replace a Phonepl program of an active session; packets go on, none is lost."""

    async def exchange(target: Target) -> pb.Session:
        async with target.connect() as node:
            return await node.replace_program(name, program, file, file_name=file.name)

    session = asyncio.run(exchange(context.obj))
    if as_json:
        write_json(session)
    else:
        _show(session)


@app.command()
def close(context: typer.Context, name: Name, as_json: Json = False) -> None:
    """Close a session: its packets, machines and names are gone."""

    async def end(target: Target) -> pb.Session:
        async with target.connect() as node:
            return await node.close_session(name)

    session = asyncio.run(end(context.obj))
    if as_json:
        write_json(session)
    else:
        write(f"session {name}: {_state(session)}" + (f" ({session.message})" if session.message else ""))


async def _watch(node: Node, name: str, as_json: bool) -> None:
    async for event in node.watch(name):
        if as_json:
            write_json_line(event)
        else:
            time = event.time.ToDatetime().strftime("%H:%M:%S.%f")[:-3]
            write(f"{time} {_state(event.session):9} {event.message}")


def _show(session: pb.Session) -> None:
    write(f"session {session.name}: {_state(session)}" + (f" ({session.message})" if session.message else ""))
    for item in session.inputs:
        write(f"  input  {item.name}: send to {_socket(item.address)}")
    for output in session.outputs:
        receivers = next(one.receivers for one in session.program.outputs if one.name == output.name)
        write(
            f"  output {output.name}: from {_socket(output.public_address)} "
            f"to {', '.join(map(_socket, receivers))}"
        )
    write("")
    write_table(
        ("instance", "unit", "address", "state", "started in", "names"),
        (
            (
                f"{one.program}-{one.index}",
                one.unit,
                one.address,
                pb.InstanceState.Name(one.state).removeprefix("INSTANCE_STATE_").lower()
                + (f": {one.message}" if one.message else ""),
                f"{one.start_time.ToMilliseconds() / 1000:.2f} s" if one.HasField("start_time") else "",
                ", ".join(f"{name.port}={name.real_port}" for name in one.names),
            )
            for one in session.instances
        ),
    )
    write("")
    write_table(
        ("channel", "packets", "bytes"),
        ((one.channel, str(one.packets), str(one.bytes)) for one in session.channels),
    )
    in_kernel = [one for one in session.instances if one.drops]
    if in_kernel:
        write("")
        write_table(
            ("Phonepl program", "dropped"), ((f"{one.program}-{one.index}", _drops(one)) for one in in_kernel)
        )
    if session.orders:
        write("")
        show_orders(session)


def _drops(instance: pb.Instance) -> str:
    counted = [f"{reason} {count}" for reason, count in sorted(instance.drops.items()) if count]
    return ", ".join(counted) or "nothing"


def _state(session: pb.Session) -> str:
    return pb.SessionState.Name(session.state).removeprefix("SESSION_STATE_").lower()


def _socket(socket: pb.SocketAddress) -> str:
    return f"[{socket.address}]:{socket.port}" if ":" in socket.address else f"{socket.address}:{socket.port}"

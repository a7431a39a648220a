"""Offers: what the node would do, how long it stands by it, and how it is taken."""

from __future__ import annotations

import asyncio
import json
import sys
from pathlib import Path

import pytest

from controller.limits import Allowance, BadLimits, Limits, read_limits
from controller.program import check_text
from dipronn.client import connect_sync
from dipronn.errors import AlreadyExists, InsufficientResources, InvalidSession, NotFound
from dipronn.v1 import session_pb2 as pb

from .agents import cluster, eventually
from .test_server import BUNDLES, TEXT

RANGE = TEXT.replace("parallelizable 2;", "parallelizable 1..8;")
"""Instances of p need 0.5 cores; q needs 0.1."""
LONG = 600.0
"""Longer than any test may take, however busy the machine is."""


def named(name: str, text: str = RANGE) -> str:
    return text.replace("session s ", f"session {name} ")


@pytest.mark.req("D21")
@pytest.mark.req("D51")
@pytest.mark.req("D58")
async def test_an_offer_says_how_many_where_and_what_was_cut_and_commits_to_nothing(tmp_path: Path) -> None:
    async with cluster(tmp_path, cpu=2.0) as node:
        before = [dict(agent.held) for agent in node.agents.values()]
        offer = await node.node.negotiate(RANGE, valid_for=LONG)
        (p, q) = offer.programs
        assert (p.program, p.least, p.most, p.instances) == ("p", 1, 8, 7)
        assert "no unit can take " in p.cut and "u1: cpu 2 - 2 reserved = 0 free < " in p.cut
        assert "in all: cpu 4 free < 4.1 needed" in p.cut
        assert (q.instances, q.cut) == (1, "")
        units = [one.unit for one in offer.instances if one.program == "p"]
        assert (
            sorted(units) == ["u1"] * units.count("u1") + ["u2"] * units.count("u2")
            and abs(units.count("u1") - 3.5) < 1
        )
        assert offer.program.programs[0].max_instances == 7
        assert [(one.name, one.unit) for one in [*offer.inputs, *offer.outputs]] == [
            ("x", "dist"),
            ("y", "agg"),
        ]
        wanted = {one.unit: (one.reserved.cpu, one.wanted.cpu, one.total.cpu) for one in offer.units}
        assert sum(cpu for _, cpu, _ in wanted.values()) == pytest.approx(3.6)
        assert all(reserved == 0 and total == 2 for reserved, _, total in wanted.values())
        assert (
            await node.node.sessions() == []
            and [dict(agent.held) for agent in node.agents.values()] == before
        )
        assert all(unit.reserved.cpu == 0 for unit in await node.node.units())


@pytest.mark.req("D21")
@pytest.mark.req("D51")
async def test_an_offer_is_taken_as_it_is(tmp_path: Path) -> None:
    async with cluster(tmp_path, cpu=2.0) as node:
        offer = await node.node.negotiate(RANGE, valid_for=LONG)
        session = await node.node.establish(RANGE, BUNDLES, offer=offer.id)
        assert session.state == pb.SESSION_STATE_ACTIVE
        places = {(one.program, one.index, one.unit) for one in session.instances}
        assert places == {(one.program, one.index, one.unit) for one in offer.instances} and len(places) == 8
        with pytest.raises(NotFound, match="it was taken"):
            await node.node.establish(None, BUNDLES, offer=offer.id)
        await node.node.close_session("s")
        again = await node.node.negotiate(check_text(RANGE).program, valid_for=LONG)
        assert len((await node.node.establish(None, BUNDLES, offer=again.id)).instances) == 8, (
            "without the text"
        )


@pytest.mark.req("D51")
async def test_without_an_offer_a_range_starts_with_its_least(tmp_path: Path) -> None:
    async with cluster(tmp_path) as node:
        session = await node.node.establish(RANGE, BUNDLES)
        assert [one.program for one in session.instances] == ["p", "q"]


@pytest.mark.parametrize("policy", ["duplicate", "chosen"])
async def test_a_range_is_refused_with_its_line_where_each_instance_means_something(
    tmp_path: Path, policy: str
) -> None:
    text = RANGE.replace("1..8;", f"1..8 by {policy};").replace("input x : udp", "input x : artp")
    async with cluster(tmp_path) as node:
        with pytest.raises(InvalidSession, match=rf"s\.dpn:6:.*variable number.* `{policy}`"):
            await node.node.establish(text, BUNDLES, file_name="s.dpn")


async def test_an_offer_that_is_not_held_may_be_overtaken(tmp_path: Path) -> None:
    async with cluster(tmp_path, cpu=2.0) as node:
        offer = await node.node.negotiate(RANGE, valid_for=LONG)
        other = await node.node.negotiate(named("t"), valid_for=LONG)
        await node.node.establish(named("t"), BUNDLES, offer=other.id)
        with pytest.raises(
            InsufficientResources, match=r"p-\d was offered on u[12], where others came first"
        ):
            await node.node.establish(RANGE, BUNDLES, offer=offer.id)
        assert [one.name for one in await node.node.sessions()] == ["t"]
        await node.node.close_session("t")
        assert len((await node.node.establish(RANGE, BUNDLES, offer=offer.id)).instances) == 8, (
            "it still stands"
        )


@pytest.mark.req("D60")
async def test_a_held_offer_keeps_its_resources_until_it_ends(tmp_path: Path) -> None:
    async with cluster(tmp_path, cpu=2.0) as node:
        offer = await node.node.negotiate(RANGE, hold=True, valid_for=LONG)
        assert offer.held
        assert sum(unit.reserved.cpu for unit in await node.node.units()) == pytest.approx(3.6)
        with pytest.raises(InsufficientResources):
            await node.node.establish(named("t", TEXT), BUNDLES)
        assert len((await node.node.establish(RANGE, BUNDLES, offer=offer.id)).instances) == 8
        await node.node.close_session("s")
        await node.node.negotiate(RANGE, hold=True, valid_for=0.2)

        async def free() -> bool:
            return all(unit.reserved.cpu == 0 for unit in await node.node.units())

        await eventually(free)
        await node.node.establish(named("t", TEXT), BUNDLES)


async def test_an_offer_that_has_ended_or_is_for_another_session_is_refused(tmp_path: Path) -> None:
    async with cluster(tmp_path) as node:
        offer = await node.node.negotiate(RANGE, valid_for=0.001)
        await asyncio.sleep(0.01)
        with pytest.raises(NotFound, match=f"no offer `{offer.id}` stands"):
            await node.node.establish(RANGE, BUNDLES, offer=offer.id)
        offer = await node.node.negotiate(RANGE, valid_for=LONG)
        with pytest.raises(InvalidSession, match="was made for another session `s`"):
            await node.node.establish(named("t"), BUNDLES, offer=offer.id)
        for seconds in (0, 601):
            with pytest.raises(InvalidSession, match="an offer is valid for"):
                await node.node.negotiate(RANGE, valid_for=seconds)
        await node.node.establish(RANGE, BUNDLES, offer=offer.id)
        with pytest.raises(AlreadyExists):
            await node.node.negotiate(RANGE, valid_for=LONG)


async def test_negotiation_refuses_what_establishing_would(tmp_path: Path) -> None:
    async with cluster(tmp_path, cpu=0.2) as node:
        with pytest.raises(InsufficientResources, match="no unit can take p-0"):
            await node.node.negotiate(RANGE, valid_for=LONG)
        with pytest.raises(InvalidSession, match="unknown program `z`"):
            await node.node.negotiate(RANGE.replace("q.i;", "z.i;"))
        with pytest.raises(InvalidSession, match="order"):
            await node.node.negotiate(RANGE.replace(":6000;", ":6000 order strict;"))
        with pytest.raises(InvalidSession, match=r"s.dpn:3:[\s\S]*\^"):
            away = RANGE.replace("x : udp", "x : udp to 203.0.113.1:5")
            await node.node.negotiate(away, file_name="s.dpn")


async def test_the_blocking_client_negotiates_too(tmp_path: Path) -> None:
    async with cluster(tmp_path) as node:

        def negotiate() -> str:
            with connect_sync(node.address) as blocking:
                offer = blocking.negotiate(TEXT, valid_for=LONG)
                return blocking.establish(None, BUNDLES, offer=offer.id).name

        assert await asyncio.to_thread(negotiate) == "s"


OWNED = RANGE.replace("session s {", 'session s { owner "ann";')


@pytest.mark.req("A32")
async def test_a_user_has_no_more_than_is_allowed(tmp_path: Path) -> None:
    limits = Limits(users={"ann": Allowance(instances=4, sessions=1, offers=2)}, node=Allowance(cpu=2.5))
    async with cluster(tmp_path, limits=limits) as node:
        offer = await node.node.negotiate(OWNED, valid_for=LONG)
        assert offer.programs[0].instances == 3
        assert offer.programs[0].cut == "user `ann` has a limit: instances 4 allowed - 0 in use < 5 wanted"
        await node.node.negotiate(OWNED, valid_for=LONG)
        with pytest.raises(InsufficientResources, match="user `ann` has 2 standing offers and may have 2"):
            await node.node.negotiate(OWNED, valid_for=LONG)
        await node.node.establish(OWNED, BUNDLES, offer=offer.id)
        with pytest.raises(
            InsufficientResources, match="user `ann` has a limit: sessions 1 allowed - 1 in use"
        ):
            await node.node.establish(named("t", OWNED).replace("1..8", "1"), BUNDLES)
        with pytest.raises(
            InsufficientResources, match=r"this node has a limit: cpu 2\.5 allowed - 1\.6 in use < 1\.1"
        ):
            await node.node.establish(named("t", TEXT), BUNDLES)
        assert [one.name for one in await node.node.sessions()] == ["s"]


def test_limits_are_read_from_a_file(tmp_path: Path) -> None:
    file = tmp_path / "limits.toml"
    file.write_text(
        '[user]\nsessions = 3\nmemory = "2 GiB"\n[users."ann@example.org"]\ncpu = 0.5\nbandwidth = "10Mbps"\n'
    )
    limits = read_limits(file)
    assert limits.of("bob") == Allowance(sessions=3, memory=2 << 30)
    assert limits.of("ann@example.org") == Allowance(cpu=0.5, bandwidth=10_000_000)
    for text, expected in (
        ("[user]\nsession = 3\n", r"\[user\] is a table of"),
        ("[user]\nmemory = 3\n", "is a text with a unit"),
        ("[user]\ninstances = -1\n", "is a number from 0"),
        ("[user]\ninstances = 1.5\n", "is a whole number"),
        ("[group]\n", "unknown entry"),
        ("user = 3\n", r"\[user\] is a table"),
        ("[", "not TOML"),
    ):
        file.write_text(text)
        with pytest.raises(BadLimits, match=expected):
            read_limits(file)
    with pytest.raises(BadLimits, match="No such file"):
        read_limits(tmp_path / "none.toml")


async def test_the_command_line_shows_an_offer_and_takes_it(tmp_path: Path) -> None:
    async with cluster(tmp_path, cpu=2.0) as node:
        file = tmp_path / "s.dpn"
        file.write_text(RANGE)
        for name, data in BUNDLES.items():
            (tmp_path / name).write_bytes(data)

        async def dipronn(*arguments: str) -> str:
            command = [
                sys.executable,
                "-m",
                "dipronn.cli.main",
                "--node",
                node.address,
                "session",
                *arguments,
            ]
            process = await asyncio.create_subprocess_exec(*command, stdout=asyncio.subprocess.PIPE)
            output, _ = await process.communicate()
            assert process.returncode == 0
            return output.decode()

        shown = await dipronn("negotiate", str(file), "--hold", "--valid-for", "600")
        assert "p        1..8      7" in shown and "resources are kept" in shown
        assert "cut: p gets 7 of 8: no unit can take" in shown and "in all: cpu 4 free < 4.1 needed" in shown
        offer = shown.split("--offer ")[1].strip()
        taken = await dipronn("establish", str(file), "--offer", offer, "--json")
        assert len(json.loads(taken)["instances"]) == 8

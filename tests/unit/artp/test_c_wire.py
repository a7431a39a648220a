"""The C library's parser and MAC say what Python's say, under the address sanitizer."""

from __future__ import annotations

import random
import subprocess
from pathlib import Path

import pytest

from artp.cookie import Source, client_cookie, group_cookie
from artp.errors import Malformed
from artp.wire import Packet, parse
from tests.fuzz.artp import corpus

LIBRARY = Path(__file__).parents[3] / "vmhost" / "guest" / "lib"


@pytest.fixture(scope="module")
def checker(tmp_path_factory: pytest.TempPathFactory) -> Path:
    binary = tmp_path_factory.mktemp("artp") / "wire_check"
    sources = [Path(__file__).with_name("wire_check.c"), LIBRARY / "artp_wire.c", LIBRARY / "artp_mac.c"]
    strict = ["-Wall", "-Wextra", "-Werror", "-O1", "-g", "-fsanitize=address,undefined"]
    subprocess.run(["gcc", *strict, f"-I{LIBRARY}", "-o", str(binary), *map(str, sources)], check=True)
    return binary


def ask(checker: Path, lines: list[str]) -> list[str]:
    text = "".join(f"{line}\n" for line in lines)
    done = subprocess.run([str(checker)], input=text, capture_output=True, text=True, check=True)
    return done.stdout.splitlines()


def verdict(data: bytes) -> tuple[str, Packet | None]:
    try:
        return "good", parse(data)
    except Malformed as error:
        return error.fault, None


def test_corpus(checker: Path) -> None:
    cases = corpus.read()
    answers = ask(checker, [case.packet.hex() for case in cases])
    assert [answer.split()[0] for answer in answers] == [case.whole or "good" for case in cases]
    for case, answer in zip(cases, answers, strict=True):
        if " " in answer:
            assert parse(bytes.fromhex(answer.split()[1])) == parse(case.packet), case.name


def test_mutations_agree_with_python(checker: Path) -> None:
    chance = random.Random(5)
    cases = [case.packet for case in corpus.read() if len(case.packet) < 1000]
    mutants = []
    for _ in range(5000):
        raw = bytearray(chance.choice(cases))
        for _ in range(chance.randrange(3)):
            if raw:
                raw[chance.randrange(min(60, len(raw)))] = chance.choice(
                    (0, 1, 2, 4, 0x40, 0xFF, chance.randrange(256))
                )
        mutants.append(bytes(raw[: chance.randrange(len(raw) + 1)]) if chance.random() < 0.1 else bytes(raw))
    answers = ask(checker, [each.hex() for each in mutants])
    assert [answer.split()[0] for answer in answers] == [verdict(each)[0] for each in mutants]


def test_macs(checker: Path) -> None:
    chance = random.Random(6)
    lines, expected = [], []
    for address in ("192.0.2.1", "2001:db8::1", "::ffff:192.0.2.1", "0.0.0.0"):
        for _ in range(10):
            key, session, origin = chance.randbytes(16), chance.getrandbits(32), chance.getrandbits(32)
            port = chance.getrandbits(16)
            lines.append(f"mac {key.hex()} {session} {origin} {address} {port}")
            own = client_cookie(key, session, origin, Source.of(address, port))
            expected.append(f"{own} {group_cookie(key, session, origin)}")
    assert ask(checker, lines) == expected

"""`dipronn program` and what else needs no node."""

from __future__ import annotations

import json
from pathlib import Path
from xml.etree import ElementTree

import pytest
from google.protobuf.json_format import Parse
from typer.testing import CliRunner

from dipronn.cli.main import app
from dipronn.v1 import session_pb2

EXAMPLES = Path(__file__).parents[3] / "examples"
GOOD = """session s {
  input x : udp; output y to 192.0.2.1:6000;
  program p { bundle "p.tar"; in i; out o; }
  data x -> p.i; data p.o -> y;
}
"""


@pytest.mark.parametrize("file", sorted(EXAMPLES.glob("*/*.dpn")), ids=lambda file: file.name)
def test_the_examples_are_good(file: Path) -> None:
    done = CliRunner().invoke(app, ["program", "check", str(file)])
    assert done.exit_code == 0 and f"session {file.stem}" in done.output


def test_a_fault_is_printed_with_its_place_and_status_1(tmp_path: Path) -> None:
    file = tmp_path / "s.dpn"
    file.write_text(GOOD.replace("p.o -> y", "p.o -> z"))
    for command in ("check", "draw", "json"):
        done = CliRunner().invoke(app, ["program", command, str(file)])
        assert done.exit_code == 1 and done.stdout == ""
        assert f"{file}:4:30: error: unknown session output `z`" in done.stderr


def test_a_warning_is_printed_and_status_is_0(tmp_path: Path) -> None:
    file = tmp_path / "s.dpn"
    file.write_text(GOOD.replace("192.0.2.1:6000", "[2001:db8::1]:6000"))
    done = CliRunner().invoke(app, ["program", "check", str(file)])
    assert done.exit_code == 0 and ":2:30: warning: " in done.stderr


def test_wrong_usage_has_status_2(tmp_path: Path) -> None:
    for arguments in (["nonsense"], ["program", "check"], ["program", "check", str(tmp_path / "none.dpn")]):
        assert CliRunner().invoke(app, arguments).exit_code == 2


@pytest.mark.req("D44")
def test_a_session_is_drawn_and_printed_as_json(tmp_path: Path) -> None:
    file = tmp_path / "s.dpn"
    file.write_text(GOOD)
    drawn = CliRunner().invoke(app, ["program", "draw", str(file)])
    assert "◉ x" in drawn.output and "▣ p.i" in drawn.output and "◎ y" in drawn.output
    printed = CliRunner().invoke(app, ["program", "json", str(file)])
    program = Parse(json.dumps(json.loads(printed.output)), session_pb2.Program())
    assert program.name == "s" and program.programs[0].bundle == "p.tar"


def test_a_session_is_drawn_as_svg(tmp_path: Path) -> None:
    file = tmp_path / "s.dpn"
    file.write_text(GOOD)
    drawn = CliRunner().invoke(app, ["program", "draw", "--svg", str(file)])
    assert ElementTree.fromstring(drawn.output).tag == "{http://www.w3.org/2000/svg}svg"
    to_file = CliRunner().invoke(app, ["program", "draw", str(file), "-o", str(tmp_path / "s.svg")])
    assert to_file.exit_code == 0 and (tmp_path / "s.svg").read_text() == drawn.output
    nowhere = CliRunner().invoke(app, ["program", "draw", str(file), "-o", str(tmp_path / "no" / "s.svg")])
    assert nowhere.exit_code != 0


def test_a_message_in_json_is_a_session_file_too(tmp_path: Path) -> None:
    text, message = tmp_path / "s.dpn", tmp_path / "s.json"
    text.write_text(GOOD)
    message.write_text(CliRunner().invoke(app, ["program", "json", str(text)]).output)
    assert "session s: 1 programs" in CliRunner().invoke(app, ["program", "check", str(message)]).output
    written = CliRunner().invoke(app, ["program", "fmt", str(message)]).output
    again = tmp_path / "again.dpn"
    again.write_text(written)
    assert CliRunner().invoke(app, ["program", "fmt", "--check", str(again)]).exit_code == 0
    printed = CliRunner().invoke(app, ["program", "json", str(again)]).output
    assert json.loads(printed) == json.loads(message.read_text())
    assert CliRunner().invoke(app, ["program", "fmt", "--write", str(message)]).exit_code == 2
    message.write_text(message.read_text().replace('"p"', '"q"', 1))
    refused = CliRunner().invoke(app, ["program", "check", str(message)])
    assert refused.exit_code == 1 and f"{message}:programs[0]" in refused.stderr


def test_a_file_that_is_no_text_is_refused(tmp_path: Path) -> None:
    file = tmp_path / "s.dpn"
    file.write_bytes(bytes(range(256)) * 10)
    done = CliRunner().invoke(app, ["program", "check", str(file)])
    assert done.exit_code == 1 and "error:" in done.stderr
    file.write_bytes(b" " * (1 << 21))
    assert "more than 1048576" in CliRunner().invoke(app, ["program", "check", str(file)]).stderr


def test_certificates_are_made_and_the_authority_kept(tmp_path: Path) -> None:
    done = CliRunner().invoke(app, ["certs", str(tmp_path / "c"), "--name", "u1", "--name", "10.0.0.1"])
    assert done.exit_code == 0
    authority = (tmp_path / "c" / "ca.pem").read_bytes()
    first = (tmp_path / "c" / "cert.pem").read_bytes()
    assert (tmp_path / "c" / "key.pem").stat().st_mode & 0o777 == 0o600
    CliRunner().invoke(app, ["certs", str(tmp_path / "c")])
    assert (tmp_path / "c" / "ca.pem").read_bytes() == authority
    assert (tmp_path / "c" / "cert.pem").read_bytes() != first


def test_the_reference_s_example_is_good(tmp_path: Path) -> None:
    text = (EXAMPLES.parent / "docs" / "session-language.md").read_text().split("```")[1]
    file = tmp_path / "s.dpn"
    file.write_text(text)
    assert CliRunner().invoke(app, ["program", "check", str(file)]).exit_code == 0

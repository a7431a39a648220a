from __future__ import annotations

import tarfile
from pathlib import Path

import pytest

from dipronn.demo.bundles import DEMO_BUNDLES, HELLO_BUNDLES, Bundle, build
from dipronn.errors import Unavailable

BUNDLES = (*DEMO_BUNDLES, *HELLO_BUNDLES)


def test_bundles_are_the_same_every_time(tmp_path: Path) -> None:
    first, second = build(tmp_path / "one", BUNDLES), build(tmp_path / "two", BUNDLES)
    assert sorted(first) == ["greet.tar", "open.tar", "seal.tar", "thin.tar"]
    for name, path in first.items():
        assert path.read_bytes() == second[name].read_bytes(), name
    assert sorted(path.name for path in (tmp_path / "one").iterdir()) == sorted(first)


def test_each_bundle_starts_by_run(tmp_path: Path) -> None:
    for name, path in build(tmp_path, BUNDLES).items():
        with tarfile.open(path) as tar:
            members = {member.name: member for member in tar}
            assert members["run"].mode == 0o755, name
            assert {(member.mtime, member.uid, member.gid) for member in tar} == {(0, 0, 0)}
            start = tar.extractfile("run")
            assert start is not None
            assert start.read(4) in (b"#!/u", b"\x7fELF"), name


def test_building_again_replaces(tmp_path: Path) -> None:
    (tmp_path / "greet.tar").write_bytes(b"old")
    path = build(tmp_path, HELLO_BUNDLES)["greet.tar"]
    assert tarfile.is_tarfile(path)


def test_a_program_that_does_not_compile_is_told(tmp_path: Path) -> None:
    source = tmp_path / "broken.c"
    source.write_text("int main(void) { return nothing; }\n")
    with pytest.raises(Unavailable, match=r"(?s)program broken does not compile.*nothing"):
        build(tmp_path / "out", [Bundle("broken", c_sources=(source,), libraries=("sodium",))])
    assert not list((tmp_path / "out").iterdir())

"""The configuration file: what is read from it, and what its mistakes are called."""

from __future__ import annotations

from pathlib import Path

import pytest

from controller.steering.model import Unmatched
from dipronn.unit.config import BadConfiguration
from dipronn.v1 import unit_pb2
from vmhost.agent.config import read_config
from vmhost.vm.spec import LimitPolicy

GOOD = """
unit = "u1"
roles = ["processing", "aggregation"]
state = "/run/u1"
pins = "/sys/fs/bpf/u1"
cache = "/var/cache/dipronn"
[control]
address = "unix:/run/control.sock"
[[links]]
device = "data0"
network = "data"
[[links]]
device = "out0"
vlan = 7
network = "outside"
outside = true
unmatched = "request"
"""


def written(folder: Path, text: str) -> Path:
    path = folder / "agent.toml"
    path.write_text(text)
    return path


def test_a_file_is_read(tmp_path: Path) -> None:
    config = read_config(written(tmp_path, GOOD))
    assert config.unit == "u1"
    assert config.roles == (unit_pb2.ROLE_PROCESSING, unit_pb2.ROLE_AGGREGATION)
    assert config.control.heartbeat == 0.25
    data, out = config.links
    assert (data.device, data.vlan, data.outside, data.unmatched) == ("data0", 0, False, Unmatched.HOST)
    assert (out.device, out.vlan, out.outside, out.unmatched) == ("out0", 7, True, Unmatched.REQUEST)
    assert config.resources.memory is None


def test_resources_may_be_stated(tmp_path: Path) -> None:
    config = read_config(written(tmp_path, GOOD + "[resources]\ncpu = 1.5\nmemory = 1000000\n"))
    assert (config.resources.cpu, config.resources.memory, config.resources.storage) == (1.5, 1000000, None)


def test_limits_may_be_stated(tmp_path: Path) -> None:
    assert read_config(written(tmp_path, GOOD)).limits == LimitPolicy()
    config = read_config(written(tmp_path, GOOD + '[limits]\ncpu = "strict"\nstorage = 65536\n'))
    assert config.limits == LimitPolicy(strict_cpu=True, io_bps=65536)
    with pytest.raises(BadConfiguration, match=r"limits\.cpu must be one of shares, strict"):
        read_config(written(tmp_path, GOOD + '[limits]\ncpu = "none"\n'))


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ('unit = "u1"', "", "unit is missing"),
        ('unit = "u1"', 'unit = "../u1"', "unit must be a text"),
        ('unit = "u1"', 'unit = "u1"\ncolour = 3', "colour is unknown"),
        ('"processing"', '"cooking"', "roles must be one of distribution, processing, aggregation"),
        ('"/run/u1"', '"run/u1"', "state must be an absolute path"),
        ("unix:/run/control.sock", "10.0.0.1:7000", "control.certs is missing"),
        ('network = "data"', 'network = ["data"]', r"links\[0\].network must be a text"),
        ("vlan = 7", "vlan = 5000", r"links\[1\].vlan must be a number from 0 to 4094"),
        ('"request"', '"ask"', r"links\[1\].unmatched must be one of drop, host, request"),
        ("outside = true", "outside = 1", r"links\[1\].outside must be true or false"),
        ('device = "out0"\nvlan = 7', 'device = "data0"', "links has a device and VLAN twice"),
        ('device = "data0"', 'device = "a/b"', r"links\[0\].device must be a text"),
        ("[control]", "[control", "not TOML"),
    ],
)
def test_a_mistake_is_named(tmp_path: Path, old: str, new: str, message: str) -> None:
    assert old in GOOD
    path = written(tmp_path, GOOD.replace(old, new, 1))
    with pytest.raises(BadConfiguration, match=message) as error:
        read_config(path)
    assert str(error.value).startswith(f"{path}: ")


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(BadConfiguration, match=r"nowhere\.toml: No such file"):
        read_config(tmp_path / "nowhere.toml")

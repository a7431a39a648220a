"""p4runtime-shell on a switch that runs our pipeline, beside the switch's agent: run by setup/shell.sh.

    shell.py HOST:PORT P4INFO

It joins as a backup controller: it reads everything, and writes only while no agent is there. It never pushes
a pipeline: that would empty the switch.
"""

from __future__ import annotations

import os
import sys
from pathlib import Path

import grpc
import p4runtime_sh.shell as shell
from google.protobuf import text_format
from p4.config.v1 import p4info_pb2
from p4.v1 import p4runtime_pb2, p4runtime_pb2_grpc

DEVICE_ID = 1
ELECTION_ID = (0, 2 + os.getpid() % 98)
"""High and low half, another for each shell; every switch agent's is at least 100."""
SECONDS = 10


def main() -> int:
    address, path = sys.argv[1:]
    ours = text_format.Parse(Path(path).read_text(), p4info_pb2.P4Info())
    try:
        theirs = _pipeline(address)
    except grpc.RpcError as error:
        assert isinstance(error, grpc.Call)
        return _refuse(
            f"switch {address}: {error.code().name.lower()}: {error.details()}; does its agent run?"
        )
    if theirs != ours:
        return _refuse(f"switch {address} runs another pipeline than p4/build; restart its agent")
    sys.argv = [
        "p4runtime-shell",
        *("--grpc-addr", address, "--device-id", str(DEVICE_ID)),
        *("--election-id", ",".join(map(str, ELECTION_ID))),
    ]
    shell.main()
    return 0


def _pipeline(address: str) -> p4info_pb2.P4Info:
    request = p4runtime_pb2.GetForwardingPipelineConfigRequest(
        device_id=DEVICE_ID,
        response_type=p4runtime_pb2.GetForwardingPipelineConfigRequest.P4INFO_AND_COOKIE,
    )
    with grpc.insecure_channel(address) as channel:
        stub = p4runtime_pb2_grpc.P4RuntimeStub(channel)
        return stub.GetForwardingPipelineConfig(request, timeout=SECONDS).config.p4info


def _refuse(why: str) -> int:
    sys.stderr.write(f"shell: {why}\n")
    return 1


if __name__ == "__main__":
    sys.exit(main())

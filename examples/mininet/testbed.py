"""Mininet's part, run by Debian's Python, to which Mininet belongs: hosts and links as a plan says.

    testbed.py PLAN ANSWERS ORDERS

PLAN is JSON: {"hosts": [name, ...], "links": [[host, device, host, device], ...]}. To the descriptor ANSWERS
goes one line, {host: pid}; from the descriptor ORDERS come lines: "cli" opens Mininet's prompt, answered by
"done" at its end. When ORDERS ends the network is removed: by Mininet's own handles, nothing is looked for by
name.
"""

from __future__ import annotations

import json
import os
import signal
import sys

from mininet.cli import CLI
from mininet.log import setLogLevel
from mininet.net import Mininet


def main() -> None:
    plan = json.loads(sys.argv[1])
    with os.fdopen(int(sys.argv[2]), "w") as answers, os.fdopen(int(sys.argv[3])) as orders:
        # Who started this ends it, by closing ORDERS; Ctrl-C meets both.
        signal.signal(signal.SIGINT, signal.SIG_IGN)
        setLogLevel("output")
        net = Mininet(controller=None, build=False)
        try:
            # Without Mininet's addresses: units and hosts get those of the plan, switches none.
            hosts = {name: net.addHost(name, ip=None) for name in plan["hosts"]}
            for one, one_device, other, other_device in plan["links"]:
                net.addLink(hosts[one], hosts[other], intfName1=one_device, intfName2=other_device)
            net.build()
            answers.write(json.dumps({name: host.pid for name, host in hosts.items()}) + "\n")
            answers.flush()
            for order in orders:
                if order == "cli\n":
                    CLI(net)
                    answers.write("done\n")
                    answers.flush()
        finally:
            net.stop()


if __name__ == "__main__":
    main()

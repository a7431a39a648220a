#!/usr/bin/env bash
# Opens p4runtime-shell on a switch, in an environment of its own: `make shell SWITCH=...`.
# SWITCH: host:port of a P4Runtime server, or the namespace of an all-in-one node's switch (dipronn-distribution).
set -euo pipefail
cd "$(dirname "$0")/.."

switch=${1:-}
if [[ -z $switch ]]; then
    echo "which switch? make shell SWITCH=host:port, or SWITCH=NODE-UNIT, as in SWITCH=dipronn-distribution" >&2
    exit 2
fi
enter=()
if [[ $switch != *:* ]]; then
    if [[ ! -e /run/netns/$switch ]]; then
        echo "no such switch: $switch is neither host:port nor a namespace of this machine" >&2
        exit 2
    fi
    enter=(nsenter "--net=/run/netns/$switch" --)
    switch=127.0.0.1:9559
fi

venv=build/shell
if [[ ! -e $venv/.lock ]] || ! cmp -s setup/shell.lock "$venv/.lock"; then
    echo "shell: installing p4runtime-shell into $venv" >&2
    [[ -x $venv/bin/python ]] || /usr/bin/python3.11 -m venv "$venv"
    "$venv/bin/pip" install -q --disable-pip-version-check --require-hashes -r setup/shell.lock >&2
    cp setup/shell.lock "$venv/.lock"
fi
exec "${enter[@]}" "$venv/bin/python" setup/shell.py "$switch" p4/build/steering.p4info.txtpb

"""Run measurements and keep their results; status 1 when a goal is missed."""

from __future__ import annotations

import argparse
import json
import os
import platform
import sys
import traceback
from pathlib import Path

from bench.plots import draw
from bench.registry import Result, discover

ROOT = Path(__file__).parent.parent
OUTPUT = ROOT / "build" / "bench.json"
PLOTS = ROOT / "docs" / "bench"


def machine() -> str:
    """One line about where this ran; figures from elsewhere compare only as ratios."""
    models = [
        line.split(":", 1)[1].strip()
        for line in Path("/proc/cpuinfo").read_text().splitlines()
        if "model name" in line
    ]
    return f"{models[0] if models else platform.machine()} x{os.cpu_count()}, Linux {platform.release()}"


def main() -> int:
    measurements = discover()
    parser = argparse.ArgumentParser(prog="python -m bench", description=__doc__)
    parser.add_argument(
        "--only", metavar="NAME", choices=sorted(measurements), help=", ".join(sorted(measurements))
    )
    only: str | None = parser.parse_args().only
    OUTPUT.parent.mkdir(exist_ok=True)
    kept = (
        {entry["name"]: entry for entry in json.loads(OUTPUT.read_text())} if only and OUTPUT.exists() else {}
    )
    failed = False
    for name, measure in measurements.items():
        if only not in (None, name):
            continue
        try:
            for result in measure():
                kept[result.name] = result.to_json() | {"conditions": f"{result.conditions}; {machine()}"}
                failed |= not result.ok
                say(result)
        except Exception:
            traceback.print_exc()
            failed = True
        OUTPUT.write_text(json.dumps(list(kept.values()), indent=2) + "\n")
    draw(list(kept.values()), PLOTS)
    return int(failed)


def say(result: Result) -> None:
    goal = (
        f" (goal {result.goal.op} {result.goal.value:.4g}: {'ok' if result.ok else 'MISSED'})"
        if result.goal
        else ""
    )
    peers = "".join(f", {name} {value:.4g}" for name, value in result.peers.items())
    sys.stderr.write(f"{result.name}: {result.value:.4g} {result.unit}{goal}{peers}\n")


if __name__ == "__main__":
    sys.exit(main())

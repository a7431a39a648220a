"""``python -m tests.side_by_side``: the whole suite as two runs of pytest at the same time.

Tests on namespaces and machines wait most of the time, the others compute; one after the other they leave one
of two cores idle.  Each run has a summary of its own; the status is 0 only if both are.
"""

from __future__ import annotations

import contextlib
import signal
import subprocess
import sys
import tempfile
from pathlib import Path

TESTS = Path(__file__).parent
WAITING = "system"


def main() -> int:
    folders = sorted(path for path in TESTS.iterdir() if path.is_dir() and any(path.rglob("test_*.py")))
    with tempfile.TemporaryFile("w+") as output:
        waiting = subprocess.Popen(_pytest(TESTS / WAITING), stdout=output, stderr=subprocess.STDOUT)
        computing = subprocess.Popen(_pytest(*(path for path in folders if path.name != WAITING)))
        runs = (computing, waiting)

        def interrupt(*_: object) -> None:
            for run in runs:
                run.send_signal(signal.SIGINT)  # by SIGTERM pytest would end without removing what it made

        signal.signal(signal.SIGTERM, interrupt)
        for run in runs:
            while run.poll() is None:
                # Ctrl-C reaches them as well, and they clean up before they end.
                with contextlib.suppress(KeyboardInterrupt):
                    run.wait()
        output.seek(0)
        for line in output:
            sys.stdout.write(line)
    return int(any(run.returncode for run in runs))


def _pytest(*paths: Path) -> list[str]:
    return [sys.executable, "-m", "pytest", *map(str, paths)]


if __name__ == "__main__":
    sys.exit(main())

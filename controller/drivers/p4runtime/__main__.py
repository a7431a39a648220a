"""``python -m controller.drivers.p4runtime --config FILE [--remove]``: the agent of one switch.

Runs until SIGTERM or SIGINT and leaves the switch steering then; the next start takes it over. With
``--remove`` it ends the running agent and leaves nothing in the switch. Exit status: 0, or 1 with the reason
in the log.
"""

from __future__ import annotations

import argparse
import asyncio
import logging
import signal
import sys
from contextlib import suppress
from pathlib import Path

import structlog
from structlog.dev import plain_traceback

from controller.drivers.p4runtime.agent import SwitchAgent
from controller.drivers.p4runtime.config import SwitchConfig, read_config
from controller.drivers.p4runtime.pipeline import Pipeline
from controller.drivers.p4runtime.remove import remove
from dipronn.errors import DipronnError
from dipronn.unit.slices import SliceStore

_log = structlog.get_logger(__name__)


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m controller.drivers.p4runtime", description=__doc__)
    parser.add_argument("--config", type=Path, required=True, help="the switch's TOML file")
    parser.add_argument("--remove", action="store_true", help="take the switch out of the node, and end")
    parser.add_argument("--verbose", action="store_true", help="log details, too")
    arguments = parser.parse_args()
    level = logging.DEBUG if arguments.verbose else logging.INFO
    structlog.configure(
        processors=[
            structlog.processors.add_log_level,
            structlog.processors.TimeStamper(fmt="iso"),
            structlog.dev.ConsoleRenderer(colors=sys.stderr.isatty(), exception_formatter=plain_traceback),
        ],
        wrapper_class=structlog.make_filtering_bound_logger(level),
        logger_factory=structlog.PrintLoggerFactory(sys.stderr),
    )
    try:
        config = read_config(arguments.config)
        store, pipeline = SliceStore(config.state), Pipeline.load()
        run = remove if arguments.remove else _run
        asyncio.run(run(config, store, pipeline))
    except DipronnError as error:
        _log.error("the agent cannot go on", error=str(error))
        return 1
    return 0


async def _run(config: SwitchConfig, store: SliceStore, pipeline: Pipeline) -> None:
    store.open()
    with store.lock():
        task = asyncio.create_task(SwitchAgent(config, store, pipeline).run(), name="agent")
        for number in (signal.SIGTERM, signal.SIGINT):
            asyncio.get_running_loop().add_signal_handler(number, task.cancel)
        with suppress(asyncio.CancelledError):
            await task
    _log.info("agent ended; the switch steers on", unit=config.unit)


if __name__ == "__main__":
    sys.exit(main())

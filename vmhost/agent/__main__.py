"""``python -m vmhost.agent --config FILE [--remove]``, inside the unit's network namespace.

Runs until SIGTERM or SIGINT and leaves everything running then: machines, XDP, maps. The next start takes it
over. ``--remove`` takes all of it down instead. Exit status: 0, or 1 with the reason in the log.
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

from dipronn.errors import DipronnError
from dipronn.v1 import unit_pb2
from ebpf.loader import SteeringProgram
from vmhost.agent.agent import Agent
from vmhost.agent.config import AgentConfig, read_config
from vmhost.agent.machines import open_driver
from vmhost.agent.remove import remove
from vmhost.agent.store import Store

_log = structlog.get_logger(__name__)


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m vmhost.agent", description=__doc__)
    parser.add_argument("--config", type=Path, required=True, help="the unit's TOML file")
    parser.add_argument("--remove", action="store_true", help="take the unit down and end")
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
        asyncio.run(remove(config) if arguments.remove else _run(config))
    except DipronnError as error:
        _log.error("the agent cannot go on", error=str(error))
        return 1
    return 0


async def _run(config: AgentConfig) -> None:
    store = Store(config.state)
    store.open()
    with store.lock():
        machines = unit_pb2.ROLE_PROCESSING in config.roles or store.vms.exists()
        driver = await open_driver(config, store) if machines else None
        program = SteeringProgram.load(pin_directory=config.pins)
        try:
            task = asyncio.create_task(Agent(config, store, program, driver).run(), name="agent")
            for number in (signal.SIGTERM, signal.SIGINT):
                asyncio.get_running_loop().add_signal_handler(number, task.cancel)
            with suppress(asyncio.CancelledError):
                await task
        finally:
            if driver:
                await driver.close()
            program.close(unpin=False)
        _log.info("agent ended; machines and steering go on", unit=config.unit)


if __name__ == "__main__":
    sys.exit(main())

"""``python -m controller``: runs the control unit until SIGTERM."""

from __future__ import annotations

import argparse
import asyncio
import json
import logging
import os
import sys
from pathlib import Path

import structlog

from controller.advice import thresholds
from controller.images import ImageLimits
from controller.limits import Limits, read_limits
from controller.restarts import RestartPolicy
from controller.server import Settings, serve
from dipronn.errors import DipronnError


def main() -> int:
    """0: ended by a signal.  1: could not run; standard error says why."""
    parser = argparse.ArgumentParser(prog="controller", description="The control unit of a DiProNN node.")
    parser.add_argument("--state", type=Path, required=True, help="directory of the store")
    parser.add_argument("--socket", type=Path, required=True, help="UNIX socket to listen at")
    parser.add_argument("--tcp", default="", metavar="ADDRESS:PORT", help="listen here too, with mutual TLS")
    parser.add_argument("--certs", type=Path, help="directory of ca.pem, cert.pem and key.pem")
    parser.add_argument("--name", default="dipronn", help="the node's name")
    parser.add_argument("--dead-after", type=float, default=1.0, help="seconds without heartbeat, default 1")
    parser.add_argument(
        "--image-quota", type=int, default=ImageLimits.quota, help="bytes of images that each owner may keep"
    )
    parser.add_argument(
        "--restarts",
        type=int,
        choices=range(len(RestartPolicy.delays) + 1),
        default=len(RestartPolicy.delays),
        metavar="N",
        help="how often a machine that died is started again, at most and by default %(default)s; 0: never",
    )
    parser.add_argument(
        "--elasticity",
        type=json.loads,
        default={},
        metavar="JSON",
        help="thresholds other than the usual ones",
    )
    parser.add_argument("--limits", type=Path, metavar="FILE", help="what users may have, as TOML")
    parser.add_argument(
        "--metrics", default="", metavar="ADDRESS:PORT", help="serve Prometheus here, to whoever asks"
    )
    arguments = vars(parser.parse_args())
    limits_file = arguments.pop("limits")
    restarts = RestartPolicy(delays=RestartPolicy.delays[: arguments.pop("restarts")])
    images = ImageLimits(quota=arguments.pop("image_quota"))
    structlog.configure(
        processors=[
            structlog.processors.add_log_level,
            structlog.processors.TimeStamper(fmt="iso", utc=True),
            structlog.processors.format_exc_info,
            structlog.processors.JSONRenderer(),
        ],
        wrapper_class=structlog.make_filtering_bound_logger(logging.INFO),
        logger_factory=structlog.WriteLoggerFactory(sys.stderr),
    )
    os.umask(0o077)
    try:
        limits = read_limits(limits_file) if limits_file else Limits()
        elasticity = thresholds(arguments.pop("elasticity"))
        settings = Settings(
            **arguments, images=images, limits=limits, restarts=restarts, elasticity=elasticity
        )
        asyncio.run(serve(settings))
    except DipronnError as error:
        structlog.get_logger().error("cannot run", reason=str(error))
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())

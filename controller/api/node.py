"""``dipronn.v1.Node``: the node as a whole."""

from __future__ import annotations

import time
from importlib.metadata import version
from typing import Any

import grpc

from controller.admission import reservations, total
from controller.api.status import errors_as_status
from controller.explain import Left, follow, oracles
from controller.placement.admission import Amount
from controller.registry import Registry
from controller.slices import node_slice
from controller.steering import wire
from controller.steering.deployment import NodeUnit
from controller.steering.model import Tables
from controller.steering.node_rows import link_rows
from controller.units import Units, UnitState
from dipronn.errors import NotFound
from dipronn.v1 import node_pb2 as pb
from dipronn.v1 import node_pb2_grpc, unit_pb2

Context = grpc.aio.ServicerContext[Any, Any]


class NodeService(node_pb2_grpc.NodeServicer):
    def __init__(self, name: str, units: Units, registry: Registry) -> None:
        self._name = name
        self._units = units
        self._registry = registry

    async def Status(self, request: pb.NodeStatusRequest, context: Context) -> pb.NodeStatus:
        async with errors_as_status(context):
            reserved = reservations(self._registry.reserving())
            return pb.NodeStatus(
                name=self._name,
                version=version("dipronn"),
                units=[
                    _status(unit, reserved.get(unit.name, Amount())) for unit in self._units.known.values()
                ],
                sessions=len(self._registry.sessions),
            )
        raise AssertionError

    async def Explain(self, request: pb.ExplainRequest, context: Context) -> pb.ExplainResponse:
        async with errors_as_status(context):
            nodes = self._units.node_units()
            if request.unit not in nodes:
                raise NotFound(f"no unit `{request.unit}`; there are: {', '.join(nodes) or 'none'}")
            tables = {name: self._tables(node) for name, node in nodes.items()}
            entry = Left(request.unit, request.device, request.frame)
            names = self._registry.names()
            return pb.ExplainResponse(
                steps=[
                    pb.ExplainStep(
                        unit=met.unit,
                        copy=met.copy,
                        table=met.table,
                        rule=names.explain(met.table, met.rule),
                        verdict=met.verdict,
                    )
                    for met in follow(nodes, oracles(nodes, tables), entry).steps
                ]
            )
        raise AssertionError

    async def Desired(self, request: pb.DesiredRequest, context: Context) -> pb.DesiredResponse:
        async with errors_as_status(context):
            base = node_slice(self._units.alive_rows())
            return pb.DesiredResponse(
                units=[
                    pb.UnitDesired(unit=name, slices=[base, *self._registry.desired_of(name)])
                    for name in self._units.known
                ]
            )
        raise AssertionError

    def _tables(self, node: NodeUnit) -> Tables:
        rows = link_rows(node)
        for slice_ in [node_slice(self._units.alive_rows()), *self._registry.desired_of(node.name)]:
            rows.merge(wire.decode(slice_.tables))
        return rows


def _status(unit: UnitState, reserved: Amount) -> pb.UnitStatus:
    hello, all_ = unit.stored.hello, total(unit)
    return pb.UnitStatus(
        name=unit.name,
        alive=unit.alive and unit.member is not None and unit.member.welcomed,
        roles=hello.roles,
        total=_resources(all_, hello.resources.storage_bytes),
        reserved=_resources(reserved, reserved.storage_bytes),
        links=hello.links,
        counters=unit.counters,
        unheld=hello.unheld,
        heartbeat_age_s=max(0.0, time.monotonic() - unit.heard),
    )


def _resources(amount: Amount, storage_bytes: int) -> unit_pb2.Resources:
    return unit_pb2.Resources(
        cpu=amount.cpu,
        memory_bytes=amount.memory_bytes,
        storage_bytes=storage_bytes,
        bandwidth_bps=amount.bandwidth_bps,
    )

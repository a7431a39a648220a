"""``dipronn.v1.Accounts``."""

from __future__ import annotations

from typing import Any

import grpc

from controller.accounting import Accounts, Entry
from controller.api.identity import caller
from controller.api.status import errors_as_status
from dipronn.v1 import accounts_pb2 as pb
from dipronn.v1 import accounts_pb2_grpc

Context = grpc.aio.ServicerContext[Any, Any]


class AccountsService(accounts_pb2_grpc.AccountsServicer):
    def __init__(self, accounts: Accounts) -> None:
        self._accounts = accounts

    async def List(self, request: pb.ListAccountsRequest, context: Context) -> pb.ListAccountsResponse:
        async with errors_as_status(context):
            user = caller(context)
            return pb.ListAccountsResponse(
                accounts=[
                    _message(entry)
                    for entry in self._accounts.entries()
                    if request.session in ("", entry.session) and user in (None, entry.owner)
                ]
            )
        raise AssertionError


def _message(entry: Entry) -> pb.Account:
    message = pb.Account(
        session=entry.session,
        number=entry.number,
        owner=entry.owner,
        cpu_seconds=entry.cpu_ns / 1e9,
        memory_byte_seconds=entry.memory_byte_seconds,
        channels=[
            pb.ChannelAccount(channel=name, packets=packets, bytes=octets)
            for name, (packets, octets) in sorted(entry.channels.items())
        ],
    )
    message.opened.FromNanoseconds(int(entry.opened * 1e9))
    if entry.closed:
        message.closed.FromNanoseconds(int(entry.closed * 1e9))
    return message

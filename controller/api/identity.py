"""Who calls: over TCP the certificate says so; the UNIX socket is the operator's alone."""

from __future__ import annotations

from typing import Any

import grpc

from dipronn.errors import PermissionRefused

Context = grpc.aio.ServicerContext[Any, Any]


def caller(context: Context) -> str | None:
    """The first name in the caller's certificate; None over the UNIX socket. Raises PermissionRefused."""
    authentication = context.auth_context()
    if authentication.get("transport_security_type") != [b"ssl"]:
        return None
    names = list(authentication.get("x509_subject_alternative_name", []))
    if not names:
        raise PermissionRefused("the certificate states no name; make one by `dipronn certs DIR --name NAME`")
    return names[0].decode(errors="replace")


def require_unit(unit: str, context: Context) -> None:
    """Over TCP an agent may only speak for a unit that its certificate states. Raises PermissionRefused."""
    authentication = context.auth_context()
    stated = [
        name.decode(errors="replace") for name in authentication.get("x509_subject_alternative_name", [])
    ]
    if authentication.get("transport_security_type") == [b"ssl"] and unit not in stated:
        raise PermissionRefused(
            f"the certificate is not for unit `{unit}` but for {', '.join(stated) or 'nobody'}; "
            f"make one by `dipronn certs DIR --name {unit}`"
        )


def owner_of(context: Context, wanted: str) -> str:
    """For whom a caller acts: the operator for anybody, others for themselves. Raises PermissionRefused."""
    name = caller(context)
    if name is None:
        return wanted
    if wanted not in ("", name):
        raise PermissionRefused(f"the certificate is for `{name}`, not for `{wanted}`; leave the owner out")
    return name

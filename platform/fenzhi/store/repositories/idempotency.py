"""Idempotency keys (幂等键), stored in the transaction of the effect."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from sqlalchemy import Row, select

from fenzhi.store.session import UnitOfWork
from fenzhi.store.tables.jobs import idempotency_key


async def find(uow: UnitOfWork, client: str, key: str) -> Row[Any] | None:
    """What was answered to this key of this client of the acting tenant, if anything."""
    return await uow.first(
        select(idempotency_key.c.request_sha256, idempotency_key.c.response).where(
            idempotency_key.c.tenant == uow.scope.tenant,
            idempotency_key.c.client == client,
            idempotency_key.c.key == key,
        )
    )


async def keep(
    uow: UnitOfWork, client: str, key: str, operation: str, request_sha256: bytes, response: Mapping[str, Any]
) -> None:
    """Keep the answer with the effect."""
    await uow.execute(
        idempotency_key.insert().values(
            tenant=uow.scope.tenant,
            client=client,
            key=key,
            operation=operation,
            request_sha256=request_sha256,
            response=dict(response),
        )
    )

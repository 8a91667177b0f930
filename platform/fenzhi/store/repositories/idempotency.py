"""Idempotency keys (幂等键), stored in the transaction of the effect, with the audit row of the act they belong to."""

from __future__ import annotations

import uuid
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import msgspec

from fenzhi.store.session import UnitOfWork, new_id

_FIND = "select request_sha256, response from idempotency_key where tenant = $1 and client = $2 and key = $3"
_KEEP_AND_NOTE = """
with told as (
    insert into audit_event
           (event_id, tenant, province_id, area_id, account_id, person_id, role, action, object_type, object_id, request_id, details)
    values ($7, $1, $8, $9, $10, $11, $12, $4, $13, $14, $15, '{}')
)
insert into idempotency_key (tenant, client, key, operation, request_sha256, response) values ($1, $2, $3, $4, $5, $6)
"""


@dataclass(frozen=True, slots=True)
class Kept:
    """What was answered to a key before (首次应答)."""

    request_sha256: bytes
    response: dict[str, Any]


@dataclass(frozen=True, slots=True)
class Done:
    """An act that was carried out (已执行的变更): its key, what it was asked and what it answers, and by whom."""

    client: str
    key: str
    operation: str
    request_sha256: bytes
    answer: Mapping[str, Any]
    role: str
    request_id: str


async def find(uow: UnitOfWork, client: str, key: str) -> Kept | None:
    """What was answered to this key of this client of the acting tenant, if anything."""
    row = await uow.straight(_FIND, uow.scope.tenant, client, key)
    return None if row is None else Kept(bytes(row[0]), dict(row[1]))


async def keep_and_note(uow: UnitOfWork, done: Done) -> None:
    """Keep the answer and its audit row with the effect (保存应答与审计), in one statement. Details carry nothing: no personal data."""
    scope = uow.scope
    await uow.straight(
        _KEEP_AND_NOTE,
        scope.tenant,
        done.client,
        done.key,
        done.operation,
        done.request_sha256,
        msgspec.json.encode(done.answer).decode(),
        new_id(),
        scope.province_id,
        scope.area_id,
        uuid.UUID(scope.account_id) if scope.account_id else None,
        uuid.UUID(scope.person_id) if scope.person_id else None,
        done.role,
        str(done.answer.get("type", "")),
        str(done.answer.get("id", "")),
        done.request_id,
    )

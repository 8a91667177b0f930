"""How every service runs (服务的骨架): authorise, open one transaction, answer a repeated key with the first answer, commit at the edge."""

from __future__ import annotations

import hashlib
import ssl
import uuid
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import msgspec

from fenzhi.access.issuer_keys import KeyHosts
from fenzhi.access.roles import Duty
from fenzhi.access.scope import Scope
from fenzhi.access.subject import SecondFactorRequired, Subject
from fenzhi.access.webhook_hosts import WebhookHosts
from fenzhi.outbox.jobs import LEASE_S, Doorbell
from fenzhi.rules.refusals import Conflict, DataRefused, Refusal
from fenzhi.services.identity.failures import note_account_failure
from fenzhi.store.failpoints import failpoint
from fenzhi.store.keyring import Keyring
from fenzhi.store.repositories import idempotency
from fenzhi.store.session import Database, UnitOfWork

Answer = dict[str, Any]
"""What an act answers: ids and small facts as JSON values, stored with its idempotency key and given again for the same key."""


@dataclass(frozen=True, slots=True)
class Platform:
    """What services need of the outside (运行环境)."""

    database: Database
    doorbell: Doorbell
    keyring: Keyring
    is_development: bool = False
    """Whether development accounts are made for each new tenant."""
    memory_limit_mb: int = 1024
    """For the bulk engine."""
    lease_s: int = LEASE_S
    """How long a silent worker keeps a job (作业租期)."""
    audit_digest: str = "sha256"
    """The digest that new links of the audit chain are made with (审计摘要算法): sha256 or sm3."""
    anchor_file: Path | None = None
    """Where anchors of the audit are written besides the database (审计锚点文件)."""
    key_hosts: KeyHosts = field(default_factory=KeyHosts)
    """From where issuers' keys may be read (公钥主机白名单)."""
    webhook_hosts: WebhookHosts = field(default_factory=WebhookHosts)
    """Where events may be sent (推送白名单)."""
    webhook_trust: ssl.SSLContext = field(default_factory=ssl.create_default_context)
    """What certificates of receivers are verified by (推送证书信任)."""


@dataclass(frozen=True, slots=True)
class Request:
    """One request to act (请求): its idempotency key, its id for logs and audit, and what it asks as plain JSON values."""

    operation: str
    key: str
    order: Mapping[str, Any]
    request_id: str = ""


class KeyReused(Conflict):
    """The same idempotency key came with another request (幂等键冲突)."""

    code = "IDEMPOTENCY_KEY_REUSED"


class TwinInFlight(Conflict):
    """The same request is being carried out at this moment (相同请求处理中)."""

    code = "IDEMPOTENCY_IN_FLIGHT"


def digest_of(order: Mapping[str, Any]) -> bytes:
    """The SHA-256 of an order in canonical JSON (请求摘要)."""
    return hashlib.sha256(msgspec.json.encode(order, order="deterministic")).digest()


@asynccontextmanager
async def looking(platform: Platform, subject: Subject, duty: Duty) -> AsyncIterator[UnitOfWork]:
    """A transaction for reading, in the scope the duty gives (查询事务). Raises: Forbidden."""
    scope = await _scope(platform, subject, duty)
    async with platform.database.unit_of_work(scope) as uow:
        yield uow


async def _scope(platform: Platform, subject: Subject, duty: Duty) -> Scope:
    """The scope of a duty; a money step tried without a second factor counts against the account."""
    try:
        return subject.scope_for(duty)
    except SecondFactorRequired:
        await note_account_failure(platform.database, subject.account_id, SecondFactorRequired.code)
        raise


async def act(
    platform: Platform,
    subject: Subject,
    duty: Duty,
    request: Request,
    effect: Callable[[UnitOfWork], Awaitable[Answer]],
) -> Answer:
    """Carry out one change exactly once per idempotency key (执行一次变更).

    The effect, its audit row and its answer commit together. The same key with the same request gives the first answer; with another
    request it is refused; while a twin runs, the later one is refused and may be sent again. A refused act stores nothing.

    Raises: Forbidden, KeyReused, TwinInFlight, and whatever the effect refuses with.
    """
    scope = await _scope(platform, subject, duty)
    if not 8 <= len(request.key) <= 255 or not request.key.isprintable():
        raise DataRefused(
            (
                Refusal(
                    code="IDEMPOTENCY_KEY_SHAPE",
                    where="idempotencyKey",
                    saw=request.key[:40],
                    zh="幂等键须为 8 至 255 个可见字符。",
                    en="An idempotency key has 8 to 255 printable characters.",
                    remedy_zh="每次新的操作使用一个新的随机键，重试时沿用原键。",
                    remedy_en="Use a fresh random key per act and the same key when retrying.",
                ),
            )
        )
    digest = digest_of({"operation": request.operation, "order": request.order})
    lock = f"{scope.tenant}\x1f{subject.client_id}\x1f{request.key}"
    async with platform.database.unit_of_work(scope, lock=lock) as uow:
        if not uow.holds_lock:
            raise TwinInFlight(
                "相同幂等键的请求正在处理。",
                "A request with the same key is in flight.",
                hint="稍后重试 / retry in a second",
            )
        stored = await idempotency.find(uow, subject.client_id, request.key)
        if stored is not None:
            if stored.request_sha256 != digest:
                raise KeyReused(
                    "该幂等键已用于不同的请求。",
                    "This idempotency key was used for a different request.",
                    hint="换一个新的幂等键 / use a fresh key",
                )
            return stored.response
        answer = await effect(uow)
        await idempotency.keep_and_note(
            uow,
            idempotency.Done(
                client=subject.client_id,
                key=request.key,
                operation=request.operation,
                request_sha256=digest,
                answer=answer,
                role=subject.role.value,
                request_id=request.request_id,
            ),
        )
        failpoint("act.before_commit")
    failpoint("act.after_commit")
    return answer


def as_id(value: str, what: str) -> uuid.UUID:
    """A surrogate key from its text. Raises: DataRefused naming the field."""
    try:
        return uuid.UUID(value)
    except ValueError:
        raise DataRefused(
            (
                Refusal(
                    code="ID_MALFORMED",
                    where=what,
                    saw=value[:60],
                    zh="标识格式不正确。",
                    en="Not a well-formed id.",
                    remedy_zh="使用查询返回的标识。",
                    remedy_en="Use an id that a query returned.",
                ),
            )
        ) from None

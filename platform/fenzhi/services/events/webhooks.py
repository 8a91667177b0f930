"""Addresses that events are sent to (推送地址): registered, rotated, tried out and disabled by the tenant they belong to."""

from __future__ import annotations

import uuid
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import Row

from fenzhi.access.roles import Duty
from fenzhi.access.subject import Subject
from fenzhi.outbox.timers import due_now, set_timer
from fenzhi.rules.events.kinds import EventKind
from fenzhi.rules.events.webhooks import SECRET_LEAST, SECRET_MOST
from fenzhi.rules.refusals import Conflict, DataRefused, NotFound, Refusal
from fenzhi.services.acts import Answer, Platform, Request, act, looking
from fenzhi.services.events.notices import DELIVER
from fenzhi.store.repositories import events as store
from fenzhi.store.session import UnitOfWork, new_id

ENDPOINTS_MOST = 5
OVERLAP_HOURS_MOST = 168
TEST_KIND = "webhook_test"
"""What a trial message calls itself: it is no event of the stream."""


class WebhookDisabled(Conflict):
    """The address is disabled (推送地址已停用)."""

    code = "WEBHOOK_DISABLED"


class WebhooksMost(Conflict):
    """The tenant has as many addresses as it may have (推送地址数已达上限)."""

    code = "WEBHOOKS_MOST"


@dataclass(frozen=True, slots=True)
class WebhookView:
    """An address (推送地址)."""

    endpoint_id: uuid.UUID
    url: str
    kinds: tuple[EventKind, ...]
    note: str
    state: str
    registered_at: datetime
    disabled_at: datetime | None


@dataclass(frozen=True, slots=True)
class AttemptView:
    """One attempt (推送尝试). `status`: of HTTP, where an answer came."""

    attempt_no: int
    outcome: str
    status: int | None
    took_ms: int
    attempted_at: datetime


@dataclass(frozen=True, slots=True)
class DeliveryView:
    """One event on its way to one address (推送记录)."""

    delivery_id: uuid.UUID
    event_id: uuid.UUID
    kind: str
    url: str
    state: str
    next_at: datetime | None
    ended_at: datetime | None
    attempts: tuple[AttemptView, ...]


@dataclass(frozen=True, slots=True)
class NewWebhook:
    """An address to be registered (待登记推送地址). `kinds` empty: every kind, later ones included."""

    url: str
    secret: str
    kinds: tuple[EventKind, ...]
    note: str


def secret_place(endpoint_id: uuid.UUID, secret_no: int) -> bytes:
    """The place a secret's ciphertext is bound to (密文绑定位置)."""
    return b"webhook" + endpoint_id.bytes + secret_no.to_bytes(2, "big")


def _fault(code: str, where: str, saw: str, zh: str, en: str, remedy_zh: str, remedy_en: str) -> Refusal:
    return Refusal(code, where, saw, zh, en, remedy_zh, remedy_en)


def _secret_faults(secret: str) -> list[Refusal]:
    if (
        SECRET_LEAST <= len(secret) <= SECRET_MOST
        and secret.isascii()
        and secret.isprintable()
        and len(set(secret)) >= 8
    ):
        return []
    return [
        _fault(
            "WEBHOOK_SECRET_WEAK", "secret", f"{len(secret)} characters",
            f"密钥须为 {SECRET_LEAST} 至 {SECRET_MOST} 个随机的可见 ASCII 字符。",
            f"A secret is {SECRET_LEAST} to {SECRET_MOST} random printable ASCII characters.",
            "用随机数生成器产生，例如 32 字节的十六进制。", "Make it by a random generator, such as 32 bytes in hex.",
        )
    ]  # fmt: skip


def _faults(platform: Platform, order: NewWebhook) -> list[Refusal]:
    found = []
    if not platform.webhook_hosts.allows(order.url):
        found.append(
            _fault(
                "WEBHOOK_HOST_NOT_ALLOWED", "url", order.url[:60],
                "推送地址须为 https，且主机在平台允许的名单内。", "An address is https on a host that the operator allows.",
                "请平台运营方将该主机加入 FENZHI_WEBHOOK_HOSTS。", "Ask the operator to add the host to FENZHI_WEBHOOK_HOSTS.",
            )
        )  # fmt: skip
    if len(order.note) > 200 or not (order.note.isprintable() or not order.note):
        found.append(
            _fault(
                "WEBHOOK_NOTE_SHAPE", "note", order.note[:40], "备注至多 200 个可见字符。",
                "A note has at most 200 printable characters.", "缩短备注。", "Shorten it.",
            )
        )  # fmt: skip
    return found + _secret_faults(order.secret)


async def register(platform: Platform, subject: Subject, request: Request, order: NewWebhook) -> Answer:
    """Register an address (登记推送地址): it hears of what happens from now on.

    The secret is kept encrypted under the tenant's key and never shown. Changes: event_stream, webhook_endpoint, webhook_secret.
    Raises: Forbidden, DataRefused with every fault at once, WebhooksMost.
    """
    faults = _faults(platform, order)

    async def effect(uow: UnitOfWork) -> Answer:
        if faults:
            raise DataRefused(tuple(faults))
        place = await _place(uow)
        stream = await store.hold_stream(uow, place)
        active = [row for row in await store.endpoints(uow) if row.state == "active"]
        if len(active) >= ENDPOINTS_MOST:
            raise WebhooksMost(
                f"推送地址至多 {ENDPOINTS_MOST} 个。", f"A tenant has at most {ENDPOINTS_MOST} addresses.",
                hint="先停用不再使用的地址 / disable one that is no longer used",
            )  # fmt: skip
        row = {
            **place,
            "url": order.url,
            "kinds": [kind.value for kind in order.kinds],
            "note": order.note,
            "taken_seq": stream.last_seq,
        }
        endpoint_id = await store.add_endpoint(uow, row)
        await _keep_secret(platform, uow, place, endpoint_id, 1, order.secret)
        await store.note_listening(uow)
        return {"type": "WebhookEndpoint", "id": str(endpoint_id)}

    return await act(platform, subject, Duty.MANAGE_WEBHOOKS, request, effect)


async def _place(uow: UnitOfWork) -> dict[str, Any]:
    scope = uow.scope
    return {
        "area_id": scope.area,
        "county_id": scope.county_id,
        "hospital_id": scope.hospital_id,
        "tenant": scope.tenant,
        "province_id": scope.province,
    }


async def _keep_secret(
    platform: Platform, uow: UnitOfWork, place: Mapping[str, Any], endpoint_id: uuid.UUID, number: int, secret: str
) -> None:
    owner = {name: value for name, value in place.items() if name != "province_id"}
    sealed = platform.keyring.seal(uow.scope.area, secret.encode(), secret_place(endpoint_id, number))
    row = {"endpoint_id": endpoint_id, "secret_no": number, "key_id": platform.keyring.key_id, "sealed_secret": sealed}
    await store.add_secret(uow, owner | row)


async def rotate(
    platform: Platform, subject: Subject, request: Request, endpoint_id: uuid.UUID, secret: str, overlap_hours: int
) -> Answer:
    """Give an address a new secret (轮换密钥); through the overlap every message carries a signature under each.

    Changes: webhook_secret. Raises: Forbidden, NotFound, WebhookDisabled, DataRefused.
    """
    faults = _secret_faults(secret)
    if not 0 <= overlap_hours <= OVERLAP_HOURS_MOST:
        faults.append(
            _fault(
                "WEBHOOK_OVERLAP_RANGE", "overlapHours", str(overlap_hours),
                f"新旧密钥并用时间为 0 至 {OVERLAP_HOURS_MOST} 小时。", f"An overlap is 0 to {OVERLAP_HOURS_MOST} hours.",
                "按接收方更换密钥所需时间填写。", "Give the time your receiver needs.",
            )
        )  # fmt: skip

    async def effect(uow: UnitOfWork) -> Answer:
        if faults:
            raise DataRefused(tuple(faults))
        await _active(uow, endpoint_id)
        until = await uow.now() + timedelta(hours=overlap_hours)
        number = await store.end_secrets(uow, endpoint_id, until) + 1
        await _keep_secret(platform, uow, await _place(uow), endpoint_id, number, secret)
        return {"type": "WebhookEndpoint", "id": str(endpoint_id)}

    return await act(platform, subject, Duty.MANAGE_WEBHOOKS, request, effect)


async def _active(uow: UnitOfWork, endpoint_id: uuid.UUID) -> Row[Any]:
    row = await store.endpoint(uow, endpoint_id, lock=True)
    if row is None:
        raise NotFound("没有该推送地址。", "No such address.")
    if row.state != "active":
        raise WebhookDisabled(
            "该推送地址已停用。", "The address is disabled.", hint="重新登记 / register it again",
        )  # fmt: skip
    return row


async def disable(platform: Platform, subject: Subject, request: Request, endpoint_id: uuid.UUID) -> Answer:
    """Disable an address for good (停用推送地址): what is on its way to it is dropped and stays in the log.

    Changes: webhook_endpoint, webhook_delivery, event_stream. Raises: Forbidden, NotFound, WebhookDisabled.
    """

    async def effect(uow: UnitOfWork) -> Answer:
        await store.hold_stream(uow, await _place(uow))
        await _active(uow, endpoint_id)
        await store.disable_endpoint(uow, endpoint_id)
        await store.drop_deliveries(uow, endpoint_id)
        await store.note_listening(uow)
        return {"type": "WebhookEndpoint", "id": str(endpoint_id)}

    return await act(platform, subject, Duty.MANAGE_WEBHOOKS, request, effect)


async def try_out(platform: Platform, subject: Subject, request: Request, endpoint_id: uuid.UUID) -> Answer:
    """Send a trial message (测试推送), signed and retried like any other. Changes: webhook_delivery, job_timer.

    Raises: Forbidden, NotFound, WebhookDisabled.
    """

    async def effect(uow: UnitOfWork) -> Answer:
        await _active(uow, endpoint_id)
        place = await _place(uow)
        event_id, now = new_id(), await uow.now()
        body = message(event_id, None, TEST_KIND, uow.scope.tenant, "WebhookEndpoint", str(endpoint_id), {}, now)
        owner = {name: value for name, value in place.items() if name != "province_id"}
        await store.add_deliveries(
            uow,
            [
                {
                    **owner,
                    "endpoint_id": endpoint_id,
                    "event_id": event_id,
                    "kind": TEST_KIND,
                    "body": body,
                    "next_at": now,
                }
            ],
        )
        await set_timer(
            uow, f"deliver/{uow.scope.tenant}", DELIVER, {"tenant": uow.scope.tenant}, due_at=due_now(), **place
        )
        return {"type": "WebhookEndpoint", "id": str(endpoint_id)}

    return await act(platform, subject, Duty.MANAGE_WEBHOOKS, request, effect)


def message(
    event_id: uuid.UUID,
    seq: int | None,
    kind: str,
    tenant: str,
    subject_type: str,
    subject_id: str,
    facts: Mapping[str, str],
    at: datetime,
) -> dict[str, Any]:
    """The body of a message (消息正文). `seq` is null for a trial."""
    return {
        "id": str(event_id),
        "seq": seq,
        "kind": kind,
        "tenant": tenant,
        "subject": {"type": subject_type, "key": subject_id},
        "facts": dict(facts),
        "recorded_at": at.isoformat(),
    }


def _view(row: Row[Any]) -> WebhookView:
    kinds = tuple(EventKind(kind) for kind in row.kinds)
    return WebhookView(row.endpoint_id, row.url, kinds, row.note, row.state, row.recorded_at, row.disabled_at)


async def endpoints(platform: Platform, subject: Subject) -> Sequence[WebhookView]:
    """The subject's own addresses (推送地址列表). Raises: Forbidden."""
    async with looking(platform, subject, Duty.MANAGE_WEBHOOKS) as uow:
        return [_view(row) for row in await store.endpoints(uow)]


async def endpoint_by_id(platform: Platform, subject: Subject, endpoint_id: uuid.UUID) -> WebhookView | None:
    """One of the subject's own addresses, or none (推送地址). Raises: Forbidden."""
    async with looking(platform, subject, Duty.MANAGE_WEBHOOKS) as uow:
        row = await store.endpoint(uow, endpoint_id)
        return None if row is None else _view(row)


async def deliveries(
    platform: Platform,
    subject: Subject,
    after: uuid.UUID | None,
    limit: int,
    *,
    endpoint_id: uuid.UUID | None = None,
    state: str = "",
) -> Sequence[DeliveryView]:
    """The log of what was sent, the newest first, every attempt with it (推送日志). Raises: Forbidden."""
    async with looking(platform, subject, Duty.MANAGE_WEBHOOKS) as uow:
        rows = await store.deliveries(uow, after, limit, endpoint_id=endpoint_id, state=state)
        tried: dict[uuid.UUID, list[AttemptView]] = {}
        for one in await store.attempts_of(uow, [row.delivery_id for row in rows]):
            view = AttemptView(one.attempt_no, one.outcome, one.status, one.took_ms, one.recorded_at)
            tried.setdefault(one.delivery_id, []).append(view)
        return [
            DeliveryView(
                row.delivery_id,
                row.event_id,
                row.kind,
                row.url,
                row.state,
                row.next_at,
                row.ended_at,
                tuple(tried.get(row.delivery_id, ())),
            )
            for row in rows
        ]

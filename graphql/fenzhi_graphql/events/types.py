"""Events and webhooks in GraphQL (事件与推送)."""

from __future__ import annotations

from datetime import datetime
from enum import Enum

import strawberry

from fenzhi.rules.events.kinds import EventKind as Kind
from fenzhi.services.events import notices, webhooks
from fenzhi_graphql.context import Info
from fenzhi_graphql.jobs.types import uuid_of
from fenzhi_graphql.node import Node, finds
from fenzhi_graphql.paging import global_id


@strawberry.enum(
    description="What happened (事件种类): batch_judged 批次已校验, list_returned 清单退回, list_passed 清单审核通过, case_held 病例冻结, "
    "case_released 病例恢复, statement_published 结算单发出或公布, catalog_published 目录发布, deadline_near 期限临近, "
    "dispute_answered 异议答复."
)
class EventKind(Enum):
    BATCH_JUDGED = Kind.BATCH_JUDGED.value
    LIST_RETURNED = Kind.LIST_RETURNED.value
    LIST_PASSED = Kind.LIST_PASSED.value
    CASE_HELD = Kind.CASE_HELD.value
    CASE_RELEASED = Kind.CASE_RELEASED.value
    STATEMENT_PUBLISHED = Kind.STATEMENT_PUBLISHED.value
    CATALOG_PUBLISHED = Kind.CATALOG_PUBLISHED.value
    DEADLINE_NEAR = Kind.DEADLINE_NEAR.value
    DISPUTE_ANSWERED = Kind.DISPUTE_ANSWERED.value


@strawberry.enum(
    description="How a delivery stands (推送状态): due 待推送, delivered 已送达, dead 三天内未送达, dropped 随地址停用而撤销."
)
class WebhookDeliveryState(Enum):
    DUE = "due"
    DELIVERED = "delivered"
    DEAD = "dead"
    DROPPED = "dropped"


@strawberry.enum(description="Whether an address is in use (推送地址状态).")
class WebhookState(Enum):
    ACTIVE = "active"
    DISABLED = "disabled"


@strawberry.type(description="One fact of an event: a code, a date or a count; nothing of a patient (事件要素).")
class EventFact:
    name: str = strawberry.field(description="Name, such as due_on (名称).")
    value: str = strawberry.field(description="Value (取值).")


@strawberry.type(description="Something that happened and concerns your tenant (事件).")
class TenantEvent:
    event_id: str = strawberry.field(description="Its id, the same in a webhook's message (事件标识).")
    seq: int = strawberry.field(description="Its number in your stream; numbers have no gaps (流水号).")
    kind: EventKind = strawberry.field(description="What happened (种类).")
    subject_type: str = strawberry.field(description="Type of the object concerned (对象类型).")
    subject: strawberry.ID = strawberry.field(description="The object concerned, for `node` (对象标识).")
    facts: list[EventFact] = strawberry.field(description="Facts by name (要素).")
    recorded_at: datetime = strawberry.field(description="When (时点).")

    @staticmethod
    def of(view: notices.EventView) -> TenantEvent:
        return TenantEvent(
            event_id=str(view.event_id),
            seq=view.seq,
            kind=EventKind(view.kind.value),
            subject_type=view.subject_type,
            subject=global_id(view.subject_type, view.subject_id),
            facts=[EventFact(name=name, value=value) for name, value in sorted(view.facts.items())],
            recorded_at=view.recorded_at,
        )


@strawberry.type(description="An address your tenant's events are sent to (推送地址). Its secret is never shown.")
class WebhookEndpoint(Node):
    url: str = strawberry.field(description="Address (地址).")
    kinds: list[EventKind] = strawberry.field(description="Kinds it hears of; empty for all (种类).")
    note: str = strawberry.field(description="Your own note (备注).")
    state: WebhookState = strawberry.field(description="Whether it is in use (状态).")
    registered_at: datetime = strawberry.field(description="When it was registered (登记时点).")
    disabled_at: datetime | None = strawberry.field(description="When it was disabled (停用时点).")

    @staticmethod
    def of(view: webhooks.WebhookView) -> WebhookEndpoint:
        return WebhookEndpoint(
            id=global_id("WebhookEndpoint", view.endpoint_id),
            url=view.url,
            kinds=[EventKind(kind.value) for kind in view.kinds],
            note=view.note,
            state=WebhookState(view.state),
            registered_at=view.registered_at,
            disabled_at=view.disabled_at,
        )


@strawberry.type(description="One attempt at a delivery (推送尝试).")
class WebhookAttempt:
    attempt_no: int = strawberry.field(description="Number, from 1 (次数).")
    outcome: str = strawberry.field(
        description="delivered, http_error, redirect_refused, timed_out, tls_refused, unreachable, address_refused or "
        "host_not_allowed (结果)."
    )
    status: int | None = strawberry.field(description="HTTP status, where an answer came (HTTP 状态).")
    took_ms: int = strawberry.field(description="How long it took, in milliseconds (耗时, 毫秒).")
    attempted_at: datetime = strawberry.field(description="When it was written down (时点).")


@strawberry.type(description="One event on its way to one address (推送记录).")
class WebhookDelivery:
    event_id: str = strawberry.field(description="The event's id, sent as Fenzhi-Event-Id (事件标识).")
    kind: str = strawberry.field(description="Kind of the event, or webhook_test (种类).")
    url: str = strawberry.field(description="Address (地址).")
    state: WebhookDeliveryState = strawberry.field(description="How it stands (状态).")
    next_at: datetime | None = strawberry.field(description="When it is tried next (下次推送时点).")
    ended_at: datetime | None = strawberry.field(description="When it ended (结束时点).")
    attempts: list[WebhookAttempt] = strawberry.field(description="Every attempt, in order (各次尝试).")

    @staticmethod
    def of(view: webhooks.DeliveryView) -> WebhookDelivery:
        return WebhookDelivery(
            event_id=str(view.event_id),
            kind=view.kind,
            url=view.url,
            state=WebhookDeliveryState(view.state),
            next_at=view.next_at,
            ended_at=view.ended_at,
            attempts=[
                WebhookAttempt(
                    attempt_no=one.attempt_no,
                    outcome=one.outcome,
                    status=one.status,
                    took_ms=one.took_ms,
                    attempted_at=one.attempted_at,
                )
                for one in view.attempts
            ],
        )


async def endpoint_in_scope(info: Info, key: str) -> WebhookEndpoint | None:
    """An address of the caller's own tenant, or none."""
    found = uuid_of(key)
    view = await webhooks.endpoint_by_id(info.context.platform, info.context.subject, found) if found else None
    return WebhookEndpoint.of(view) if view else None


@finds("WebhookEndpoint")
async def _endpoint_node(info: Info, key: str) -> Node | None:
    return await endpoint_in_scope(info, key)

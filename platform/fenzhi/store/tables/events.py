"""Events (事件): a stream per tenant, webhooks with their secrets, deliveries and attempts; timers that become jobs."""

from __future__ import annotations

from sqlalchemy import CheckConstraint, Column, ForeignKeyConstraint, Index, Integer, PrimaryKeyConstraint, Table, text

from fenzhi.store.tables.base import (
    FALSE,
    TableClass,
    big,
    code,
    codes,
    document,
    flag,
    key,
    metadata,
    moment,
    octets,
    recorded_at,
    small,
    uuid_,
    walled,
    whole,
    words,
)

_OWNER = "belongs to the tenant that is told: hospital_id is null for a city or a county"


def _tenant_key() -> list[Column[object]]:
    """The columns that say whose row it is (归属): a city, a county or a hospital."""
    return [
        Column("area_id", Integer, nullable=False),
        Column("county_id", Integer, nullable=True),
        Column("hospital_id", Integer, nullable=True),
        code("tenant", nullable=False),
    ]


event_stream = Table(
    "event_stream",
    metadata,
    *_tenant_key(),
    whole("province_id", nullable=False),
    big("last_seq", nullable=False, server_default=text("0")),
    flag("is_listened", server_default=FALSE),
    recorded_at(),
    PrimaryKeyConstraint("tenant"),
    CheckConstraint("last_seq >= 0", name="last_seq"),
    info=walled(TableClass.HOSPITAL, _OWNER),
)
"""The last number given in a tenant's stream (事件流水号). Its row is locked until the transaction that tells something has committed:
numbers are committed in their order, without gaps."""

tenant_event = Table(
    "tenant_event",
    metadata,
    *_tenant_key(),
    big("seq", nullable=False),
    key("event_id"),
    code("kind", nullable=False),
    code("subject_type", nullable=False),
    code("subject_id", nullable=False),
    document("facts", nullable=False),
    recorded_at(),
    PrimaryKeyConstraint("tenant", "seq"),
    CheckConstraint("seq > 0", name="seq"),
    info=walled(TableClass.HOSPITAL, _OWNER),
)
"""What a tenant was told (事件): append-only."""

webhook_endpoint = Table(
    "webhook_endpoint",
    metadata,
    *_tenant_key(),
    whole("province_id", nullable=False),
    key("endpoint_id"),
    words("url", nullable=False),
    codes("kinds", nullable=False),
    words("note", nullable=False, server_default=text("''")),
    code("state", nullable=False, server_default="active"),
    big("taken_seq", nullable=False),
    uuid_("busy_job"),
    moment("busy_until"),
    uuid_("registered_by"),
    uuid_("registered_by_person"),
    uuid_("disabled_by_person"),
    moment("disabled_at"),
    recorded_at(),
    PrimaryKeyConstraint("endpoint_id"),
    CheckConstraint("state in ('active', 'disabled')", name="state"),
    Index("ix_webhook_endpoint_tenant", "tenant", "endpoint_id"),
    info=walled(TableClass.HOSPITAL, _OWNER),
)
"""Where a tenant's events are sent (推送地址). `taken_seq`: up to where its stream has become deliveries; `busy_*`: who sends now."""

webhook_secret = Table(
    "webhook_secret",
    metadata,
    *_tenant_key(),
    uuid_("endpoint_id", nullable=False),
    small("secret_no", nullable=False),
    code("key_id", nullable=False),
    octets("sealed_secret", nullable=False),
    moment("valid_until"),
    recorded_at(),
    PrimaryKeyConstraint("endpoint_id", "secret_no"),
    ForeignKeyConstraint(["endpoint_id"], ["webhook_endpoint.endpoint_id"]),
    info=walled(TableClass.HOSPITAL, _OWNER),
)
"""What messages are signed with, encrypted at rest (推送签名密钥). The newest has no end; one before it holds through the overlap."""

webhook_delivery = Table(
    "webhook_delivery",
    metadata,
    *_tenant_key(),
    key("delivery_id"),
    uuid_("endpoint_id", nullable=False),
    uuid_("event_id", nullable=False),
    code("kind", nullable=False),
    document("body", nullable=False),
    code("state", nullable=False, server_default="due"),
    small("attempts", nullable=False, server_default=text("0")),
    moment("first_at"),
    moment("next_at"),
    moment("ended_at"),
    code("outcome", nullable=False, server_default=text("''")),
    whole("status"),
    recorded_at(),
    PrimaryKeyConstraint("delivery_id"),
    ForeignKeyConstraint(["endpoint_id"], ["webhook_endpoint.endpoint_id"]),
    CheckConstraint("state in ('due', 'delivered', 'dead', 'dropped')", name="state"),
    CheckConstraint("(state = 'due') = (next_at is not null)", name="next_at"),
    Index("uq_webhook_delivery_event", "endpoint_id", "event_id", unique=True),
    Index("ix_webhook_delivery_due", "endpoint_id", "next_at", postgresql_where=text("state = 'due'")),
    Index("ix_webhook_delivery_tenant", "tenant", "delivery_id"),
    info=walled(TableClass.HOSPITAL, _OWNER),
)
"""One event on its way to one address (推送记录): due, delivered, dead after three days, or dropped with its address."""

webhook_attempt = Table(
    "webhook_attempt",
    metadata,
    *_tenant_key(),
    uuid_("delivery_id", nullable=False),
    small("attempt_no", nullable=False),
    code("outcome", nullable=False),
    whole("status"),
    whole("took_ms", nullable=False),
    recorded_at(),
    PrimaryKeyConstraint("delivery_id", "attempt_no"),
    ForeignKeyConstraint(["delivery_id"], ["webhook_delivery.delivery_id"]),
    info=walled(TableClass.HOSPITAL, _OWNER),
)
"""Every attempt and how it went (推送尝试): append-only."""

job_timer = Table(
    "job_timer",
    metadata,
    code("name", nullable=False),
    code("kind", nullable=False),
    code("tenant", nullable=False),
    whole("province_id", nullable=False),
    whole("area_id", nullable=False),
    whole("county_id"),
    whole("hospital_id"),
    document("payload", nullable=False),
    moment("due_at", nullable=False),
    recorded_at(),
    PrimaryKeyConstraint("name"),
    Index("ix_job_timer_due_at", "due_at"),
    info=walled(
        TableClass.HOSPITAL, "a job to be wanted later, seen like the job it becomes; the worker takes what is due"
    ),
)
"""Jobs to be wanted at a time (定时作业): set in the transaction that wants them, turned into jobs by whoever sweeps first."""

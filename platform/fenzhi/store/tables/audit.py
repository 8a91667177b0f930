"""Audit (审计): who did what, who saw whom; the chain over it and its anchors."""

from __future__ import annotations

from sqlalchemy import CheckConstraint, Column, ForeignKeyConstraint, Index, PrimaryKeyConstraint, Table, Uuid, text
from sqlalchemy.dialects.postgresql import ARRAY

from fenzhi.store.tables.base import (
    TableClass,
    big,
    code,
    document,
    key,
    metadata,
    moment,
    octets,
    recorded_at,
    uuid_,
    walled,
    whole,
    words,
)

audit_event = Table(
    "audit_event",
    metadata,
    key("event_id"),
    code("tenant", nullable=False),
    uuid_("account_id"),
    uuid_("person_id"),
    code("role", nullable=False),
    code("action", nullable=False),
    code("object_type", nullable=False),
    code("object_id", nullable=False),
    code("request_id", nullable=False),
    document("details", nullable=False),
    recorded_at(),
    whole("province_id"),
    whole("area_id"),
    code("kind", nullable=False, server_default="act"),
    code("purpose", nullable=False, server_default=text("''")),
    words("reason", nullable=False, server_default=text("''")),
    code("field_class", nullable=False, server_default=text("''")),
    Column("subjects", ARRAY(Uuid(as_uuid=True)), nullable=True),
    big("written_in", nullable=False, server_default=text("(pg_current_xact_id()::text::bigint)")),
    PrimaryKeyConstraint("event_id"),
    CheckConstraint("kind in ('act', 'sight', 'reveal')", name="kind"),
    CheckConstraint("field_class in ('', 'case', 'list', 'personal')", name="field_class"),
    Index("ix_audit_event_tenant", "tenant", "event_id"),
    Index("ix_audit_event_written_in", "written_in"),
    Index("ix_audit_event_subjects", "subjects", postgresql_using="gin"),
    info=walled(TableClass.PLATFORM, "written under the acting tenant's code, read by auditors only; append-only"),
)
"""One act or one answer (审计事件). `subjects` are the cases and rows seen, sorted; `written_in` is the transaction that wrote it."""

audit_link = Table(
    "audit_link",
    metadata,
    big("seq", autoincrement=False, nullable=False),
    uuid_("event_id", nullable=False),
    whole("province_id"),
    whole("area_id"),
    code("algorithm", nullable=False),
    octets("event_digest", nullable=False),
    octets("previous", nullable=False),
    octets("digest", nullable=False),
    big("horizon", nullable=False),
    moment("linked_at", nullable=False, server_default=text("clock_timestamp()")),
    PrimaryKeyConstraint("seq"),
    ForeignKeyConstraint(["event_id"], ["audit_event.event_id"]),
    CheckConstraint("seq > 0", name="seq"),
    Index("uq_audit_link_event", "event_id", unique=True),
    Index("ix_audit_link_province_id", "province_id", "seq"),
    info=walled(TableClass.PLATFORM, "written by the sequencer alone, read by auditors of the place; append-only"),
)
"""The chain (审计链): each link binds an event to all before it. Events of transactions before `horizon` are all linked."""

audit_anchor = Table(
    "audit_anchor",
    metadata,
    big("seq", autoincrement=False, nullable=False),
    code("algorithm", nullable=False),
    octets("digest", nullable=False),
    code("key_id", nullable=False),
    octets("seal", nullable=False),
    moment("anchored_at", nullable=False),
    PrimaryKeyConstraint("seq"),
    info=walled(TableClass.PLATFORM, "a place in the chain sealed by a key outside the database; no tenant's data"),
)
"""Anchors (锚点): what the chain was at a moment, sealed by a key that the database does not hold."""

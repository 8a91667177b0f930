"""Policy (政策参数) entered through the platform: dated, documented, proposed by one person and put in force by another."""

from __future__ import annotations

from sqlalchemy import CheckConstraint, Index, PrimaryKeyConstraint, Table

from fenzhi.store.tables.base import (
    FALSE,
    TableClass,
    code,
    day,
    document,
    flag,
    key,
    metadata,
    moment,
    recorded_at,
    uuid_,
    walled,
    whole,
    words,
)

_STATES = "state in ('proposed', 'in_force', 'rejected')"

province_policy = Table(
    "province_policy",
    metadata,
    key("policy_id"),
    whole("province_id", nullable=False),
    code("key", nullable=False),
    document("value", nullable=False),
    day("effective_from", nullable=False),
    words("document", nullable=False),
    day("issued_on", nullable=False),
    flag("is_constructed", server_default=FALSE),
    code("state", nullable=False),
    uuid_("proposed_by"),
    uuid_("proposed_by_person", nullable=False),
    uuid_("approved_by"),
    uuid_("approved_by_person"),
    moment("approved_at"),
    recorded_at(),
    PrimaryKeyConstraint("policy_id"),
    CheckConstraint(_STATES, name="state"),
    CheckConstraint("state <> 'in_force' or approved_by_person <> proposed_by_person", name="four_eyes"),
    Index("ix_province_policy_province_id_key", "province_id", "key", "effective_from"),
    info=walled(TableClass.PROVINCE),
)

area_policy = Table(
    "area_policy",
    metadata,
    key("policy_id"),
    whole("area_id", nullable=False),
    code("key", nullable=False),
    document("value", nullable=False),
    day("effective_from", nullable=False),
    words("document", nullable=False),
    day("issued_on", nullable=False),
    flag("is_constructed", server_default=FALSE),
    code("state", nullable=False),
    uuid_("proposed_by"),
    uuid_("proposed_by_person", nullable=False),
    uuid_("approved_by"),
    uuid_("approved_by_person"),
    moment("approved_at"),
    recorded_at(),
    PrimaryKeyConstraint("policy_id"),
    CheckConstraint(_STATES, name="state"),
    CheckConstraint("state <> 'in_force' or approved_by_person <> proposed_by_person", name="four_eyes"),
    Index("ix_area_policy_area_id_key", "area_id", "key", "effective_from"),
    info=walled(TableClass.AREA),
)

"""Scorecard (考核评价): one per hospital and quarter, drafted by a worker, approved, published."""

from __future__ import annotations

from sqlalchemy import CheckConstraint, Column, ForeignKeyConstraint, Index, Numeric, PrimaryKeyConstraint, Table, text

from fenzhi.store.tables.base import (
    TableClass,
    code,
    document,
    hospital_key,
    key,
    metadata,
    moment,
    recorded_at,
    small,
    uuid_,
    walled,
    words,
)

scorecard = Table(
    "scorecard",
    metadata,
    key("scorecard_id"),
    *hospital_key(),
    small("year", nullable=False),
    small("quarter", nullable=False),
    code("state", nullable=False),
    code("light", nullable=False),
    document("run_ids", nullable=False),
    code("policy_fingerprint", nullable=False),
    uuid_("job_id"),
    uuid_("drafted_by"),
    uuid_("drafted_by_person", nullable=False),
    uuid_("approved_by"),
    uuid_("approved_by_person"),
    moment("approved_at"),
    moment("published_at"),
    recorded_at(),
    PrimaryKeyConstraint("scorecard_id"),
    CheckConstraint("state in ('draft', 'approved', 'published', 'withdrawn')", name="state"),
    CheckConstraint("light in ('green', 'yellow', 'red', 'grey')", name="light"),
    CheckConstraint(
        "state not in ('approved', 'published') or approved_by_person <> drafted_by_person", name="four_eyes"
    ),
    Index(
        "uq_scorecard_live",
        "area_id",
        "hospital_id",
        "year",
        "quarter",
        unique=True,
        postgresql_where=text("state <> 'withdrawn'"),
    ),
    info=walled(TableClass.HOSPITAL),
)

scorecard_indicator = Table(
    "scorecard_indicator",
    metadata,
    *hospital_key(),
    key("scorecard_id"),
    small("seq", nullable=False),
    code("code", nullable=False),
    words("zh", nullable=False),
    words("en", nullable=False),
    words("formula", nullable=False),
    code("unit", nullable=False),
    Column("numerator", Numeric),
    Column("denominator", Numeric),
    code("value", nullable=False),
    code("light", nullable=False),
    words("reason", nullable=False),
    PrimaryKeyConstraint("scorecard_id", "seq"),
    ForeignKeyConstraint(["scorecard_id"], ["scorecard.scorecard_id"]),
    info=walled(TableClass.HOSPITAL),
)

"""Provisional groups (临时病种): proposals with their panels, votes, and what was decided; rows are added and never changed."""

from __future__ import annotations

from sqlalchemy import CheckConstraint, ForeignKeyConstraint, Index, PrimaryKeyConstraint, Table, UniqueConstraint

from fenzhi.store.tables.base import (
    TableClass,
    as_written,
    code,
    codes,
    day,
    fen,
    flag,
    key,
    metadata,
    recorded_at,
    small,
    uuid_,
    walled,
    whole,
    words,
)

provisional_group = Table(
    "provisional_group",
    metadata,
    key("provisional_id"),
    whole("area_id", nullable=False),
    code("group_code", nullable=False),
    code("diagnosis", nullable=False),
    codes("procedures", nullable=False),
    words("name", nullable=False),
    as_written("score"),
    whole("scale", nullable=False),
    uuid_("edition_id", nullable=False),
    day("first_day", nullable=False),
    day("last_day", nullable=False),
    whole("cases", nullable=False),
    fen("total_fen"),
    words("document", nullable=False),
    code("seed", nullable=False),
    codes("panel", nullable=False),
    uuid_("proposed_by_person", nullable=False),
    recorded_at(),
    PrimaryKeyConstraint("provisional_id"),
    ForeignKeyConstraint(["edition_id"], ["catalog_edition.edition_id"]),
    UniqueConstraint("area_id", "group_code"),
    CheckConstraint("score > 0", name="score"),
    CheckConstraint("last_day >= first_day", name="days"),
    CheckConstraint("cases > 0", name="cases"),
    info=walled(TableClass.AREA),
)
"""An unmatched kind of case put before a panel, its score and its days (临时病种提案). Units: points, fen, cases."""

provisional_vote = Table(
    "provisional_vote",
    metadata,
    uuid_("provisional_id", nullable=False),
    whole("area_id", nullable=False),
    code("expert_code", nullable=False),
    flag("in_favour"),
    recorded_at(),
    PrimaryKeyConstraint("provisional_id", "expert_code"),
    ForeignKeyConstraint(["provisional_id"], ["provisional_group.provisional_id"]),
    info=walled(TableClass.AREA),
)
"""A member's vote (专家表决)."""

provisional_act = Table(
    "provisional_act",
    metadata,
    uuid_("provisional_id", nullable=False),
    small("place", nullable=False),
    whole("area_id", nullable=False),
    code("act", nullable=False),
    uuid_("first_person"),
    uuid_("person", nullable=False),
    code("sheet_sha256", nullable=False),
    day("last_day"),
    uuid_("edition_id"),
    code("absorbed_by"),
    words("reason", nullable=False),
    words("document", nullable=False),
    recorded_at(),
    PrimaryKeyConstraint("provisional_id", "place"),
    ForeignKeyConstraint(["provisional_id"], ["provisional_group.provisional_id"]),
    ForeignKeyConstraint(["edition_id"], ["catalog_edition.edition_id"]),
    CheckConstraint(
        "act in ('carried', 'refused', 'approved', 'rejected', 'end_proposed', 'ended', 'end_rejected')", name="act"
    ),
    CheckConstraint(
        "act not in ('approved', 'ended') or (first_person is not null and first_person <> person)", name="four_eyes"
    ),
    CheckConstraint("act not in ('end_proposed', 'ended') or last_day is not null", name="last_day"),
    CheckConstraint("(edition_id is null) = (absorbed_by is null)", name="absorbed"),
    Index("ix_provisional_act_area_id", "area_id", "act"),
    info=walled(TableClass.AREA),
)
"""What happened to a proposal, in order of its place; the last act is its state (临时病种办理记录)."""

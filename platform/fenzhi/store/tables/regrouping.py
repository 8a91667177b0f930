"""Regrouping (重新入组): a year of an area under another edition, kept beside what runs said; the tasks that a rule change opens."""

from __future__ import annotations

from sqlalchemy import CheckConstraint, ForeignKeyConstraint, Index, PrimaryKeyConstraint, Table, UniqueConstraint

from fenzhi.store.tables.base import (
    TableClass,
    as_written,
    code,
    day,
    document,
    hospital_key,
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

regrouping = Table(
    "regrouping",
    metadata,
    key("regrouping_id"),
    whole("area_id", nullable=False),
    uuid_("edition_id", nullable=False),
    small("year", nullable=False),
    day("policy_on", nullable=False),
    uuid_("replay_of"),
    whole("cases", nullable=False),
    whole("grouped", nullable=False),
    whole("settled_before", nullable=False),
    whole("changed", nullable=False),
    document("manifest", nullable=False),
    octets("manifest_sha256", nullable=False),
    octets("result_sha256", nullable=False),
    moment("as_known_at", nullable=False),
    uuid_("job_id", nullable=False),
    uuid_("wanted_by_person"),
    recorded_at(),
    PrimaryKeyConstraint("regrouping_id"),
    ForeignKeyConstraint(["edition_id"], ["catalog_edition.edition_id"]),
    ForeignKeyConstraint(["replay_of"], ["regrouping.regrouping_id"]),
    Index("ix_regrouping_area_id", "area_id", "regrouping_id"),
    info=walled(TableClass.AREA),
)
"""One regrouping of a year, or the replay of one, which keeps digests alone (重新入组记录)."""

regrouped_case = Table(
    "regrouped_case",
    metadata,
    *hospital_key(),
    uuid_("regrouping_id", nullable=False),
    uuid_("case_id", nullable=False),
    code("insurance", nullable=False),
    code("pool_scope", nullable=False),
    code("disposition", nullable=False),
    code("group_code", nullable=False),
    code("band", nullable=False),
    as_written("points"),
    uuid_("before_run_id"),
    code("before_disposition", nullable=False),
    code("before_group_code", nullable=False),
    as_written("before_points"),
    PrimaryKeyConstraint("area_id", "regrouping_id", "case_id"),
    ForeignKeyConstraint(["regrouping_id"], ["regrouping.regrouping_id"]),
    info=walled(TableClass.HOSPITAL),
)
"""A case under the other edition beside what the latest run of its year said of it (重新入组病例). Units: points."""

regroup_task = Table(
    "regroup_task",
    metadata,
    key("task_id"),
    whole("area_id", nullable=False),
    code("cause", nullable=False),
    uuid_("cause_id", nullable=False),
    uuid_("edition_id"),
    day("rule_from", nullable=False),
    small("year", nullable=False),
    words("document", nullable=False),
    day("opened_on", nullable=False),
    day("due_on", nullable=False),
    day("done_on"),
    uuid_("regrouping_id"),
    recorded_at(),
    PrimaryKeyConstraint("task_id"),
    ForeignKeyConstraint(["edition_id"], ["catalog_edition.edition_id"]),
    ForeignKeyConstraint(["regrouping_id"], ["regrouping.regrouping_id"]),
    UniqueConstraint("area_id", "cause", "cause_id"),
    CheckConstraint("cause in ('edition', 'withdrawal', 'policy')", name="cause"),
    CheckConstraint("due_on > opened_on", name="due_on"),
    CheckConstraint("(done_on is null) = (regrouping_id is null)", name="done"),
    info=walled(TableClass.AREA),
)
"""What a city is to regroup after a rule changed, and by when (重新入组任务)."""

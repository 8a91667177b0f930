"""The catalog desk (目录维护): editions taken back, opinions and their answers, previews before publishing; a year regrouped;
provisional groups (临时病种).

Revision ID: 2026_11_22_catalog_desk
Revises: 2026_11_22_identity
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

from fenzhi_migrations.walls import (
    AREA,
    COUNTY,
    HOSPITAL,
    PROVINCE,
    WORKER,
    Wall,
    append_only,
    lowering,
    statements,
)

revision = "2026_11_22_catalog_desk"
down_revision = "2026_11_22_identity"
branch_labels = None
depends_on = None

_C = sa.Text(collation="C")
_BELOW = (AREA, COUNTY, HOSPITAL, WORKER)

WALLS: tuple[Wall, ...] = (
    Wall(
        "edition_withdrawal",
        "province",
        insert=(PROVINCE,),
        update={PROVINCE: ("state", "decided_by", "decided_by_person", "decided_at", "restored_edition_id")},
        writable_while="state = 'proposed'",
        published="state = 'approved'",
        below=_BELOW,
    ),
    Wall("group_opinion", "hospital", insert=(HOSPITAL,)),
    Wall(
        "opinion_answer",
        "province",
        insert=(PROVINCE,),
        published="next_edition_id in (select edition_id from catalog_edition)",
        below=_BELOW,
    ),
    Wall("preview_row", "province", insert=(PROVINCE,), hidden_from=_BELOW),
    Wall("regrouping", "area", insert=(WORKER,), hidden_from=(COUNTY, HOSPITAL)),
    Wall("regrouped_case", "hospital", insert=(WORKER,), hidden_from=(COUNTY, HOSPITAL)),
    Wall(
        "regroup_task",
        "area",
        insert=(PROVINCE, AREA),
        update={WORKER: ("done_on", "regrouping_id")},
        writable_while="done_on is null",
        hidden_from=(COUNTY, HOSPITAL),
    ),
    Wall("provisional_act", "area", insert=(AREA,), published="act in ('approved', 'ended')"),
    Wall(
        "provisional_group",
        "area",
        insert=(AREA,),
        published="provisional_id in (select provisional_id from provisional_act where act = 'approved')",
    ),
    Wall("provisional_vote", "area", insert=(AREA,), hidden_from=(COUNTY, HOSPITAL, WORKER)),
)
GROWING = (
    "group_opinion",
    "opinion_answer",
    "preview_row",
    "regrouping",
    "regrouped_case",
    "provisional_group",
    "provisional_vote",
    "provisional_act",
)


def _when(name: str) -> sa.Column[object]:
    return sa.Column(name, sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False)


def upgrade() -> None:
    op.create_table(
        "edition_withdrawal",
        sa.Column("withdrawal_id", sa.Uuid(), nullable=False),
        sa.Column("province_id", sa.Integer(), nullable=False),
        sa.Column("edition_id", sa.Uuid(), nullable=False),
        sa.Column("state", _C, nullable=False),
        sa.Column("reason", sa.Text(), nullable=False),
        sa.Column("document", sa.Text(), nullable=False),
        sa.Column("proposed_by", sa.Uuid(), nullable=True),
        sa.Column("proposed_by_person", sa.Uuid(), nullable=False),
        sa.Column("decided_by", sa.Uuid(), nullable=True),
        sa.Column("decided_by_person", sa.Uuid(), nullable=True),
        sa.Column("decided_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("restored_edition_id", sa.Uuid(), nullable=True),
        _when("recorded_at"),
        sa.CheckConstraint("state in ('proposed', 'approved')", name=op.f("ck_edition_withdrawal_state")),
        sa.CheckConstraint(
            "state <> 'approved' or decided_by_person <> proposed_by_person",
            name=op.f("ck_edition_withdrawal_four_eyes"),
        ),
        sa.ForeignKeyConstraint(
            ["edition_id"],
            ["catalog_edition.edition_id"],
            name=op.f("fk_edition_withdrawal_edition_id_catalog_edition"),
        ),
        sa.ForeignKeyConstraint(
            ["restored_edition_id"],
            ["catalog_edition.edition_id"],
            name=op.f("fk_edition_withdrawal_restored_edition_id_catalog_edition"),
        ),
        sa.PrimaryKeyConstraint("withdrawal_id", name=op.f("pk_edition_withdrawal")),
    )
    op.create_index("uq_edition_withdrawal_edition_id", "edition_withdrawal", ["edition_id"], unique=True)
    op.create_table(
        "group_opinion",
        sa.Column("opinion_id", sa.Uuid(), nullable=False),
        sa.Column("area_id", sa.Integer(), nullable=False),
        sa.Column("county_id", sa.Integer(), nullable=True),
        sa.Column("hospital_id", sa.Integer(), nullable=False),
        sa.Column("edition_id", sa.Uuid(), nullable=False),
        sa.Column("group_code", _C, nullable=False),
        sa.Column("opinion", sa.Text(), nullable=False),
        sa.Column("cases", sa.Integer(), nullable=True),
        sa.Column("given_by", sa.Uuid(), nullable=True),
        sa.Column("given_by_person", sa.Uuid(), nullable=False),
        _when("recorded_at"),
        sa.PrimaryKeyConstraint("opinion_id", name=op.f("pk_group_opinion")),
    )
    op.create_index(
        "ix_group_opinion_area_id_edition_id", "group_opinion", ["area_id", "edition_id", "group_code"], unique=False
    )
    op.create_table(
        "opinion_answer",
        sa.Column("answer_id", sa.Uuid(), nullable=False),
        sa.Column("province_id", sa.Integer(), nullable=False),
        sa.Column("edition_id", sa.Uuid(), nullable=False),
        sa.Column("next_edition_id", sa.Uuid(), nullable=False),
        sa.Column("group_code", _C, nullable=False),
        sa.Column("outcome", _C, nullable=False),
        sa.Column("answer", sa.Text(), nullable=False),
        sa.Column("opinions", sa.Integer(), nullable=False),
        sa.Column("answered_by", sa.Uuid(), nullable=True),
        sa.Column("answered_by_person", sa.Uuid(), nullable=False),
        _when("recorded_at"),
        sa.CheckConstraint(
            "outcome in ('adopted', 'partly_adopted', 'not_adopted')", name=op.f("ck_opinion_answer_outcome")
        ),
        sa.CheckConstraint("opinions > 0", name=op.f("ck_opinion_answer_opinions")),
        sa.ForeignKeyConstraint(
            ["edition_id"], ["catalog_edition.edition_id"], name=op.f("fk_opinion_answer_edition_id_catalog_edition")
        ),
        sa.ForeignKeyConstraint(
            ["next_edition_id"],
            ["catalog_edition.edition_id"],
            name=op.f("fk_opinion_answer_next_edition_id_catalog_edition"),
        ),
        sa.PrimaryKeyConstraint("answer_id", name=op.f("pk_opinion_answer")),
        sa.UniqueConstraint(
            "next_edition_id",
            "edition_id",
            "group_code",
            name=op.f("uq_opinion_answer_next_edition_id_edition_id_group_code"),
        ),
    )
    op.create_table(
        "preview_row",
        sa.Column("province_id", sa.Integer(), nullable=False),
        sa.Column("job_id", sa.Uuid(), nullable=False),
        sa.Column("edition_id", sa.Uuid(), nullable=False),
        sa.Column("year", sa.SmallInteger(), nullable=False),
        sa.Column("area_id", sa.Integer(), nullable=False),
        sa.Column("hospital_id", sa.Integer(), nullable=False),
        sa.Column("level", _C, nullable=False),
        sa.Column("cases", sa.Integer(), nullable=False),
        sa.Column("moved", sa.Integer(), nullable=False),
        sa.Column("grouped_before", sa.Integer(), nullable=False),
        sa.Column("grouped_after", sa.Integer(), nullable=False),
        sa.Column("points_before", sa.Numeric(), nullable=False),
        sa.Column("points_after", sa.Numeric(), nullable=False),
        _when("recorded_at"),
        sa.ForeignKeyConstraint(
            ["edition_id"], ["catalog_edition.edition_id"], name=op.f("fk_preview_row_edition_id_catalog_edition")
        ),
        sa.PrimaryKeyConstraint("edition_id", "job_id", "area_id", "hospital_id", "level", name=op.f("pk_preview_row")),
    )
    _regrouping()
    _provisional()
    for wall in WALLS:
        for statement in statements(wall):
            op.execute(statement)
    for table in GROWING:
        op.execute(append_only(table))


def _regrouping() -> None:
    op.create_table(
        "regrouping",
        sa.Column("regrouping_id", sa.Uuid(), nullable=False),
        sa.Column("area_id", sa.Integer(), nullable=False),
        sa.Column("edition_id", sa.Uuid(), nullable=False),
        sa.Column("year", sa.SmallInteger(), nullable=False),
        sa.Column("policy_on", sa.Date(), nullable=False),
        sa.Column("replay_of", sa.Uuid(), nullable=True),
        sa.Column("cases", sa.Integer(), nullable=False),
        sa.Column("grouped", sa.Integer(), nullable=False),
        sa.Column("settled_before", sa.Integer(), nullable=False),
        sa.Column("changed", sa.Integer(), nullable=False),
        sa.Column("manifest", postgresql.JSONB(), nullable=False),
        sa.Column("manifest_sha256", sa.LargeBinary(), nullable=False),
        sa.Column("result_sha256", sa.LargeBinary(), nullable=False),
        sa.Column("as_known_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("job_id", sa.Uuid(), nullable=False),
        sa.Column("wanted_by_person", sa.Uuid(), nullable=True),
        _when("recorded_at"),
        sa.ForeignKeyConstraint(
            ["edition_id"], ["catalog_edition.edition_id"], name=op.f("fk_regrouping_edition_id_catalog_edition")
        ),
        sa.ForeignKeyConstraint(
            ["replay_of"], ["regrouping.regrouping_id"], name=op.f("fk_regrouping_replay_of_regrouping")
        ),
        sa.PrimaryKeyConstraint("regrouping_id", name=op.f("pk_regrouping")),
    )
    op.create_index("ix_regrouping_area_id", "regrouping", ["area_id", "regrouping_id"], unique=False)
    op.create_table(
        "regrouped_case",
        sa.Column("area_id", sa.Integer(), nullable=False),
        sa.Column("county_id", sa.Integer(), nullable=True),
        sa.Column("hospital_id", sa.Integer(), nullable=False),
        sa.Column("regrouping_id", sa.Uuid(), nullable=False),
        sa.Column("case_id", sa.Uuid(), nullable=False),
        sa.Column("insurance", _C, nullable=False),
        sa.Column("pool_scope", _C, nullable=False),
        sa.Column("disposition", _C, nullable=False),
        sa.Column("group_code", _C, nullable=False),
        sa.Column("band", _C, nullable=False),
        sa.Column("points", sa.Numeric(), nullable=False),
        sa.Column("before_run_id", sa.Uuid(), nullable=True),
        sa.Column("before_disposition", _C, nullable=False),
        sa.Column("before_group_code", _C, nullable=False),
        sa.Column("before_points", sa.Numeric(), nullable=False),
        sa.ForeignKeyConstraint(
            ["regrouping_id"], ["regrouping.regrouping_id"], name=op.f("fk_regrouped_case_regrouping_id_regrouping")
        ),
        sa.PrimaryKeyConstraint("area_id", "regrouping_id", "case_id", name=op.f("pk_regrouped_case")),
    )
    op.create_table(
        "regroup_task",
        sa.Column("task_id", sa.Uuid(), nullable=False),
        sa.Column("area_id", sa.Integer(), nullable=False),
        sa.Column("cause", _C, nullable=False),
        sa.Column("cause_id", sa.Uuid(), nullable=False),
        sa.Column("edition_id", sa.Uuid(), nullable=True),
        sa.Column("rule_from", sa.Date(), nullable=False),
        sa.Column("year", sa.SmallInteger(), nullable=False),
        sa.Column("document", sa.Text(), nullable=False),
        sa.Column("opened_on", sa.Date(), nullable=False),
        sa.Column("due_on", sa.Date(), nullable=False),
        sa.Column("done_on", sa.Date(), nullable=True),
        sa.Column("regrouping_id", sa.Uuid(), nullable=True),
        _when("recorded_at"),
        sa.CheckConstraint("cause in ('edition', 'withdrawal', 'policy')", name=op.f("ck_regroup_task_cause")),
        sa.CheckConstraint("due_on > opened_on", name=op.f("ck_regroup_task_due_on")),
        sa.CheckConstraint("(done_on is null) = (regrouping_id is null)", name=op.f("ck_regroup_task_done")),
        sa.ForeignKeyConstraint(
            ["edition_id"], ["catalog_edition.edition_id"], name=op.f("fk_regroup_task_edition_id_catalog_edition")
        ),
        sa.ForeignKeyConstraint(
            ["regrouping_id"], ["regrouping.regrouping_id"], name=op.f("fk_regroup_task_regrouping_id_regrouping")
        ),
        sa.PrimaryKeyConstraint("task_id", name=op.f("pk_regroup_task")),
        sa.UniqueConstraint("area_id", "cause", "cause_id", name=op.f("uq_regroup_task_area_id_cause_cause_id")),
    )


def _provisional() -> None:
    op.create_table(
        "provisional_group",
        sa.Column("provisional_id", sa.Uuid(), nullable=False),
        sa.Column("area_id", sa.Integer(), nullable=False),
        sa.Column("group_code", _C, nullable=False),
        sa.Column("diagnosis", _C, nullable=False),
        sa.Column("procedures", postgresql.ARRAY(_C), nullable=False),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("score", sa.Numeric(), nullable=False),
        sa.Column("scale", sa.Integer(), nullable=False),
        sa.Column("edition_id", sa.Uuid(), nullable=False),
        sa.Column("first_day", sa.Date(), nullable=False),
        sa.Column("last_day", sa.Date(), nullable=False),
        sa.Column("cases", sa.Integer(), nullable=False),
        sa.Column("total_fen", sa.BigInteger(), nullable=False),
        sa.Column("document", sa.Text(), nullable=False),
        sa.Column("seed", _C, nullable=False),
        sa.Column("panel", postgresql.ARRAY(_C), nullable=False),
        sa.Column("proposed_by_person", sa.Uuid(), nullable=False),
        _when("recorded_at"),
        sa.CheckConstraint("score > 0", name=op.f("ck_provisional_group_score")),
        sa.CheckConstraint("last_day >= first_day", name=op.f("ck_provisional_group_days")),
        sa.CheckConstraint("cases > 0", name=op.f("ck_provisional_group_cases")),
        sa.ForeignKeyConstraint(
            ["edition_id"], ["catalog_edition.edition_id"], name=op.f("fk_provisional_group_edition_id_catalog_edition")
        ),
        sa.PrimaryKeyConstraint("provisional_id", name=op.f("pk_provisional_group")),
        sa.UniqueConstraint("area_id", "group_code", name=op.f("uq_provisional_group_area_id_group_code")),
    )
    op.create_table(
        "provisional_vote",
        sa.Column("provisional_id", sa.Uuid(), nullable=False),
        sa.Column("area_id", sa.Integer(), nullable=False),
        sa.Column("expert_code", _C, nullable=False),
        sa.Column("in_favour", sa.Boolean(), nullable=False),
        _when("recorded_at"),
        sa.ForeignKeyConstraint(
            ["provisional_id"],
            ["provisional_group.provisional_id"],
            name=op.f("fk_provisional_vote_provisional_id_provisional_group"),
        ),
        sa.PrimaryKeyConstraint("provisional_id", "expert_code", name=op.f("pk_provisional_vote")),
    )
    op.create_table(
        "provisional_act",
        sa.Column("provisional_id", sa.Uuid(), nullable=False),
        sa.Column("place", sa.SmallInteger(), nullable=False),
        sa.Column("area_id", sa.Integer(), nullable=False),
        sa.Column("act", _C, nullable=False),
        sa.Column("first_person", sa.Uuid(), nullable=True),
        sa.Column("person", sa.Uuid(), nullable=False),
        sa.Column("sheet_sha256", _C, nullable=False),
        sa.Column("last_day", sa.Date(), nullable=True),
        sa.Column("edition_id", sa.Uuid(), nullable=True),
        sa.Column("absorbed_by", _C, nullable=True),
        sa.Column("reason", sa.Text(), nullable=False),
        sa.Column("document", sa.Text(), nullable=False),
        _when("recorded_at"),
        sa.CheckConstraint(
            "act in ('carried', 'refused', 'approved', 'rejected', 'end_proposed', 'ended', 'end_rejected')",
            name=op.f("ck_provisional_act_act"),
        ),
        sa.CheckConstraint(
            "act not in ('approved', 'ended') or (first_person is not null and first_person <> person)",
            name=op.f("ck_provisional_act_four_eyes"),
        ),
        sa.CheckConstraint(
            "act not in ('end_proposed', 'ended') or last_day is not null", name=op.f("ck_provisional_act_last_day")
        ),
        sa.CheckConstraint("(edition_id is null) = (absorbed_by is null)", name=op.f("ck_provisional_act_absorbed")),
        sa.ForeignKeyConstraint(
            ["provisional_id"],
            ["provisional_group.provisional_id"],
            name=op.f("fk_provisional_act_provisional_id_provisional_group"),
        ),
        sa.ForeignKeyConstraint(
            ["edition_id"], ["catalog_edition.edition_id"], name=op.f("fk_provisional_act_edition_id_catalog_edition")
        ),
        sa.PrimaryKeyConstraint("provisional_id", "place", name=op.f("pk_provisional_act")),
    )
    op.create_index("ix_provisional_act_area_id", "provisional_act", ["area_id", "act"], unique=False)


def downgrade() -> None:
    for table in GROWING:
        op.execute(f"drop trigger {table}_append_only on {table}")
    for wall in reversed(WALLS):
        for statement in lowering(wall):
            op.execute(statement)
    for table in (
        "provisional_vote",
        "provisional_act",
        "provisional_group",
        "regroup_task",
        "regrouped_case",
        "regrouping",
        "preview_row",
        "opinion_answer",
        "group_opinion",
        "edition_withdrawal",
    ):
        op.drop_table(table)

"""The catalog desk (目录维护): editions taken back, opinions and their answers, previews before publishing.

Revision ID: 2026_11_22_catalog_desk
Revises: 2026_11_22_identity
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

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
)
GROWING = ("group_opinion", "opinion_answer", "preview_row")


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
    for wall in WALLS:
        for statement in statements(wall):
            op.execute(statement)
    for table in GROWING:
        op.execute(append_only(table))


def downgrade() -> None:
    for table in GROWING:
        op.execute(f"drop trigger {table}_append_only on {table}")
    for wall in reversed(WALLS):
        for statement in lowering(wall):
            op.execute(statement)
    for table in ("preview_row", "opinion_answer", "group_opinion", "edition_withdrawal"):
        op.drop_table(table)

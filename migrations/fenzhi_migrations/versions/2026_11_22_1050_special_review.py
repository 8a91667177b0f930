"""Review of special cases (特例单议): experts, applications, draws, votes, cycles; what a run pays beside the pool.

Revision ID: 2026_11_22_special_review
Revises: 2026_11_22_clearing_year
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

from fenzhi_migrations.walls import AREA, COUNTY, HOSPITAL, IN_HOSPITAL, Wall, append_only, lowering, statements

revision = "2026_11_22_special_review"
down_revision = "2026_11_22_clearing_year"
branch_labels = None
depends_on = None

_DECIDED = (
    "state", "cycles_waited", "cycle_id", "found", "why_zh", "why_en", "round", "verdict", "decided_on", "appeal_due_on",
    "funding", "award_fen", "award_points", "points_decimals", "point_value_id", "document", "reason",
    "proposed_by_person", "approved_by_person", "approved_at", "voucher", "paid_on",
)  # fmt: skip

WALLS: tuple[Wall, ...] = (
    Wall(
        "review_expert",
        "area",
        insert=(AREA,),
        update={AREA: ("is_active",)},
        hidden_from=(COUNTY, HOSPITAL),
    ),
    Wall("review_cycle", "area", insert=(AREA,)),
    Wall(
        "special_case",
        "hospital",
        insert=(HOSPITAL,),
        update={AREA: _DECIDED, HOSPITAL: ("state", "round", "appeal", "verdict", "decided_on", "appeal_due_on")},
        writable_while="state <> 'paid'",
        insertable_while="state = 'applied'",
    ),
    Wall("special_case_draw", "area", insert=(AREA,), hidden_from=(COUNTY, HOSPITAL)),
    Wall("special_case_vote", "area", insert=(AREA,), hidden_from=(COUNTY, HOSPITAL)),
)
_APPEND_ONLY = ("review_cycle", "special_case_draw", "special_case_vote")
_SOURCES = "source in ('run', 'payment', 'advance', 'budget', 'opening', 'receivable', 'offset', 'inter_area'{})"


def _sources(more: str) -> None:
    op.drop_constraint(op.f("ck_ledger_entry_source"), "ledger_entry", type_="check")
    op.create_check_constraint(op.f("ck_ledger_entry_source"), "ledger_entry", _SOURCES.format(more))


def upgrade() -> None:
    _make_tables()
    op.add_column(
        "hospital_statement", sa.Column("off_pool_fen", sa.BigInteger(), server_default=sa.text("0"), nullable=False)
    )
    _sources(", 'review'")
    for wall in WALLS:
        for statement in statements(wall):
            op.execute(statement)
    # A hospital's only change is an appeal: a refused case goes back for its second and last round.
    op.execute(
        f"alter policy special_case_update_{HOSPITAL} on special_case using ({IN_HOSPITAL} and state = 'refused' and round = 1) "
        f"with check ({IN_HOSPITAL} and state = 'admitted' and round = 2)"
    )
    for table in _APPEND_ONLY:
        op.execute(append_only(table))


def downgrade() -> None:
    for table in _APPEND_ONLY:
        op.execute(f"drop trigger {table}_append_only on {table}")
    for wall in reversed(WALLS):
        for statement in lowering(wall):
            op.execute(statement)
    _sources("")
    op.drop_column("hospital_statement", "off_pool_fen")
    for table in ("special_case_vote", "special_case_draw", "special_case", "review_cycle", "review_expert"):
        op.drop_table(table)


def _code(name: str, **kwargs: bool) -> sa.Column[str]:
    return sa.Column(name, sa.Text(collation="C"), nullable=kwargs.get("nullable", False))


def _codes(name: str) -> sa.Column[list[str]]:
    return sa.Column(name, postgresql.ARRAY(sa.Text(collation="C")), nullable=False)


def _recorded_at() -> sa.Column[object]:
    return sa.Column("recorded_at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False)


def _make_tables() -> None:
    op.create_table(
        "review_expert",
        sa.Column("expert_id", sa.Uuid(), nullable=False),
        sa.Column("area_id", sa.Integer(), nullable=False),
        _code("code"),
        _code("hospital_code"),
        _codes("specialties"),
        _codes("recused_from"),
        sa.Column("document", sa.Text(), nullable=False),
        sa.Column("is_active", sa.Boolean(), server_default=sa.text("true"), nullable=False),
        sa.Column("entered_by_person", sa.Uuid(), nullable=False),
        _recorded_at(),
        sa.PrimaryKeyConstraint("expert_id", name=op.f("pk_review_expert")),
        sa.UniqueConstraint("area_id", "code", name=op.f("uq_review_expert_area_id_code")),
    )
    op.create_table(
        "review_cycle",
        sa.Column("cycle_id", sa.Uuid(), nullable=False),
        sa.Column("area_id", sa.Integer(), nullable=False),
        sa.Column("year", sa.SmallInteger(), nullable=False),
        sa.Column("cycle", sa.SmallInteger(), nullable=False),
        sa.Column("last_day", sa.Date(), nullable=False),
        sa.Column("discharges", sa.BigInteger(), nullable=False),
        *(
            sa.Column(name, sa.Integer(), nullable=False)
            for name in (
                "cap",
                "admitted_before",
                "applied",
                "admitted",
                "waiting",
                "lapsed",
                "ineligible",
                "passed_to_date",
            )
        ),
        sa.Column("off_pool_to_date_fen", sa.BigInteger(), nullable=False),
        sa.Column("fund_paid_to_date_fen", sa.BigInteger(), nullable=False),
        sa.Column("closed_by_person", sa.Uuid(), nullable=False),
        _recorded_at(),
        sa.PrimaryKeyConstraint("cycle_id", name=op.f("pk_review_cycle")),
        sa.UniqueConstraint("area_id", "year", "cycle", name=op.f("uq_review_cycle_area_id_year_cycle")),
    )
    _make_special_case()
    op.create_table(
        "special_case_draw",
        sa.Column("draw_id", sa.Uuid(), nullable=False),
        sa.Column("area_id", sa.Integer(), nullable=False),
        sa.Column("special_case_id", sa.Uuid(), nullable=False),
        sa.Column("round", sa.SmallInteger(), nullable=False),
        sa.Column("place", sa.SmallInteger(), nullable=False),
        sa.Column("expert_id", sa.Uuid(), nullable=False),
        _code("expert_code"),
        _code("redraw_of"),
        sa.Column("reason", sa.Text(), nullable=False),
        _code("seed"),
        _codes("candidates"),
        sa.Column("drawn_by_person", sa.Uuid(), nullable=False),
        _recorded_at(),
        sa.ForeignKeyConstraint(
            ["special_case_id"],
            ["special_case.special_case_id"],
            name=op.f("fk_special_case_draw_special_case_id_special_case"),
        ),
        sa.PrimaryKeyConstraint("draw_id", name=op.f("pk_special_case_draw")),
        sa.UniqueConstraint(
            "special_case_id", "round", "place", name=op.f("uq_special_case_draw_special_case_id_round_place")
        ),
        sa.UniqueConstraint(
            "special_case_id", "expert_id", name=op.f("uq_special_case_draw_special_case_id_expert_id")
        ),
    )
    op.create_table(
        "special_case_vote",
        sa.Column("vote_id", sa.Uuid(), nullable=False),
        sa.Column("area_id", sa.Integer(), nullable=False),
        sa.Column("special_case_id", sa.Uuid(), nullable=False),
        sa.Column("round", sa.SmallInteger(), nullable=False),
        sa.Column("step", sa.SmallInteger(), nullable=False),
        _code("expert_code"),
        _code("choice"),
        _code("sheet_sha256"),
        sa.Column("recorded_by_person", sa.Uuid(), nullable=False),
        _recorded_at(),
        sa.CheckConstraint("step in (1, 2)", name=op.f("ck_special_case_vote_step")),
        sa.CheckConstraint(
            "choice in ('yes', 'no', 'abstain', 'item', 'adjusted')", name=op.f("ck_special_case_vote_choice")
        ),
        sa.ForeignKeyConstraint(
            ["special_case_id"],
            ["special_case.special_case_id"],
            name=op.f("fk_special_case_vote_special_case_id_special_case"),
        ),
        sa.PrimaryKeyConstraint("vote_id", name=op.f("pk_special_case_vote")),
        sa.UniqueConstraint(
            "special_case_id",
            "round",
            "step",
            "expert_code",
            name=op.f("uq_special_case_vote_special_case_id_round_step_expert_code"),
        ),
    )


def _make_special_case() -> None:
    op.create_table(
        "special_case",
        sa.Column("special_case_id", sa.Uuid(), nullable=False),
        sa.Column("area_id", sa.Integer(), nullable=False),
        sa.Column("county_id", sa.Integer(), nullable=True),
        sa.Column("hospital_id", sa.Integer(), nullable=False),
        sa.Column("case_id", sa.Uuid(), nullable=False),
        _code("insurance"),
        _code("pool_scope"),
        sa.Column("year", sa.SmallInteger(), nullable=False),
        _code("specialty"),
        _codes("reasons"),
        sa.Column("evidence", postgresql.JSONB(), nullable=False),
        sa.Column("statement", sa.Text(), nullable=False),
        _code("state"),
        sa.Column("cycles_waited", sa.SmallInteger(), server_default=sa.text("0"), nullable=False),
        sa.Column("cycle_id", sa.Uuid(), nullable=True),
        sa.Column("found", postgresql.JSONB(), nullable=True),
        sa.Column("why_zh", sa.Text(), server_default=sa.text("''"), nullable=False),
        sa.Column("why_en", sa.Text(), server_default=sa.text("''"), nullable=False),
        sa.Column("round", sa.SmallInteger(), server_default=sa.text("1"), nullable=False),
        _code("verdict", nullable=True),
        sa.Column("decided_on", sa.Date(), nullable=True),
        sa.Column("appeal_due_on", sa.Date(), nullable=True),
        sa.Column("appeal", sa.Text(), nullable=True),
        _code("funding", nullable=True),
        sa.Column("award_fen", sa.BigInteger(), nullable=True),
        sa.Column("award_points", sa.BigInteger(), nullable=True),
        sa.Column("points_decimals", sa.SmallInteger(), nullable=True),
        sa.Column("point_value_id", sa.Uuid(), nullable=True),
        sa.Column("document", sa.Text(), nullable=True),
        sa.Column("reason", sa.Text(), nullable=True),
        sa.Column("proposed_by_person", sa.Uuid(), nullable=True),
        sa.Column("approved_by_person", sa.Uuid(), nullable=True),
        sa.Column("approved_at", sa.DateTime(timezone=True), nullable=True),
        _code("voucher", nullable=True),
        sa.Column("paid_on", sa.Date(), nullable=True),
        sa.Column("applied_by_person", sa.Uuid(), nullable=False),
        _recorded_at(),
        sa.CheckConstraint("pool_scope in ('local', 'out_of_area')", name=op.f("ck_special_case_pool_scope")),
        sa.CheckConstraint(
            "state in ('applied', 'waiting', 'lapsed', 'ineligible', 'admitted', 'hearing', 'refused', 'voted', "
            "'valued', 'approved', 'paid')",
            name=op.f("ck_special_case_state"),
        ),
        sa.CheckConstraint("verdict in ('item', 'adjusted', 'refused')", name=op.f("ck_special_case_verdict")),
        sa.CheckConstraint("funding in ('in_score', 'off_pool')", name=op.f("ck_special_case_funding")),
        sa.CheckConstraint("round in (1, 2)", name=op.f("ck_special_case_round")),
        sa.CheckConstraint(
            "state not in ('approved', 'paid') or approved_by_person <> proposed_by_person",
            name=op.f("ck_special_case_four_eyes"),
        ),
        sa.CheckConstraint(
            "state not in ('valued', 'approved', 'paid') or ((award_points is null) <> (award_fen is null) "
            "or funding = 'in_score')",
            name=op.f("ck_special_case_award"),
        ),
        sa.PrimaryKeyConstraint("special_case_id", name=op.f("pk_special_case")),
    )
    op.create_index(
        "uq_special_case_case",
        "special_case",
        ["area_id", "case_id"],
        unique=True,
        postgresql_where=sa.text("state not in ('lapsed', 'ineligible')"),
    )
    op.create_index("ix_special_case_pool", "special_case", ["area_id", "insurance", "pool_scope", "year"])

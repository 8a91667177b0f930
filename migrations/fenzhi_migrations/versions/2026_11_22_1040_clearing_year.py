"""The year (年度清算): assessments, opening balances, receivables, advances, disputes, clocks; a run kind of its own; books beyond runs.

Revision ID: 2026_11_22_clearing_year
Revises: 2026_11_22_grouping_layers
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

from fenzhi_migrations.walls import (
    AREA,
    COUNTY,
    HOSPITAL,
    IN_COUNTY,
    IN_HOSPITAL,
    PROVINCE,
    WORKER,
    Wall,
    append_only,
    lowering,
    statements,
)

revision = "2026_11_22_clearing_year"
down_revision = "2026_11_22_grouping_layers"
branch_labels = None
depends_on = None

_APPROVAL = ("state", "approved_by", "approved_by_person", "approved_at")
_DRAFT, _APPROVED = "state = 'draft'", "state = 'approved'"
_OF_VISIBLE_STATEMENT = "statement_id in (select statement_id from inter_area_statement)"
_OF_VISIBLE_RUN = "run_id in (select run_id from clearing_run)"

WALLS: tuple[Wall, ...] = (
    *(
        Wall(
            table,
            "hospital",
            insert=(AREA, WORKER) if table == "receivable" else (AREA,),
            update={AREA: _APPROVAL},
            writable_while=_DRAFT,
            published=_APPROVED,
            below=(COUNTY, HOSPITAL),
        )
        for table in ("assessment_result", "receivable", "advance", "volume_baseline")
    ),
    Wall(
        "account_opening",
        "area",
        insert=(AREA,),
        update={AREA: _APPROVAL},
        writable_while=_DRAFT,
        hidden_from=(COUNTY, HOSPITAL),
    ),
    Wall("receivable_movement", "hospital", insert=(AREA, WORKER)),
    Wall("advance_movement", "hospital", insert=(AREA, COUNTY)),
    Wall("statement_act", "hospital", insert=(AREA, HOSPITAL), published=_OF_VISIBLE_RUN),
    Wall(
        "working_calendar",
        "province",
        insert=(PROVINCE,),
        update={PROVINCE: _APPROVAL},
        writable_while=_DRAFT,
        published=_APPROVED,
        below=(AREA, COUNTY, HOSPITAL, WORKER),
    ),
    Wall(
        "deadline",
        "hospital",
        insert=(AREA,),
        update={
            AREA: ("done_on", "done_by_person", "ends", "unpublished_year"),
            COUNTY: ("done_on", "done_by_person"),
            HOSPITAL: ("done_on", "done_by_person"),
        },
        writable_while="done_on is null",
    ),
    Wall(
        "inter_area_statement",
        "province",
        insert=(PROVINCE,),
        update={PROVINCE: ("state", "approved_by", "approved_by_person", "published_at")},
        writable_while=_DRAFT,
        published="state = 'published'",
        below=(AREA,),
        hidden_from=(COUNTY, HOSPITAL, WORKER),
    ),
    # A city has its own side of a published statement; the province writes it in the worker's role, area by area.
    *(
        Wall(
            table,
            "area",
            insert=(WORKER,),
            published=_OF_VISIBLE_STATEMENT,
            below=(AREA,),
            hidden_from=(COUNTY, HOSPITAL),
        )
        for table in ("inter_area_balance", "inter_area_claim")
    ),
)
# A county that settles reads the entries of its own hospitals.
_COUNTY_BOOKS = f"ledger_entry_select_{COUNTY}"
_APPEND_ONLY = ("receivable_movement", "advance_movement", "statement_act", "inter_area_balance", "inter_area_claim")

# A run as the levels below the city see it: what is published, and a year that was sent to them for their answer.
_RUN_BELOW = "(state = 'published' or (kind = 'year' and state in ('issued', 'approved')))"
_RUN_BELOW_BEFORE = "(state = 'published')"


def _see_runs(condition: str) -> None:
    in_area = "area_id = nullif(current_setting('fenzhi.area_id', true), '')::int"
    for role in (COUNTY, HOSPITAL):
        op.execute(f"alter policy clearing_run_select_{role} on clearing_run using (({in_area}) and {condition})")


_RUN_MOVES = """
create or replace function fenzhi_run_moves() returns trigger language plpgsql as $$
begin
  if (old.state, new.state) not in (
       ('computing', 'computing'), ('computing', 'computed'), ('computing', 'stopped'),
       ('computed', 'approved'), ('computed', 'voided'), ('approved', 'published'), ('approved', 'voided')) then
    raise exception 'FENZHI_RUN_STATE: % -> % is not a move of a run', old.state, new.state
      using errcode = 'restrict_violation';
  end if;
  return new;
end $$
"""
_RUN_MOVES_WITH_YEAR = """
create or replace function fenzhi_run_moves() returns trigger language plpgsql as $$
begin
  if (old.state, new.state) not in (
       ('computing', 'computing'), ('computing', 'computed'), ('computing', 'stopped'),
       ('computed', 'approved'), ('computed', 'voided'), ('approved', 'published'), ('approved', 'voided'),
       ('computed', 'issued'), ('issued', 'approved'), ('issued', 'voided'))
     or new.state = 'issued' and new.kind <> 'year'
     or (old.state, new.state) = ('computed', 'approved') and new.kind = 'year' then
    raise exception 'FENZHI_RUN_STATE: % -> % is not a move of a run', old.state, new.state
      using errcode = 'restrict_violation';
  end if;
  return new;
end $$
"""
_BALANCES = """
create or replace function fenzhi_ledger_balances() returns trigger language plpgsql as $$
begin
  if exists (select from added group by run_id having sum(amount_fen) <> 0) then
    raise exception 'FENZHI_LEDGER_UNBALANCED: debit and credit differ' using errcode = 'check_violation';
  end if;
  return null;
end $$
"""
_BALANCES_BY_SOURCE = """
create or replace function fenzhi_ledger_balances() returns trigger language plpgsql as $$
begin
  if exists (select from added group by run_id, source, source_id having sum(amount_fen) <> 0) then
    raise exception 'FENZHI_LEDGER_UNBALANCED: debit and credit differ' using errcode = 'check_violation';
  end if;
  return null;
end $$
"""

_CHECKS = (
    ("clearing_run", "kind", "kind in ('month', 'quarter')", "kind in ('month', 'quarter', 'year')"),
    (
        "clearing_run",
        "state",
        "state in ('computing', 'computed', 'approved', 'published', 'voided', 'stopped')",
        "state in ('computing', 'computed', 'issued', 'approved', 'published', 'voided', 'stopped')",
    ),
    ("point_value", "kind", "kind in ('budget', 'settlement')", "kind in ('budget', 'settlement', 'bargained')"),
)
"""Table, name, what is allowed before, what from now on."""
_NEW_CHECKS = (
    ("fund_budget", "method", "method in ('stated', 'itemised', 'share', 'growth')"),
    (
        "fund_budget",
        "change_ground",
        "change_ground in ('income', 'visits', 'benefit_change', 'epidemic', 'correction')",
    ),
    ("payment", "part", "part in ('', 'beside')"),
    ("payment", "reversal", "amount_fen >= 0 or reverses is not null"),
    (
        "ledger_entry",
        "source",
        "source in ('run', 'payment', 'advance', 'budget', 'opening', 'receivable', 'offset', 'inter_area')",
    ),
    ("ledger_entry", "run", "(source = 'run') = (run_id is not null)"),
    ("ledger_entry", "source_id", "(source = 'run') = (source_id is null)"),
)
_LIVE = "state in ('computing', 'computed', 'approved', 'published')"
_LIVE_WITH_ISSUED = "state in ('computing', 'computed', 'issued', 'approved', 'published')"


def _live_index(condition: str) -> None:
    op.drop_index("uq_clearing_run_live", table_name="clearing_run")
    op.create_index(
        "uq_clearing_run_live",
        "clearing_run",
        ["area_id", "kind", "insurance", "pool_scope", "year", "period"],
        unique=True,
        postgresql_where=sa.text(condition),
    )


def upgrade() -> None:
    _make_tables()
    for table, name, _before, now in _CHECKS:
        op.drop_constraint(op.f(f"ck_{table}_{name}"), table, type_="check")
        op.create_check_constraint(op.f(f"ck_{table}_{name}"), table, now)
    for table, name, condition in _NEW_CHECKS:
        op.create_check_constraint(op.f(f"ck_{table}_{name}"), table, condition)
    _live_index(_LIVE_WITH_ISSUED)
    op.execute(_RUN_MOVES_WITH_YEAR)
    op.execute(_BALANCES_BY_SOURCE)
    for wall in WALLS:
        for statement in statements(wall):
            op.execute(statement)
    op.execute(
        f"alter policy statement_act_insert_{HOSPITAL} on statement_act with check ({IN_HOSPITAL} and party = 'hospital')"
    )
    for table in _APPEND_ONLY:
        op.execute(append_only(table))
    _see_runs(_RUN_BELOW)
    op.execute(f"grant select on ledger_entry to {COUNTY}")
    op.execute(f"create policy {_COUNTY_BOOKS} on ledger_entry for select to {COUNTY} using ({IN_COUNTY})")


def downgrade() -> None:
    op.execute(f"drop policy {_COUNTY_BOOKS} on ledger_entry")
    op.execute(f"revoke select on ledger_entry from {COUNTY}")
    _see_runs(_RUN_BELOW_BEFORE)
    for table in _APPEND_ONLY:
        op.execute(f"drop trigger {table}_append_only on {table}")
    for wall in reversed(WALLS):
        for statement in lowering(wall):
            op.execute(statement)
    op.execute(_BALANCES)
    op.execute(_RUN_MOVES)
    _live_index(_LIVE)
    for table, name, _condition in _NEW_CHECKS:
        op.drop_constraint(op.f(f"ck_{table}_{name}"), table, type_="check")
    for table, name, before, _now in _CHECKS:
        op.drop_constraint(op.f(f"ck_{table}_{name}"), table, type_="check")
        op.create_check_constraint(op.f(f"ck_{table}_{name}"), table, before)
    _drop_tables()


def _make_tables() -> None:
    op.create_table(
        "account_opening",
        sa.Column("opening_id", sa.Uuid(), nullable=False),
        sa.Column("area_id", sa.Integer(), nullable=False),
        sa.Column("insurance", sa.Text(collation="C"), nullable=False),
        sa.Column("pool_scope", sa.Text(collation="C"), nullable=False),
        sa.Column("year", sa.SmallInteger(), nullable=False),
        sa.Column("account", sa.Text(collation="C"), nullable=False),
        sa.Column("amount_fen", sa.BigInteger(), nullable=False),
        sa.Column("document", sa.Text(), nullable=False),
        sa.Column("reason", sa.Text(), nullable=False),
        sa.Column("state", sa.Text(collation="C"), nullable=False),
        sa.Column("entered_by", sa.Uuid(), nullable=True),
        sa.Column("entered_by_person", sa.Uuid(), nullable=False),
        sa.Column("approved_by", sa.Uuid(), nullable=True),
        sa.Column("approved_by_person", sa.Uuid(), nullable=True),
        sa.Column("approved_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("recorded_at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.CheckConstraint(
            "account in ('phi', 'rounding', 'floor', 'point_value', 'adjustment', 'risk', 'reserve')",
            name=op.f("ck_account_opening_account"),
        ),
        sa.CheckConstraint("pool_scope in ('local', 'out_of_area')", name=op.f("ck_account_opening_pool_scope")),
        sa.CheckConstraint(
            "state <> 'approved' or approved_by_person <> entered_by_person", name=op.f("ck_account_opening_four_eyes")
        ),
        sa.CheckConstraint("state in ('draft', 'approved', 'rejected')", name=op.f("ck_account_opening_state")),
        sa.CheckConstraint("amount_fen >= 0", name=op.f("ck_account_opening_amount")),
        sa.PrimaryKeyConstraint("opening_id", name=op.f("pk_account_opening")),
        info={"table_class": "area", "reason": ""},
    )
    op.create_index(
        "ix_account_opening_pool", "account_opening", ["area_id", "insurance", "pool_scope", "year"], unique=False
    )
    op.create_table(
        "advance",
        sa.Column("advance_id", sa.Uuid(), nullable=False),
        sa.Column("area_id", sa.Integer(), nullable=False),
        sa.Column("county_id", sa.Integer(), nullable=True),
        sa.Column("hospital_id", sa.Integer(), nullable=False),
        sa.Column("insurance", sa.Text(collation="C"), nullable=False),
        sa.Column("pool_scope", sa.Text(collation="C"), nullable=False),
        sa.Column("year", sa.SmallInteger(), nullable=False),
        sa.Column("amount_fen", sa.BigInteger(), nullable=False),
        sa.Column("working", postgresql.JSONB(astext_type=sa.Text()), nullable=False),
        sa.Column("document", sa.Text(), nullable=False),
        sa.Column("reason", sa.Text(), nullable=False),
        sa.Column("state", sa.Text(collation="C"), nullable=False),
        sa.Column("entered_by", sa.Uuid(), nullable=True),
        sa.Column("entered_by_person", sa.Uuid(), nullable=False),
        sa.Column("approved_by", sa.Uuid(), nullable=True),
        sa.Column("approved_by_person", sa.Uuid(), nullable=True),
        sa.Column("approved_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("recorded_at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.CheckConstraint("pool_scope in ('local', 'out_of_area')", name=op.f("ck_advance_pool_scope")),
        sa.CheckConstraint(
            "state <> 'approved' or approved_by_person <> entered_by_person", name=op.f("ck_advance_four_eyes")
        ),
        sa.CheckConstraint("state in ('draft', 'approved', 'rejected')", name=op.f("ck_advance_state")),
        sa.CheckConstraint("amount_fen >= 0", name=op.f("ck_advance_amount")),
        sa.PrimaryKeyConstraint("advance_id", name=op.f("pk_advance")),
        info={"table_class": "hospital", "reason": ""},
    )
    op.create_index(
        "ix_advance_pool", "advance", ["area_id", "insurance", "pool_scope", "year", "hospital_id"], unique=False
    )
    op.create_table(
        "assessment_result",
        sa.Column("assessment_id", sa.Uuid(), nullable=False),
        sa.Column("area_id", sa.Integer(), nullable=False),
        sa.Column("county_id", sa.Integer(), nullable=True),
        sa.Column("hospital_id", sa.Integer(), nullable=False),
        sa.Column("insurance", sa.Text(collation="C"), nullable=False),
        sa.Column("pool_scope", sa.Text(collation="C"), nullable=False),
        sa.Column("year", sa.SmallInteger(), nullable=False),
        sa.Column("coefficient", sa.Numeric(), nullable=False),
        sa.Column("score", sa.Numeric(), nullable=True),
        sa.Column("grade", sa.Text(collation="C"), server_default=sa.text("''"), nullable=False),
        sa.Column("scorecard_id", sa.Uuid(), nullable=True),
        sa.Column("document", sa.Text(), nullable=False),
        sa.Column("reason", sa.Text(), nullable=False),
        sa.Column("state", sa.Text(collation="C"), nullable=False),
        sa.Column("entered_by", sa.Uuid(), nullable=True),
        sa.Column("entered_by_person", sa.Uuid(), nullable=False),
        sa.Column("approved_by", sa.Uuid(), nullable=True),
        sa.Column("approved_by_person", sa.Uuid(), nullable=True),
        sa.Column("approved_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("recorded_at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.CheckConstraint("pool_scope in ('local', 'out_of_area')", name=op.f("ck_assessment_result_pool_scope")),
        sa.CheckConstraint(
            "state <> 'approved' or approved_by_person <> entered_by_person",
            name=op.f("ck_assessment_result_four_eyes"),
        ),
        sa.CheckConstraint("state in ('draft', 'approved', 'rejected')", name=op.f("ck_assessment_result_state")),
        sa.CheckConstraint("coefficient between 0 and 2", name=op.f("ck_assessment_result_coefficient")),
        sa.PrimaryKeyConstraint("assessment_id", name=op.f("pk_assessment_result")),
        info={"table_class": "hospital", "reason": ""},
    )
    op.create_index(
        "ix_assessment_result_pool",
        "assessment_result",
        ["area_id", "insurance", "pool_scope", "year", "hospital_id"],
        unique=False,
    )
    op.create_table(
        "deadline",
        sa.Column("deadline_id", sa.Uuid(), nullable=False),
        sa.Column("area_id", sa.Integer(), nullable=False),
        sa.Column("county_id", sa.Integer(), nullable=True),
        sa.Column("hospital_id", sa.Integer(), nullable=False),
        sa.Column("insurance", sa.Text(collation="C"), nullable=False),
        sa.Column("pool_scope", sa.Text(collation="C"), nullable=False),
        sa.Column("year", sa.SmallInteger(), nullable=False),
        sa.Column("period", sa.SmallInteger(), nullable=False),
        sa.Column("clock", sa.Text(collation="C"), nullable=False),
        sa.Column("begins", sa.Date(), nullable=False),
        sa.Column("ends", sa.Date(), nullable=True),
        sa.Column("days", sa.Integer(), nullable=False),
        sa.Column("is_working", sa.Boolean(), nullable=False),
        sa.Column("unpublished_year", sa.SmallInteger(), nullable=True),
        sa.Column("subject_id", sa.Uuid(), nullable=True),
        sa.Column("done_on", sa.Date(), nullable=True),
        sa.Column("done_by_person", sa.Uuid(), nullable=True),
        sa.Column("recorded_at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.CheckConstraint("pool_scope in ('local', 'out_of_area')", name=op.f("ck_deadline_pool_scope")),
        sa.CheckConstraint("(ends is null) = (unpublished_year is not null)", name=op.f("ck_deadline_ends")),
        sa.PrimaryKeyConstraint("deadline_id", name=op.f("pk_deadline")),
        info={"table_class": "hospital", "reason": ""},
    )
    op.create_index(
        "uq_deadline_clock",
        "deadline",
        ["area_id", "hospital_id", "insurance", "pool_scope", "year", "period", "clock", "subject_id"],
        unique=True,
        postgresql_nulls_not_distinct=True,
    )
    op.create_table(
        "receivable",
        sa.Column("receivable_id", sa.Uuid(), nullable=False),
        sa.Column("area_id", sa.Integer(), nullable=False),
        sa.Column("county_id", sa.Integer(), nullable=True),
        sa.Column("hospital_id", sa.Integer(), nullable=False),
        sa.Column("insurance", sa.Text(collation="C"), nullable=False),
        sa.Column("pool_scope", sa.Text(collation="C"), nullable=False),
        sa.Column("year", sa.SmallInteger(), nullable=False),
        sa.Column("since", sa.Date(), nullable=False),
        sa.Column("amount_fen", sa.BigInteger(), nullable=False),
        sa.Column("run_id", sa.Uuid(), nullable=True),
        sa.Column("document", sa.Text(), nullable=False),
        sa.Column("reason", sa.Text(), nullable=False),
        sa.Column("state", sa.Text(collation="C"), nullable=False),
        sa.Column("entered_by", sa.Uuid(), nullable=True),
        sa.Column("entered_by_person", sa.Uuid(), nullable=False),
        sa.Column("approved_by", sa.Uuid(), nullable=True),
        sa.Column("approved_by_person", sa.Uuid(), nullable=True),
        sa.Column("approved_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("recorded_at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.CheckConstraint("pool_scope in ('local', 'out_of_area')", name=op.f("ck_receivable_pool_scope")),
        sa.CheckConstraint(
            "state <> 'approved' or approved_by_person <> entered_by_person", name=op.f("ck_receivable_four_eyes")
        ),
        sa.CheckConstraint("state in ('draft', 'approved', 'rejected')", name=op.f("ck_receivable_state")),
        sa.CheckConstraint("amount_fen > 0", name=op.f("ck_receivable_amount")),
        sa.PrimaryKeyConstraint("receivable_id", name=op.f("pk_receivable")),
        info={"table_class": "hospital", "reason": ""},
    )
    op.create_index(
        "ix_receivable_pool", "receivable", ["area_id", "insurance", "pool_scope", "hospital_id"], unique=False
    )
    op.create_index(
        "uq_receivable_run",
        "receivable",
        ["run_id", "hospital_id"],
        unique=True,
        postgresql_where=sa.text("run_id is not null"),
    )
    op.create_table(
        "volume_baseline",
        sa.Column("baseline_id", sa.Uuid(), nullable=False),
        sa.Column("area_id", sa.Integer(), nullable=False),
        sa.Column("county_id", sa.Integer(), nullable=True),
        sa.Column("hospital_id", sa.Integer(), nullable=False),
        sa.Column("insurance", sa.Text(collation="C"), nullable=False),
        sa.Column("pool_scope", sa.Text(collation="C"), nullable=False),
        sa.Column("year", sa.SmallInteger(), nullable=False),
        sa.Column("points", sa.Numeric(), nullable=False),
        sa.Column("document", sa.Text(), nullable=False),
        sa.Column("reason", sa.Text(), nullable=False),
        sa.Column("state", sa.Text(collation="C"), nullable=False),
        sa.Column("entered_by", sa.Uuid(), nullable=True),
        sa.Column("entered_by_person", sa.Uuid(), nullable=False),
        sa.Column("approved_by", sa.Uuid(), nullable=True),
        sa.Column("approved_by_person", sa.Uuid(), nullable=True),
        sa.Column("approved_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("recorded_at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.CheckConstraint("pool_scope in ('local', 'out_of_area')", name=op.f("ck_volume_baseline_pool_scope")),
        sa.CheckConstraint(
            "state <> 'approved' or approved_by_person <> entered_by_person", name=op.f("ck_volume_baseline_four_eyes")
        ),
        sa.CheckConstraint("state in ('draft', 'approved', 'rejected')", name=op.f("ck_volume_baseline_state")),
        sa.CheckConstraint("points >= 0", name=op.f("ck_volume_baseline_points")),
        sa.PrimaryKeyConstraint("baseline_id", name=op.f("pk_volume_baseline")),
        info={"table_class": "hospital", "reason": ""},
    )
    op.create_index(
        "ix_volume_baseline_pool",
        "volume_baseline",
        ["area_id", "insurance", "pool_scope", "year", "hospital_id"],
        unique=False,
    )
    op.create_table(
        "working_calendar",
        sa.Column("calendar_id", sa.Uuid(), nullable=False),
        sa.Column("province_id", sa.Integer(), nullable=False),
        sa.Column("year", sa.SmallInteger(), nullable=False),
        sa.Column("worked", postgresql.ARRAY(sa.Date()), nullable=False),
        sa.Column("off", postgresql.ARRAY(sa.Date()), nullable=False),
        sa.Column("document", sa.Text(), nullable=False),
        sa.Column("reason", sa.Text(), nullable=False),
        sa.Column("state", sa.Text(collation="C"), nullable=False),
        sa.Column("entered_by", sa.Uuid(), nullable=True),
        sa.Column("entered_by_person", sa.Uuid(), nullable=False),
        sa.Column("approved_by", sa.Uuid(), nullable=True),
        sa.Column("approved_by_person", sa.Uuid(), nullable=True),
        sa.Column("approved_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("recorded_at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.CheckConstraint(
            "state <> 'approved' or approved_by_person <> entered_by_person", name=op.f("ck_working_calendar_four_eyes")
        ),
        sa.CheckConstraint("state in ('draft', 'approved', 'rejected')", name=op.f("ck_working_calendar_state")),
        sa.PrimaryKeyConstraint("calendar_id", name=op.f("pk_working_calendar")),
        info={"table_class": "province", "reason": ""},
    )
    op.create_index("ix_working_calendar_year", "working_calendar", ["province_id", "year"], unique=False)
    op.create_table(
        "advance_movement",
        sa.Column("movement_id", sa.Uuid(), nullable=False),
        sa.Column("area_id", sa.Integer(), nullable=False),
        sa.Column("county_id", sa.Integer(), nullable=True),
        sa.Column("hospital_id", sa.Integer(), nullable=False),
        sa.Column("advance_id", sa.Uuid(), nullable=False),
        sa.Column("kind", sa.Text(collation="C"), nullable=False),
        sa.Column("amount_fen", sa.BigInteger(), nullable=False),
        sa.Column("voucher", sa.Text(collation="C"), nullable=False),
        sa.Column("moved_on", sa.Date(), nullable=False),
        sa.Column("recorded_by_person", sa.Uuid(), nullable=False),
        sa.Column("recorded_at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.CheckConstraint("kind in ('paid', 'returned')", name=op.f("ck_advance_movement_kind")),
        sa.CheckConstraint("amount_fen > 0", name=op.f("ck_advance_movement_amount")),
        sa.ForeignKeyConstraint(
            ["advance_id"], ["advance.advance_id"], name=op.f("fk_advance_movement_advance_id_advance")
        ),
        sa.PrimaryKeyConstraint("movement_id", name=op.f("pk_advance_movement")),
        info={"table_class": "hospital", "reason": ""},
    )
    op.create_index("ix_advance_movement_advance_id", "advance_movement", ["advance_id"], unique=False)
    op.create_index(
        "uq_advance_movement_voucher", "advance_movement", ["area_id", "hospital_id", "voucher"], unique=True
    )
    op.create_table(
        "receivable_movement",
        sa.Column("movement_id", sa.Uuid(), nullable=False),
        sa.Column("area_id", sa.Integer(), nullable=False),
        sa.Column("county_id", sa.Integer(), nullable=True),
        sa.Column("hospital_id", sa.Integer(), nullable=False),
        sa.Column("receivable_id", sa.Uuid(), nullable=False),
        sa.Column("kind", sa.Text(collation="C"), nullable=False),
        sa.Column("amount_fen", sa.BigInteger(), nullable=False),
        sa.Column("year", sa.SmallInteger(), nullable=False),
        sa.Column("run_id", sa.Uuid(), nullable=True),
        sa.Column("voucher", sa.Text(collation="C"), server_default=sa.text("''"), nullable=False),
        sa.Column("moved_on", sa.Date(), nullable=False),
        sa.Column("recorded_by_person", sa.Uuid(), nullable=False),
        sa.Column("recorded_at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.CheckConstraint("(kind = 'offset') = (run_id is not null)", name=op.f("ck_receivable_movement_run")),
        sa.CheckConstraint("kind in ('offset', 'repaid')", name=op.f("ck_receivable_movement_kind")),
        sa.CheckConstraint("amount_fen > 0", name=op.f("ck_receivable_movement_amount")),
        sa.ForeignKeyConstraint(
            ["receivable_id"],
            ["receivable.receivable_id"],
            name=op.f("fk_receivable_movement_receivable_id_receivable"),
        ),
        sa.PrimaryKeyConstraint("movement_id", name=op.f("pk_receivable_movement")),
        info={"table_class": "hospital", "reason": ""},
    )
    op.create_index("ix_receivable_movement_receivable_id", "receivable_movement", ["receivable_id"], unique=False)
    op.create_table(
        "statement_act",
        sa.Column("area_id", sa.Integer(), nullable=False),
        sa.Column("county_id", sa.Integer(), nullable=True),
        sa.Column("hospital_id", sa.Integer(), nullable=False),
        sa.Column("run_id", sa.Uuid(), nullable=False),
        sa.Column("seq", sa.SmallInteger(), nullable=False),
        sa.Column("act", sa.Text(collation="C"), nullable=False),
        sa.Column("party", sa.Text(collation="C"), nullable=False),
        sa.Column("to_state", sa.Text(collation="C"), nullable=False),
        sa.Column("reason", sa.Text(), nullable=False),
        sa.Column("due_on", sa.Date(), nullable=True),
        sa.Column("acted_by", sa.Uuid(), nullable=True),
        sa.Column("acted_by_person", sa.Uuid(), nullable=False),
        sa.Column("recorded_at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.CheckConstraint(
            "(party = 'hospital') = (act in ('confirm', 'dispute', 'withdraw'))", name=op.f("ck_statement_act_act")
        ),
        sa.CheckConstraint(
            "party in ('hospital', 'calendar', 'handler', 'approver')", name=op.f("ck_statement_act_party")
        ),
        sa.CheckConstraint(
            "to_state in ('issued', 'confirmed', 'disputed', 'resolved', 'approved', 'posted', 'locked')",
            name=op.f("ck_statement_act_to_state"),
        ),
        sa.ForeignKeyConstraint(["run_id"], ["clearing_run.run_id"], name=op.f("fk_statement_act_run_id_clearing_run")),
        sa.PrimaryKeyConstraint("run_id", "hospital_id", "seq", name=op.f("pk_statement_act")),
        info={"table_class": "hospital", "reason": ""},
    )
    _make_inter_area_tables()
    op.add_column(
        "fund_budget", sa.Column("method", sa.Text(collation="C"), server_default=sa.text("'stated'"), nullable=False)
    )
    op.add_column("fund_budget", sa.Column("composition", postgresql.JSONB(astext_type=sa.Text()), nullable=True))
    op.add_column("fund_budget", sa.Column("change_ground", sa.Text(collation="C"), nullable=True))
    op.add_column("fund_budget", sa.Column("effect", postgresql.JSONB(astext_type=sa.Text()), nullable=True))
    op.add_column(
        "hospital_statement",
        sa.Column("deposit_released_fen", sa.BigInteger(), server_default=sa.text("0"), nullable=False),
    )
    op.add_column(
        "hospital_statement",
        sa.Column("deposit_forfeited_fen", sa.BigInteger(), server_default=sa.text("0"), nullable=False),
    )
    op.add_column(
        "hospital_statement", sa.Column("advance_fen", sa.BigInteger(), server_default=sa.text("0"), nullable=False)
    )
    op.add_column(
        "hospital_statement", sa.Column("final_fen", sa.BigInteger(), server_default=sa.text("0"), nullable=False)
    )
    op.add_column(
        "ledger_entry", sa.Column("source", sa.Text(collation="C"), server_default=sa.text("'run'"), nullable=False)
    )
    op.add_column("ledger_entry", sa.Column("county_id", sa.Integer(), nullable=True))
    op.add_column("ledger_entry", sa.Column("source_id", sa.Uuid(), nullable=True))
    op.alter_column("ledger_entry", "run_id", existing_type=sa.UUID(), nullable=True)
    op.create_index("ix_ledger_entry_source_id", "ledger_entry", ["area_id", "source_id"], unique=False)
    op.add_column(
        "hospital_statement", sa.Column("beside_fen", sa.BigInteger(), server_default=sa.text("0"), nullable=False)
    )
    op.add_column("payment", sa.Column("part", sa.Text(collation="C"), server_default=sa.text("''"), nullable=False))
    op.add_column("payment", sa.Column("reverses", sa.Uuid(), nullable=True))
    op.add_column("payment", sa.Column("reason", sa.Text(), server_default=sa.text("''"), nullable=False))
    op.create_index(
        "uq_payment_reverses", "payment", ["reverses"], unique=True, postgresql_where=sa.text("reverses is not null")
    )
    op.add_column(
        "point_value", sa.Column("part", sa.Text(collation="C"), server_default=sa.text("''"), nullable=False)
    )
    op.add_column("run_case", sa.Column("group_score", sa.BigInteger(), nullable=True))
    op.add_column("run_case", sa.Column("beside_fen", sa.BigInteger(), nullable=True))
    op.add_column("run_case", sa.Column("part", sa.Text(collation="C"), nullable=True))


def _drop_tables() -> None:
    op.drop_column("run_case", "part")
    op.drop_column("run_case", "beside_fen")
    op.drop_column("run_case", "group_score")
    op.drop_column("point_value", "part")
    op.drop_index("uq_payment_reverses", table_name="payment", postgresql_where=sa.text("reverses is not null"))
    op.drop_column("payment", "reason")
    op.drop_column("payment", "reverses")
    op.drop_column("payment", "part")
    op.drop_column("hospital_statement", "beside_fen")
    op.drop_index("ix_ledger_entry_source_id", table_name="ledger_entry")
    op.alter_column("ledger_entry", "run_id", existing_type=sa.UUID(), nullable=False)
    op.drop_column("ledger_entry", "source_id")
    op.drop_column("ledger_entry", "county_id")
    op.drop_column("ledger_entry", "source")
    op.drop_column("hospital_statement", "final_fen")
    op.drop_column("hospital_statement", "advance_fen")
    op.drop_column("hospital_statement", "deposit_forfeited_fen")
    op.drop_column("hospital_statement", "deposit_released_fen")
    op.drop_column("fund_budget", "effect")
    op.drop_column("fund_budget", "change_ground")
    op.drop_column("fund_budget", "composition")
    op.drop_column("fund_budget", "method")
    op.drop_table("inter_area_claim")
    op.drop_table("inter_area_balance")
    op.drop_table("inter_area_statement")
    op.drop_table("statement_act")
    op.drop_index("ix_receivable_movement_receivable_id", table_name="receivable_movement")
    op.drop_table("receivable_movement")
    op.drop_index("uq_advance_movement_voucher", table_name="advance_movement")
    op.drop_index("ix_advance_movement_advance_id", table_name="advance_movement")
    op.drop_table("advance_movement")
    op.drop_index("ix_working_calendar_year", table_name="working_calendar")
    op.drop_table("working_calendar")
    op.drop_index("ix_volume_baseline_pool", table_name="volume_baseline")
    op.drop_table("volume_baseline")
    op.drop_index("uq_receivable_run", table_name="receivable", postgresql_where=sa.text("run_id is not null"))
    op.drop_index("ix_receivable_pool", table_name="receivable")
    op.drop_table("receivable")
    op.drop_index("uq_deadline_clock", table_name="deadline", postgresql_nulls_not_distinct=True)
    op.drop_table("deadline")
    op.drop_index("ix_assessment_result_pool", table_name="assessment_result")
    op.drop_table("assessment_result")
    op.drop_index("ix_advance_pool", table_name="advance")
    op.drop_table("advance")
    op.drop_index("ix_account_opening_pool", table_name="account_opening")
    op.drop_table("account_opening")


def _make_inter_area_tables() -> None:
    op.create_table(
        "inter_area_statement",
        sa.Column("statement_id", sa.Uuid(), nullable=False),
        sa.Column("province_id", sa.Integer(), nullable=False),
        sa.Column("insurance", sa.Text(collation="C"), nullable=False),
        sa.Column("year", sa.SmallInteger(), nullable=False),
        sa.Column("kind", sa.Text(collation="C"), nullable=False),
        sa.Column("period", sa.SmallInteger(), nullable=False),
        sa.Column("state", sa.Text(collation="C"), nullable=False),
        sa.Column("claims", sa.Integer(), nullable=False),
        sa.Column("receivable_fen", sa.BigInteger(), nullable=False),
        sa.Column("payable_fen", sa.BigInteger(), nullable=False),
        sa.Column("working", postgresql.JSONB(astext_type=sa.Text()), nullable=False),
        sa.Column("drafted_by", sa.Uuid(), nullable=True),
        sa.Column("drafted_by_person", sa.Uuid(), nullable=False),
        sa.Column("approved_by", sa.Uuid(), nullable=True),
        sa.Column("approved_by_person", sa.Uuid(), nullable=True),
        sa.Column("published_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("recorded_at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.CheckConstraint("kind in ('quarter', 'year')", name=op.f("ck_inter_area_statement_kind")),
        sa.CheckConstraint("state in ('draft', 'published', 'voided')", name=op.f("ck_inter_area_statement_state")),
        sa.CheckConstraint("receivable_fen = payable_fen", name=op.f("ck_inter_area_statement_balanced")),
        sa.CheckConstraint(
            "state <> 'published' or approved_by_person <> drafted_by_person",
            name=op.f("ck_inter_area_statement_four_eyes"),
        ),
        sa.PrimaryKeyConstraint("statement_id", name=op.f("pk_inter_area_statement")),
        info={"table_class": "province", "reason": ""},
    )
    op.create_index(
        "uq_inter_area_statement_live",
        "inter_area_statement",
        ["province_id", "insurance", "year", "kind", "period"],
        unique=True,
        postgresql_where=sa.text("state <> 'voided'"),
    )
    op.create_table(
        "inter_area_balance",
        sa.Column("statement_id", sa.Uuid(), nullable=False),
        sa.Column("area_id", sa.Integer(), nullable=False),
        sa.Column("counterpart", sa.Text(collation="C"), nullable=False),
        sa.Column("cases", sa.Integer(), nullable=False),
        sa.Column("receivable_fen", sa.BigInteger(), nullable=False),
        sa.Column("payable_fen", sa.BigInteger(), nullable=False),
        sa.ForeignKeyConstraint(
            ["statement_id"],
            ["inter_area_statement.statement_id"],
            name=op.f("fk_inter_area_balance_statement_id_inter_area_statement"),
        ),
        sa.PrimaryKeyConstraint("statement_id", "area_id", "counterpart", name=op.f("pk_inter_area_balance")),
        info={"table_class": "area", "reason": ""},
    )
    op.create_table(
        "inter_area_claim",
        sa.Column("claim_id", sa.Uuid(), nullable=False),
        sa.Column("area_id", sa.Integer(), nullable=False),
        sa.Column("statement_id", sa.Uuid(), nullable=False),
        sa.Column("treatment_area", sa.Text(collation="C"), nullable=False),
        sa.Column("hospital_code", sa.Text(collation="C"), nullable=False),
        sa.Column("run_id", sa.Uuid(), nullable=True),
        sa.Column("case_id", sa.Uuid(), nullable=False),
        sa.Column("settlement_month", sa.Integer(), nullable=False),
        sa.Column("points", sa.BigInteger(), nullable=False),
        sa.Column("points_decimals", sa.SmallInteger(), nullable=False),
        sa.Column("amount_fen", sa.BigInteger(), nullable=False),
        sa.Column("recorded_at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.ForeignKeyConstraint(
            ["statement_id"],
            ["inter_area_statement.statement_id"],
            name=op.f("fk_inter_area_claim_statement_id_inter_area_statement"),
        ),
        sa.PrimaryKeyConstraint("claim_id", name=op.f("pk_inter_area_claim")),
        info={"table_class": "area", "reason": ""},
    )
    op.create_index(
        "ix_inter_area_claim_statement", "inter_area_claim", ["area_id", "statement_id", "claim_id"], unique=False
    )
    op.create_index("ix_inter_area_claim_case", "inter_area_claim", ["area_id", "case_id"], unique=False)

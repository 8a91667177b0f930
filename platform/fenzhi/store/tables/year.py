"""The year (年度): assessments, opening balances, receivables, advances, baselines, the acts on a statement, clocks and calendars."""

from __future__ import annotations

from sqlalchemy import CheckConstraint, Column, Date, ForeignKeyConstraint, Index, PrimaryKeyConstraint, Table, text
from sqlalchemy.dialects.postgresql import ARRAY

from fenzhi.store.tables.base import (
    TableClass,
    as_written,
    big,
    code,
    day,
    document,
    fen,
    flag,
    hospital_key,
    key,
    metadata,
    moment,
    recorded_at,
    small,
    uuid_,
    walled,
    whole,
    words,
)

_POOL_SCOPE = "pool_scope in ('local', 'out_of_area')"
_STATE = "state in ('draft', 'approved', 'rejected')"
_FOUR_EYES = "state <> 'approved' or approved_by_person <> entered_by_person"


def _pool() -> list[Column[object]]:
    return [code("insurance", nullable=False), code("pool_scope", nullable=False), small("year", nullable=False)]


def _decided() -> list[Column[object]]:
    """Who entered, who decided, on which document (录入与审批)."""
    return [
        words("document", nullable=False),
        words("reason", nullable=False),
        code("state", nullable=False),
        uuid_("entered_by"),
        uuid_("entered_by_person", nullable=False),
        uuid_("approved_by"),
        uuid_("approved_by_person"),
        moment("approved_at"),
        recorded_at(),
    ]


assessment_result = Table(
    "assessment_result",
    metadata,
    key("assessment_id"),
    *hospital_key(),
    *_pool(),
    as_written("coefficient"),
    as_written("score", nullable=True),
    code("grade", nullable=False, server_default=text("''")),
    uuid_("scorecard_id"),
    *_decided(),
    PrimaryKeyConstraint("assessment_id"),
    CheckConstraint("coefficient between 0 and 2", name="coefficient"),
    CheckConstraint(_STATE, name="state"),
    CheckConstraint(_FOUR_EYES, name="four_eyes"),
    CheckConstraint(_POOL_SCOPE, name="pool_scope"),
    Index("ix_assessment_result_pool", "area_id", "insurance", "pool_scope", "year", "hospital_id"),
    info=walled(TableClass.HOSPITAL),
)
"""What the assessment of a year gave a hospital (年度考核结果); the latest approved one counts."""

account_opening = Table(
    "account_opening",
    metadata,
    key("opening_id"),
    whole("area_id", nullable=False),
    *_pool(),
    code("account", nullable=False),
    fen("amount_fen"),
    *_decided(),
    PrimaryKeyConstraint("opening_id"),
    CheckConstraint("amount_fen >= 0", name="amount"),
    CheckConstraint(
        "account in ('phi', 'rounding', 'floor', 'point_value', 'adjustment', 'risk', 'reserve')", name="account"
    ),
    CheckConstraint(_STATE, name="state"),
    CheckConstraint(_FOUR_EYES, name="four_eyes"),
    CheckConstraint(_POOL_SCOPE, name="pool_scope"),
    Index("ix_account_opening_pool", "area_id", "insurance", "pool_scope", "year"),
    info=walled(TableClass.AREA),
)
"""What an account of a pool holds when its year begins (账户期初余额); entries of one account add up."""

receivable = Table(
    "receivable",
    metadata,
    key("receivable_id"),
    *hospital_key(),
    *_pool(),
    day("since", nullable=False),
    fen("amount_fen"),
    uuid_("run_id"),
    *_decided(),
    PrimaryKeyConstraint("receivable_id"),
    CheckConstraint("amount_fen > 0", name="amount"),
    CheckConstraint(_STATE, name="state"),
    CheckConstraint(_FOUR_EYES, name="four_eyes"),
    CheckConstraint(_POOL_SCOPE, name="pool_scope"),
    Index("uq_receivable_run", "run_id", "hospital_id", unique=True, postgresql_where=text("run_id is not null")),
    Index("ix_receivable_pool", "area_id", "insurance", "pool_scope", "hospital_id"),
    info=walled(TableClass.HOSPITAL),
)
"""What a hospital owes a pool from a year that is closed (应收机构款): from an annual run, or entered for earlier ones."""

receivable_movement = Table(
    "receivable_movement",
    metadata,
    key("movement_id"),
    *hospital_key(),
    uuid_("receivable_id", nullable=False),
    code("kind", nullable=False),
    fen("amount_fen"),
    small("year", nullable=False),
    uuid_("run_id"),
    code("voucher", nullable=False, server_default=text("''")),
    day("moved_on", nullable=False),
    uuid_("recorded_by_person", nullable=False),
    recorded_at(),
    PrimaryKeyConstraint("movement_id"),
    ForeignKeyConstraint(["receivable_id"], ["receivable.receivable_id"]),
    CheckConstraint("kind in ('offset', 'repaid')", name="kind"),
    CheckConstraint("amount_fen > 0", name="amount"),
    CheckConstraint("(kind = 'offset') = (run_id is not null)", name="run"),
    Index("ix_receivable_movement_receivable_id", "receivable_id"),
    info=walled(TableClass.HOSPITAL),
)
"""What was offset by a published run or paid back (应收款变动); append-only."""

advance = Table(
    "advance",
    metadata,
    key("advance_id"),
    *hospital_key(),
    *_pool(),
    fen("amount_fen"),
    document("working", nullable=False),
    *_decided(),
    PrimaryKeyConstraint("advance_id"),
    CheckConstraint("amount_fen >= 0", name="amount"),
    CheckConstraint(_STATE, name="state"),
    CheckConstraint(_FOUR_EYES, name="four_eyes"),
    CheckConstraint(_POOL_SCOPE, name="pool_scope"),
    Index("ix_advance_pool", "area_id", "insurance", "pool_scope", "year", "hospital_id"),
    info=walled(TableClass.HOSPITAL),
)
"""An advance granted to a hospital for a year (预付金)."""

advance_movement = Table(
    "advance_movement",
    metadata,
    key("movement_id"),
    *hospital_key(),
    uuid_("advance_id", nullable=False),
    code("kind", nullable=False),
    fen("amount_fen"),
    code("voucher", nullable=False),
    day("moved_on", nullable=False),
    uuid_("recorded_by_person", nullable=False),
    recorded_at(),
    PrimaryKeyConstraint("movement_id"),
    ForeignKeyConstraint(["advance_id"], ["advance.advance_id"]),
    CheckConstraint("kind in ('paid', 'returned')", name="kind"),
    CheckConstraint("amount_fen > 0", name="amount"),
    Index("uq_advance_movement_voucher", "area_id", "hospital_id", "voucher", unique=True),
    Index("ix_advance_movement_advance_id", "advance_id"),
    info=walled(TableClass.HOSPITAL),
)
"""What of an advance was paid out or came back before the annual clearing (预付金收付); append-only."""

volume_baseline = Table(
    "volume_baseline",
    metadata,
    key("baseline_id"),
    *hospital_key(),
    *_pool(),
    as_written("points"),
    *_decided(),
    PrimaryKeyConstraint("baseline_id"),
    CheckConstraint("points >= 0", name="points"),
    CheckConstraint(_STATE, name="state"),
    CheckConstraint(_FOUR_EYES, name="four_eyes"),
    CheckConstraint(_POOL_SCOPE, name="pool_scope"),
    Index("ix_volume_baseline_pool", "area_id", "insurance", "pool_scope", "year", "hospital_id"),
    info=walled(TableClass.HOSPITAL),
)
"""The volume of a year that an elastic point value pays at its fixed value (弹性点值基准量), in whole points."""

statement_act = Table(
    "statement_act",
    metadata,
    *hospital_key(),
    uuid_("run_id", nullable=False),
    small("seq", nullable=False),
    code("act", nullable=False),
    code("party", nullable=False),
    code("to_state", nullable=False),
    words("reason", nullable=False),
    day("due_on"),
    uuid_("acted_by"),
    uuid_("acted_by_person", nullable=False),
    recorded_at(),
    PrimaryKeyConstraint("run_id", "hospital_id", "seq"),
    ForeignKeyConstraint(["run_id"], ["clearing_run.run_id"]),
    CheckConstraint("party in ('hospital', 'calendar', 'handler', 'approver')", name="party"),
    CheckConstraint(
        "to_state in ('issued', 'confirmed', 'disputed', 'resolved', 'approved', 'posted', 'locked')", name="to_state"
    ),
    CheckConstraint("(party = 'hospital') = (act in ('confirm', 'dispute', 'withdraw'))", name="act"),
    info=walled(TableClass.HOSPITAL),
)
"""Every act on an annual statement in its order (年度结算单操作记录); where it stands is what its last act led to."""

working_calendar = Table(
    "working_calendar",
    metadata,
    key("calendar_id"),
    whole("province_id", nullable=False),
    small("year", nullable=False),
    Column("worked", ARRAY(Date), nullable=False),
    Column("off", ARRAY(Date), nullable=False),
    *_decided(),
    PrimaryKeyConstraint("calendar_id"),
    CheckConstraint(_STATE, name="state"),
    CheckConstraint(_FOUR_EYES, name="four_eyes"),
    Index("ix_working_calendar_year", "province_id", "year"),
    info=walled(TableClass.PROVINCE),
)
"""The days a year turns round (放假安排): weekends worked, weekdays off; the latest approved one counts."""

deadline = Table(
    "deadline",
    metadata,
    key("deadline_id"),
    *hospital_key(),
    *_pool(),
    small("period", nullable=False),
    code("clock", nullable=False),
    day("begins", nullable=False),
    day("ends"),
    whole("days", nullable=False),
    flag("is_working"),
    small("unpublished_year"),
    uuid_("subject_id"),
    day("done_on"),
    uuid_("done_by_person"),
    recorded_at(),
    PrimaryKeyConstraint("deadline_id"),
    CheckConstraint("(ends is null) = (unpublished_year is not null)", name="ends"),
    CheckConstraint(_POOL_SCOPE, name="pool_scope"),
    Index(
        "uq_deadline_clock",
        "area_id",
        "hospital_id",
        "insurance",
        "pool_scope",
        "year",
        "period",
        "clock",
        "subject_id",
        unique=True,
        postgresql_nulls_not_distinct=True,
    ),
    info=walled(TableClass.HOSPITAL),
)
"""The deadline ledger (时限台账): which clock runs for whom, until when, and when it was met."""

inter_area_statement = Table(
    "inter_area_statement",
    metadata,
    key("statement_id"),
    whole("province_id", nullable=False),
    code("insurance", nullable=False),
    small("year", nullable=False),
    code("kind", nullable=False),
    small("period", nullable=False),
    code("state", nullable=False),
    whole("claims", nullable=False),
    fen("receivable_fen"),
    fen("payable_fen"),
    document("working", nullable=False),
    uuid_("drafted_by"),
    uuid_("drafted_by_person", nullable=False),
    uuid_("approved_by"),
    uuid_("approved_by_person"),
    moment("published_at"),
    recorded_at(),
    PrimaryKeyConstraint("statement_id"),
    CheckConstraint("kind in ('quarter', 'year')", name="kind"),
    CheckConstraint("state in ('draft', 'published', 'voided')", name="state"),
    CheckConstraint("receivable_fen = payable_fen", name="balanced"),
    CheckConstraint("state <> 'published' or approved_by_person <> drafted_by_person", name="four_eyes"),
    Index(
        "uq_inter_area_statement_live",
        "province_id",
        "insurance",
        "year",
        "kind",
        "period",
        unique=True,
        postgresql_where=text("state <> 'voided'"),
    ),
    info=walled(TableClass.PROVINCE),
)
"""What the areas of a province owe one another for a period, year to date (区域间异地就医清算)."""

inter_area_balance = Table(
    "inter_area_balance",
    metadata,
    uuid_("statement_id", nullable=False),
    whole("area_id", nullable=False),
    code("counterpart", nullable=False),
    whole("cases", nullable=False),
    fen("receivable_fen"),
    fen("payable_fen"),
    PrimaryKeyConstraint("statement_id", "area_id", "counterpart"),
    ForeignKeyConstraint(["statement_id"], ["inter_area_statement.statement_id"]),
    info=walled(TableClass.AREA),
)
"""One area's side of a statement, by the other area; every claim stands in two rows, one on each side. Year to date."""

inter_area_claim = Table(
    "inter_area_claim",
    metadata,
    key("claim_id"),
    whole("area_id", nullable=False),
    uuid_("statement_id", nullable=False),
    code("treatment_area", nullable=False),
    code("hospital_code", nullable=False),
    uuid_("run_id"),
    uuid_("case_id", nullable=False),
    whole("settlement_month", nullable=False),
    big("points", nullable=False),
    small("points_decimals", nullable=False),
    fen("amount_fen"),
    recorded_at(),
    PrimaryKeyConstraint("claim_id"),
    ForeignKeyConstraint(["statement_id"], ["inter_area_statement.statement_id"]),
    Index("ix_inter_area_claim_statement", "area_id", "statement_id", "claim_id"),
    Index("ix_inter_area_claim_case", "area_id", "case_id"),
    info=walled(TableClass.AREA),
)
"""What a case treated elsewhere costs the area of insurance, its owner here; a change of price is a row more (异地就医申请)."""

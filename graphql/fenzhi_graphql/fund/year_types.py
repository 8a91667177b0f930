"""What a year needs beside its cases, as the API shows it (年度录入事项): assessments, opening balances, receivables, advances, baselines."""

from __future__ import annotations

from datetime import date, datetime
from decimal import Decimal
from enum import Enum
from typing import Any

import strawberry

from fenzhi.services.fund import year_entries
from fenzhi_graphql.context import Info
from fenzhi_graphql.fund.types import Insurance, PoolScope, ProposalState
from fenzhi_graphql.jobs.types import uuid_of
from fenzhi_graphql.node import Node, finds
from fenzhi_graphql.paging import global_id
from fenzhi_graphql.scalars import ExactDecimal, Fen


@strawberry.enum(
    description="An account of a pool that goes from year to year (结转账户): phi 支付比例调节, rounding 点值尾差, floor 病例保底, "
    "point_value 点值差额, adjustment 区域调节金, risk 风险金, reserve 预留金."
)
class CarriedAccount(Enum):
    PHI = "phi"
    ROUNDING = "rounding"
    FLOOR = "floor"
    POINT_VALUE = "point_value"
    ADJUSTMENT = "adjustment"
    RISK = "risk"
    RESERVE = "reserve"


@strawberry.type(description="An entry of a year, by one person and decided by another (双人录入事项).")
class YearEntry(Node):
    area_code: str = strawberry.field(description="Code of the pooling area (统筹区).")
    insurance: Insurance = strawberry.field(description="Insurance type (险种).")
    pool_scope: PoolScope = strawberry.field(description="Local or out of area (范围).")
    year: int = strawberry.field(description="Fund year (年度).")
    state: ProposalState = strawberry.field(description="State; only approved ones count (状态).")
    document: str = strawberry.field(description="Document (文件依据).")
    reason: str = strawberry.field(description="Why (理由).")
    recorded_at: datetime = strawberry.field(description="When it was entered (录入时间).")
    approved_at: datetime | None = strawberry.field(description="When it was decided (审批时间).")


def _common(kind: str, view: year_entries.EntryView) -> dict[str, Any]:
    return {
        "id": global_id(kind, view.entry_id),
        "area_code": view.area_code,
        "insurance": Insurance(view.insurance),
        "pool_scope": PoolScope(view.pool_scope),
        "year": view.year,
        "state": ProposalState(view.state),
        "document": view.document,
        "reason": view.reason,
        "recorded_at": view.recorded_at,
        "approved_at": view.approved_at,
    }


@strawberry.type(
    description="What the assessment of a year gave a hospital (年度考核结果); the latest approved one counts."
)
class AssessmentResult(YearEntry):
    hospital_code: str = strawberry.field(description="Institution code (机构编码).")
    coefficient: ExactDecimal = strawberry.field(description="Assessment coefficient, 0 to 2 (考核系数).")
    score: ExactDecimal | None = strawberry.field(description="Score, where the deposit returns by it (考核得分).")
    grade: str = strawberry.field(description="Grade, where the deposit returns by it (考核等次).")

    @staticmethod
    def of(view: year_entries.EntryView) -> AssessmentResult:
        score = view.row.score
        return AssessmentResult(
            **_common("AssessmentResult", view),
            hospital_code=view.hospital_code,
            coefficient=ExactDecimal(Decimal(view.row.coefficient)),
            score=None if score is None else ExactDecimal(Decimal(score)),
            grade=view.row.grade,
        )


@strawberry.type(description="What an account of a pool holds when its year begins (账户期初余额).")
class AccountOpening(YearEntry):
    account: CarriedAccount = strawberry.field(description="The account (账户).")
    amount_fen: Fen = strawberry.field(description="What it holds, in fen, above 0 (余额，分).")

    @staticmethod
    def of(view: year_entries.EntryView) -> AccountOpening:
        return AccountOpening(
            **_common("AccountOpening", view),
            account=CarriedAccount(view.row.account),
            amount_fen=Fen(view.row.amount_fen),
        )


@strawberry.type(description="What a hospital owes a pool from a closed year (应收机构款).")
class Receivable(YearEntry):
    hospital_code: str = strawberry.field(description="Institution code (机构编码).")
    since: date = strawberry.field(description="Day it arose; offsets go in this order (形成日期).")
    amount_fen: Fen = strawberry.field(description="Amount, in fen (金额，分).")
    moved_fen: Fen = strawberry.field(description="Offset or paid back so far, in fen (已抵扣或收回，分).")
    open_fen: Fen = strawberry.field(description="Still open, in fen (未清，分).")
    run_id: strawberry.ID | None = strawberry.field(description="The annual run it comes from, if any (所出年度清算).")

    @staticmethod
    def of(view: year_entries.EntryView) -> Receivable:
        run_id = view.row.run_id
        return Receivable(
            **_common("Receivable", view),
            hospital_code=view.hospital_code,
            since=view.row.since,
            amount_fen=Fen(view.row.amount_fen),
            moved_fen=Fen(view.moved_fen),
            open_fen=Fen(view.row.amount_fen - view.moved_fen),
            run_id=global_id("ClearingRun", run_id) if run_id else None,
        )


@strawberry.type(description="An advance of a hospital for a year, reconciled (预付金及对账).")
class Advance(YearEntry):
    hospital_code: str = strawberry.field(description="Institution code (机构编码).")
    amount_fen: Fen = strawberry.field(description="Granted, in fen (批准额，分).")
    paid_fen: Fen = strawberry.field(description="Paid out, in fen (已拨付，分).")
    returned_fen: Fen = strawberry.field(description="Returned before the annual clearing, in fen (已退回，分).")
    open_fen: Fen = strawberry.field(description="What the annual clearing sets off, in fen (待冲抵，分).")
    months: str = strawberry.field(description="Months of the annual fund (预付月数).")
    factor: str = strawberry.field(description="Factor by assessment and credit (调整系数).")
    basis: str = strawberry.field(description="Shared by: cleared, or booked_history (分配依据).")
    weight_fen: Fen = strawberry.field(description="Its weight in that, in fen (分配权重，分).")

    @staticmethod
    def of(view: year_entries.EntryView) -> Advance:
        working = view.row.working
        return Advance(
            **_common("Advance", view),
            hospital_code=view.hospital_code,
            amount_fen=Fen(view.row.amount_fen),
            paid_fen=Fen(view.moved_fen),
            returned_fen=Fen(view.returned_fen),
            open_fen=Fen(view.moved_fen - view.returned_fen),
            months=working["months"],
            factor=working["factor"],
            basis=working["basis"],
            weight_fen=Fen(working["weight_fen"]),
        )


@strawberry.type(
    description="The volume of a year that an elastic point value pays at its fixed value (弹性点值基准量)."
)
class VolumeBaseline(YearEntry):
    hospital_code: str = strawberry.field(description="Institution code (机构编码).")
    points: ExactDecimal = strawberry.field(description="Points of the year (年度基准分值).")

    @staticmethod
    def of(view: year_entries.EntryView) -> VolumeBaseline:
        return VolumeBaseline(
            **_common("VolumeBaseline", view),
            hospital_code=view.hospital_code,
            points=ExactDecimal(Decimal(view.row.points)),
        )


async def entry_in_scope(info: Info, kind: str, key: str) -> year_entries.EntryView | None:
    """An entry of the caller's scope."""
    found = uuid_of(key)
    return await year_entries.entry(info.context.platform, info.context.subject, kind, found) if found else None


@finds("AssessmentResult")
async def find_assessment(info: Info, key: str) -> AssessmentResult | None:
    """An assessment of the caller's scope (按标识查考核结果)."""
    view = await entry_in_scope(info, "AssessmentResult", key)
    return AssessmentResult.of(view) if view else None


@finds("AccountOpening")
async def find_opening(info: Info, key: str) -> AccountOpening | None:
    """An opening balance of the caller's scope (按标识查期初余额)."""
    view = await entry_in_scope(info, "AccountOpening", key)
    return AccountOpening.of(view) if view else None


@finds("Receivable")
async def find_receivable(info: Info, key: str) -> Receivable | None:
    """A receivable of the caller's scope (按标识查应收款)."""
    view = await entry_in_scope(info, "Receivable", key)
    return Receivable.of(view) if view else None


@finds("Advance")
async def find_advance(info: Info, key: str) -> Advance | None:
    """An advance of the caller's scope (按标识查预付金)."""
    view = await entry_in_scope(info, "Advance", key)
    return Advance.of(view) if view else None


@finds("VolumeBaseline")
async def find_baseline(info: Info, key: str) -> VolumeBaseline | None:
    """A baseline of the caller's scope (按标识查基准量)."""
    view = await entry_in_scope(info, "VolumeBaseline", key)
    return VolumeBaseline.of(view) if view else None

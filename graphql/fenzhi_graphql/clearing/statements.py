"""A statement as the API shows it (机构结算单): its lines, its cases, why it changed, and the answer to it."""

from __future__ import annotations

import uuid
from collections.abc import Mapping, Sequence
from datetime import date, datetime
from enum import Enum
from typing import Any

import strawberry

from fenzhi.rules.clearing.causes import Cause
from fenzhi.services.audit.sight import Sight
from fenzhi.services.clearing import lookups, statement_acts
from fenzhi_graphql.clearing.kinds import ClearingKind
from fenzhi_graphql.clearing.working import Step, steps_of
from fenzhi_graphql.context import Info
from fenzhi_graphql.fund.types import Insurance, PoolScope
from fenzhi_graphql.jobs.types import uuid_of
from fenzhi_graphql.node import Node, finds
from fenzhi_graphql.paging import Connection, connection, global_id, keys_of, page_size
from fenzhi_graphql.scalars import ExactDecimal, Fen, exact_points
from fenzhi_graphql.sight import Shows


@strawberry.type(description="A case on a statement: what it earned and its part of the gross (病例明细).")
class StatementCase(Shows):
    case_id: strawberry.ID = strawberry.field(description="The case (病例).")
    disposition: str = strawberry.field(description="cleared, or pending with its reason (去向).")
    group_code: str = strawberry.field(description="Disease group, blank when it has none (病种).")
    band: str = strawberry.field(description="Cost band: normal, low, high, extreme, cannot_judge (费用区间).")
    points: ExactDecimal = strawberry.field(description="Points (分值).")
    share_fen: Fen = strawberry.field(
        description="Its part of the hospital's gross, in fen; the parts add up to it (应付份额，分)."
    )
    total_fen: Fen = strawberry.field(description="Total cost, in fen (医疗总费用，分).")
    basic_fund_fen: Fen = strawberry.field(description="Basic fund booked, in fen (记账统筹基金，分).")
    los_days: int = strawberry.field(description="Length of stay, in days (住院天数).")
    mode: str = strawberry.field(
        description="Payment mode, blank for points alone; after a colon why it is paid otherwise, such as dip:over_the_share (支付方式)."
    )
    beside_fen: Fen = strawberry.field(
        description="What the fund pays it beside the points, in fen (分值以外支付，分)."
    )
    control_fen: Fen = strawberry.field(
        description="Of that, held back by total control, in fen (总额控制暂不拨付，分)."
    )
    key: strawberry.Private[uuid.UUID]

    def show(self, sight: Sight) -> None:
        """Its case."""
        sight.case(self.key)

    @staticmethod
    def of(view: lookups.CaseLineView) -> StatementCase:
        return StatementCase(
            key=view.case_id,
            case_id=global_id("InpatientCase", view.case_id),
            disposition=view.disposition,
            group_code=view.group_code,
            band=view.band,
            points=exact_points(view.points, view.points_decimals),
            share_fen=Fen(view.share_fen),
            total_fen=Fen(view.total_fen),
            basic_fund_fen=Fen(view.basic_fund_fen),
            los_days=view.los_days,
            mode=view.mode,
            beside_fen=Fen(view.beside_fen),
            control_fen=Fen(view.control_fen),
        )


@strawberry.enum(
    description="Why a statement differs from what was settled before, in the fixed order in which it is asked (变动原因): lists 迟报与更正清单, "
    "group 入组, coefficient 系数, budget 预算, point_value 点值方式, phi 支付比例, special_cases 特例单议, deduction 审核扣款, "
    "bands 结余留用与超支分担, assessment 考核, prepay 预付比例与现金上限, deposit 质量保证金."
)
class ChangeCause(Enum):
    LISTS = "lists"
    GROUP = "group"
    COEFFICIENT = "coefficient"
    BUDGET = "budget"
    POINT_VALUE = "point_value"
    PHI = "phi"
    SPECIAL_CASES = "special_cases"
    DEDUCTION = "deduction"
    BANDS = "bands"
    ASSESSMENT = "assessment"
    PREPAY = "prepay"
    DEPOSIT = "deposit"


@strawberry.type(description="What one cause changed (逐项变动).")
class StatementChange:
    cause: ChangeCause = strawberry.field(description="The cause (原因).")
    zh: str = strawberry.field(description="Its name in Chinese (中文名称).")
    fen: Fen = strawberry.field(description="What it changed, in fen; negative is less (变动额，分).")


@strawberry.type(
    description="The way from what the months and quarters before had settled to this run, cause by cause; each is the "
    "difference of two full computations, and together they are the change to the fen (与预结算差额归因)."
)
class StatementChanges:
    before_fen: Fen = strawberry.field(description="Payable as settled before, in fen (原应拨付，分).")
    after_fen: Fen = strawberry.field(
        description="Payable of this run, in fen; of a year what is cleared less what is forfeited (现应拨付，分)."
    )
    causes: list[StatementChange] = strawberry.field(description="Every cause in order, zeros included (各原因).")

    @staticmethod
    def of(stored: Mapping[str, Any]) -> StatementChanges:
        return StatementChanges(
            before_fen=Fen(stored["before_fen"]),
            after_fen=Fen(stored["after_fen"]),
            causes=[
                StatementChange(cause=ChangeCause(name), zh=Cause(name).zh, fen=Fen(amount))
                for name, amount in stored["causes"]
            ],
        )


@strawberry.type(
    description="Why a statement that replaces earlier ones gives no causes; its amounts are not touched by this (未能归因的原因)."
)
class ChangesRefused:
    code: str = strawberry.field(description="Code of the refusal (代码).")
    zh: str = strawberry.field(description="Why, in Chinese (中文说明).")
    en: str = strawberry.field(description="Why, in English (英文说明).")


@strawberry.enum(
    description="Where an annual statement stands (结算单状态): issued 待机构确认, confirmed 机构已确认, disputed 机构有异议, "
    "resolved 异议已处理, approved 已审批, posted 已入账, locked 已锁定."
)
class StatementStanding(Enum):
    ISSUED = "issued"
    CONFIRMED = "confirmed"
    DISPUTED = "disputed"
    RESOLVED = "resolved"
    APPROVED = "approved"
    POSTED = "posted"
    LOCKED = "locked"


@strawberry.type(description="One act on an annual statement (操作记录).")
class StatementAct:
    act: str = strawberry.field(
        description="issue, confirm, lapse, dispute, withdraw, uphold, reject, approve, post or lock (操作)."
    )
    party: str = strawberry.field(description="hospital, calendar, handler or approver (操作方).")
    to_state: StatementStanding = strawberry.field(description="Where it led (操作后状态).")
    reason: str = strawberry.field(description="Why, blank where none is needed (理由).")
    acted_at: datetime = strawberry.field(description="When (时间).")


@strawberry.type(description="Where the answer to an annual statement stands (确认与异议).")
class StatementAnswer:
    state: StatementStanding = strawberry.field(description="Where it stands (状态).")
    due_on: date | None = strawberry.field(
        description="Last day to answer, null where the area sets none (确认截止日)."
    )
    acts: list[StatementAct] = strawberry.field(description="Every act, in order (操作记录).")

    @staticmethod
    def of(views: Sequence[statement_acts.StatementActView]) -> StatementAnswer:
        return StatementAnswer(
            state=StatementStanding(views[-1].to_state),
            due_on=views[0].due_on,
            acts=[
                StatementAct(
                    act=view.act,
                    party=view.party,
                    to_state=StatementStanding(view.to_state),
                    reason=view.reason,
                    acted_at=view.acted_at,
                )
                for view in views
            ],
        )


@strawberry.type(
    description="Cases of a statement paid by one mode beside the points (支付方式汇总): cost = fund + other + hospital."
)
class StatementMode:
    mode: str = strawberry.field(description="single_disease, per_diem, item, dip_icu_days or rare_disease (支付方式).")
    cases: int = strawberry.field(description="How many (病例数).")
    cost_fen: Fen = strawberry.field(description="Total cost, in fen (医疗总费用，分).")
    fund_fen: Fen = strawberry.field(description="What the fund pays, in fen (基金支付，分).")
    other_fen: Fen = strawberry.field(description="What every other payer paid, in fen (其他支付，分).")
    hospital_fen: Fen = strawberry.field(description="Borne by the hospital; negative: it keeps it (机构承担，分).")
    withheld_fen: Fen = strawberry.field(
        description="Of the fund's part, held back by total control, in fen (总额控制暂不拨付，分)."
    )
    unjudged: int = strawberry.field(
        description="Further cases whose list does not say what the mode needs; not counted as zero (清单未载明而无法判定的病例数)."
    )


@strawberry.type(description="Cases of a statement insured in one area (参保地汇总).")
class StatementInsuredArea:
    insured_area: str = strawberry.field(description="Division code (参保地区划).")
    cases: int = strawberry.field(description="How many (病例数).")
    share_fen: Fen = strawberry.field(description="Their part of the gross, in fen (金额，分).")


@strawberry.type(
    description="What one hospital is owed by one run, line by line (结算单). Every amount in fen, of the run's span. "
    "gross = payable + deposit + deductions + assessment + bands − bonuses + not prepaid + cash cut."
)
class HospitalStatement(Node):
    run_id: strawberry.ID = strawberry.field(description="The run (结算).")
    kind: ClearingKind = strawberry.field(description="Month, quarter or year (类型).")
    insurance: Insurance = strawberry.field(description="Insurance type (险种).")
    pool_scope: PoolScope = strawberry.field(description="Local or out of area (范围).")
    year: int = strawberry.field(description="Fund year (年度).")
    period: int = strawberry.field(description="Month or quarter (期次).")
    hospital_code: str = strawberry.field(description="Institution code (机构编码).")
    hospital_name: str = strawberry.field(description="Name (机构名称).")
    case_count: int = strawberry.field(description="Cases cleared (入算病例数).")
    pending_cases: int = strawberry.field(description="Cases on a named list (待处理病例数).")
    points: ExactDecimal = strawberry.field(description="Points (分值).")
    cost_fen: Fen = strawberry.field(description="Total cost of its cleared cases (医疗总费用，分).")
    booked_fen: Fen = strawberry.field(description="Basic fund booked (记账统筹基金，分).")
    patient_fen: Fen = strawberry.field(description="Paid by every payer but the basic fund (其他支付，分).")
    default_share_fen: Fen = strawberry.field(description="Share by points under the pool's φ (按分值份额，分).")
    priced_share_fen: Fen = strawberry.field(
        description="Share at the point-value method of the policy (按点值方式份额，分)."
    )
    method_share_fen: Fen = strawberry.field(description="Share by the method of the policy (按办法份额，分).")
    gross_fen: Fen = strawberry.field(description="Gross (应付，分).")
    printed_fen: Fen = strawberry.field(description="Printed point value × points × φ (按公布点值计算，分).")
    remainder_fen: Fen = strawberry.field(description="Gross − printed (尾差，分).")
    not_prepaid_fen: Fen = strawberry.field(description="Month only: what waits for the quarter (未预付，分).")
    cash_cut_fen: Fen = strawberry.field(description="Month only: cut by the cash cap (现金上限削减，分).")
    deductions_fen: Fen = strawberry.field(description="Audit deductions (审核扣款，分).")
    assessment_withheld_fen: Fen = strawberry.field(description="Withheld by the assessment (考核扣减，分).")
    band_withheld_fen: Fen = strawberry.field(description="Withheld by bands (分担扣减，分).")
    bonus_fen: Fen = strawberry.field(description="Bonuses (奖励，分).")
    cleared_fen: Fen = strawberry.field(description="Cleared amount (清算额，分).")
    deposit_held_before_fen: Fen = strawberry.field(description="Deposit held before this run (已留保证金，分).")
    deposit_target_fen: Fen = strawberry.field(description="Deposit to be held after it (应留保证金，分).")
    deposit_withheld_fen: Fen = strawberry.field(
        description="Deposit counted here: the target in a cumulative quarter, this run's posting otherwise (质量保证金，分)."
    )
    deposit_posting_fen: Fen = strawberry.field(
        description="Target − held: withheld now, returned when negative (本次保证金，分)."
    )
    payable_fen: Fen = strawberry.field(description="Cleared − deposit (应拨付，分).")
    prior_paid_fen: Fen = strawberry.field(description="Payments recorded in the span, net of returns (已拨付，分).")
    offset_fen: Fen = strawberry.field(description="Receivables of earlier years offset (往年应收抵扣，分).")
    transfer_fen: Fen = strawberry.field(
        description="Payable − paid − offsets; negative: the hospital owes it (本次拨付，分)."
    )
    deposit_released_fen: Fen = strawberry.field(description="Year only: deposit that returns (返还的质量保证金，分).")
    deposit_forfeited_fen: Fen = strawberry.field(description="Year only: deposit forfeited (没收的质量保证金，分).")
    advance_fen: Fen = strawberry.field(description="Year only: advance set off (冲抵预付金，分).")
    off_pool_fen: Fen = strawberry.field(
        description="Awards of special cases paid beside the pool, in fen; in no other amount of the statement (特例单议池外支付，分)."
    )
    beside_fen: Fen = strawberry.field(
        description="Paid beside the points by other modes, in fen; in no other amount of the statement (分值以外支付，分)."
    )
    control_withheld_fen: Fen = strawberry.field(
        description="Of what is paid beside the points, held back by total control, in fen (总额控制暂不拨付，分)."
    )
    modes: list[StatementMode] = strawberry.field(description="What is paid beside the points, by mode (各支付方式).")
    final_fen: Fen = strawberry.field(
        description="Year only: cleared − paid − offsets − advance − deposit forfeited; negative: the hospital owes it "
        "(年度最终拨付，分)."
    )
    changes: StatementChanges | None = strawberry.field(
        description="Quarter and year: why it differs from what was settled before; null where nothing was (差额归因)."
    )
    changes_refused: ChangesRefused | None = strawberry.field(
        description="Why no causes are given although something was settled before; null otherwise (未能归因的原因)."
    )
    steps: list[Step] = strawberry.field(description="How each line came about, the remainder included (计算过程).")
    key: strawberry.Private[str]

    @strawberry.field(description="Year only: where its confirmation stands, null before it is sent (确认与异议).")
    async def answer(self, info: Info) -> StatementAnswer | None:
        found = lookups.parse_statement_key(self.key)
        if found is None or self.kind is not ClearingKind.YEAR:
            return None
        views = await statement_acts.acts(info.context.platform, info.context.subject, *found)
        return StatementAnswer.of(views) if views else None

    @strawberry.field(
        description="Out of area only: its cases by the area of insurance; the parts add up to the gross (按参保地汇总)."
    )
    async def insured_areas(self, info: Info) -> list[StatementInsuredArea]:
        views = await lookups.statement_areas(info.context.platform, info.context.subject, self.key)
        return [
            StatementInsuredArea(insured_area=v.insured_area, cases=v.cases, share_fen=Fen(v.share_fen)) for v in views
        ]

    @strawberry.field(description="Its cases with their part of the gross, in order of id (病例明细).")
    async def cases(self, info: Info, first: int, after: str | None = None) -> Connection[StatementCase]:
        context = info.context
        size = page_size(first)
        place = f"statementCases/{self.key}"
        keys = keys_of(context, place, after)
        last = uuid_of(str(keys[0])) if keys else None
        views = await lookups.statement_cases(context.platform, context.subject, self.key, last, size + 1)
        return connection(context, place, views, size, StatementCase.of, lambda view: [str(view.case_id)])

    @staticmethod
    def of(view: lookups.StatementView) -> HospitalStatement:
        row, terms = view.row, view.terms
        return HospitalStatement(
            id=global_id("HospitalStatement", view.key),
            run_id=global_id("ClearingRun", row.run_id),
            kind=ClearingKind(row.run_kind),
            insurance=Insurance(row.insurance),
            pool_scope=PoolScope(row.pool_scope),
            year=row.year,
            period=row.period,
            hospital_code=row.hospital_code,
            hospital_name=row.hospital_name,
            case_count=row.cases,
            pending_cases=row.pending_cases,
            points=exact_points(row.points, terms["points_decimals"]),
            cost_fen=Fen(row.cost_fen),
            booked_fen=Fen(row.booked_fen),
            patient_fen=Fen(row.patient_fen),
            default_share_fen=Fen(terms["default_share_fen"]),
            priced_share_fen=Fen(terms["priced_share_fen"]),
            method_share_fen=Fen(terms["method_share_fen"]),
            gross_fen=Fen(row.gross_fen),
            printed_fen=Fen(terms["printed_fen"]),
            remainder_fen=Fen(row.remainder_fen),
            not_prepaid_fen=Fen(row.not_prepaid_fen),
            cash_cut_fen=Fen(row.cash_cut_fen),
            deductions_fen=Fen(row.deductions_fen),
            assessment_withheld_fen=Fen(row.assessment_withheld_fen),
            band_withheld_fen=Fen(row.band_withheld_fen),
            bonus_fen=Fen(row.bonus_fen),
            cleared_fen=Fen(row.cleared_fen),
            deposit_held_before_fen=Fen(terms["deposit_held_before_fen"]),
            deposit_target_fen=Fen(terms["deposit_target_fen"]),
            deposit_withheld_fen=Fen(row.deposit_withheld_fen),
            deposit_posting_fen=Fen(terms["deposit_posting_fen"]),
            payable_fen=Fen(row.payable_fen),
            prior_paid_fen=Fen(row.prior_paid_fen),
            offset_fen=Fen(row.offset_fen),
            transfer_fen=Fen(row.transfer_fen),
            deposit_released_fen=Fen(row.deposit_released_fen),
            deposit_forfeited_fen=Fen(row.deposit_forfeited_fen),
            advance_fen=Fen(row.advance_fen),
            off_pool_fen=Fen(row.off_pool_fen),
            beside_fen=Fen(row.beside_fen),
            control_withheld_fen=Fen(row.control_withheld_fen),
            modes=[
                StatementMode(
                    mode=one["mode"],
                    cases=one["cases"],
                    cost_fen=Fen(one["cost_fen"]),
                    fund_fen=Fen(one["fund_fen"]),
                    other_fen=Fen(one["other_fen"]),
                    hospital_fen=Fen(one["hospital_fen"]),
                    withheld_fen=Fen(one.get("withheld_fen", 0)),
                    unjudged=one.get("unjudged", 0),
                )
                for one in row.working.get("modes", ())
            ],
            final_fen=Fen(row.final_fen),
            changes=StatementChanges.of(stored) if (stored := row.working.get("changes")) else None,
            changes_refused=ChangesRefused(**why) if (why := row.working.get("changes_refused")) else None,
            steps=steps_of(view.steps),
            key=view.key,
        )


@finds("HospitalStatement")
async def find_statement(info: Info, key: str) -> HospitalStatement | None:
    """A statement of the caller's scope (按标识查结算单)."""
    view = await lookups.statement(info.context.platform, info.context.subject, key)
    return HospitalStatement.of(view) if view else None

"""Mutations of what a year needs (年度录入事项): entered by one person, decided by another."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from datetime import date
from typing import Protocol, TypeVar

import strawberry

from fenzhi.services.acts import Answer
from fenzhi.services.fund import advances, year_entries
from fenzhi_graphql.context import Info
from fenzhi_graphql.fund.types import Insurance, PoolScope
from fenzhi_graphql.fund.year_types import (
    AccountOpening,
    Advance,
    AssessmentResult,
    CarriedAccount,
    Receivable,
    VolumeBaseline,
    entry_in_scope,
)
from fenzhi_graphql.outcomes import ERRORS, UserError, answered
from fenzhi_graphql.paging import key_of
from fenzhi_graphql.scalars import ExactDecimal, Fen

T = TypeVar("T")
_KEY = "A fresh random key; the same when retrying (幂等键)."


@strawberry.input(description="The assessment of one hospital (机构考核结果).")
class AssessmentRowInput:
    hospital: str = strawberry.field(description="Institution code (机构编码).")
    coefficient: ExactDecimal = strawberry.field(
        description="Assessment coefficient, 0 to 2, at most 6 decimals (考核系数)."
    )
    score: ExactDecimal | None = strawberry.field(default=None, description="Score (考核得分).")
    grade: str = strawberry.field(default="", description="Grade (考核等次).")


@strawberry.input(description="Enter the assessments of a year (录入年度考核结果).")
class AssessmentsEnterInput:
    idempotency_key: str = strawberry.field(description=_KEY)
    insurance: Insurance = strawberry.field(description="Insurance type (险种).")
    pool_scope: PoolScope = strawberry.field(description="Local or out of area (范围).")
    year: int = strawberry.field(description="Fund year (年度).")
    rows: list[AssessmentRowInput] = strawberry.field(description="One row per hospital, at most 100 (各机构).")
    document: str = strawberry.field(description="Document (文件依据).")
    reason: str = strawberry.field(description="Why (理由).")


@strawberry.input(description="Enter what an account holds when its year begins (录入账户期初余额).")
class AccountOpeningEnterInput:
    idempotency_key: str = strawberry.field(description=_KEY)
    insurance: Insurance = strawberry.field(description="Insurance type (险种).")
    pool_scope: PoolScope = strawberry.field(description="Local or out of area (范围).")
    year: int = strawberry.field(description="Fund year that begins (年度).")
    account: CarriedAccount = strawberry.field(description="The account (账户).")
    amount_fen: Fen = strawberry.field(description="What it holds, in fen, above 0 (余额，分).")
    document: str = strawberry.field(description="Document (文件依据).")
    reason: str = strawberry.field(description="Why (理由).")


@strawberry.input(description="Enter what a hospital owes from a year before the books (录入往年应收).")
class ReceivableEnterInput:
    idempotency_key: str = strawberry.field(description=_KEY)
    insurance: Insurance = strawberry.field(description="Insurance type (险种).")
    pool_scope: PoolScope = strawberry.field(description="Local or out of area (范围).")
    year: int = strawberry.field(description="Fund year it stems from (所属年度).")
    hospital: str = strawberry.field(description="Institution code (机构编码).")
    since: date = strawberry.field(description="Day it arose (形成日期).")
    amount_fen: Fen = strawberry.field(description="Amount, in fen, above 0 (金额，分).")
    document: str = strawberry.field(description="Document (文件依据).")
    reason: str = strawberry.field(description="Why (理由).")


@strawberry.input(description="Record what a hospital paid back of its debt (登记应收收回).")
class ReceivableRepayInput:
    idempotency_key: str = strawberry.field(description=_KEY)
    receivable: strawberry.ID = strawberry.field(description="The receivable (应收款).")
    amount_fen: Fen = strawberry.field(description="Amount, in fen, above 0 (金额，分).")
    voucher: str = strawberry.field(description="Voucher number (凭证号).")
    paid_on: date = strawberry.field(description="Day of payment, not in the future (收款日期).")


@strawberry.input(description="Share the advance of a pool's year over its hospitals (测算预付金).")
class AdvancesProposeInput:
    idempotency_key: str = strawberry.field(description=_KEY)
    insurance: Insurance = strawberry.field(description="Insurance type (险种).")
    pool_scope: PoolScope = strawberry.field(description="Local or out of area (范围).")
    year: int = strawberry.field(description="Fund year (年度).")
    document: str = strawberry.field(description="Document (文件依据).")
    reason: str = strawberry.field(description="Why (理由).")


@strawberry.input(description="Record that an advance was paid, or that some of it came back (登记预付金收付).")
class AdvanceMoveInput:
    idempotency_key: str = strawberry.field(description=_KEY)
    advance: strawberry.ID = strawberry.field(description="The approved advance (预付金).")
    amount_fen: Fen = strawberry.field(description="Amount, in fen, above 0 (金额，分).")
    voucher: str = strawberry.field(description="Voucher number, once per hospital (凭证号).")
    moved_on: date = strawberry.field(description="Day, not in the future (日期).")


@strawberry.input(description="The volume of one hospital (机构基准量).")
class VolumeBaselineRowInput:
    hospital: str = strawberry.field(description="Institution code (机构编码).")
    points: ExactDecimal = strawberry.field(description="Points of the year, at most 4 decimals (年度基准分值).")


@strawberry.input(description="Enter the volumes an elastic point value pays at its fixed value (录入弹性点值基准量).")
class VolumeBaselinesEnterInput:
    idempotency_key: str = strawberry.field(description=_KEY)
    insurance: Insurance = strawberry.field(description="Insurance type (险种).")
    pool_scope: PoolScope = strawberry.field(description="Local or out of area (范围).")
    year: int = strawberry.field(description="Fund year (年度).")
    rows: list[VolumeBaselineRowInput] = strawberry.field(description="One row per hospital, at most 100 (各机构).")
    document: str = strawberry.field(description="Document (文件依据).")
    reason: str = strawberry.field(description="Why (理由).")


@strawberry.input(
    description="Decide entries, as another person than who entered each; all of them or none (审批录入事项)."
)
class YearEntriesDecideInput:
    idempotency_key: str = strawberry.field(description=_KEY)
    ids: list[strawberry.ID] = strawberry.field(description="The entries, at most 100 (录入事项).")


@strawberry.type(description="The assessments, or what stood in the way.")
class AssessmentsPayload:
    assessments: list[AssessmentResult] = strawberry.field(description="The assessments (考核结果).")
    user_errors: list[UserError] = strawberry.field(description=ERRORS)


@strawberry.type(description="The opening balances, or what stood in the way.")
class AccountOpeningsPayload:
    openings: list[AccountOpening] = strawberry.field(description="The opening balances (期初余额).")
    user_errors: list[UserError] = strawberry.field(description=ERRORS)


@strawberry.type(description="The receivables, or what stood in the way.")
class ReceivablesPayload:
    receivables: list[Receivable] = strawberry.field(description="The receivables (应收款).")
    user_errors: list[UserError] = strawberry.field(description=ERRORS)


@strawberry.type(description="The advances, or what stood in the way.")
class AdvancesPayload:
    advances: list[Advance] = strawberry.field(description="The advances (预付金).")
    user_errors: list[UserError] = strawberry.field(description=ERRORS)


@strawberry.type(description="The baselines, or what stood in the way.")
class VolumeBaselinesPayload:
    baselines: list[VolumeBaseline] = strawberry.field(description="The baselines (基准量).")
    user_errors: list[UserError] = strawberry.field(description=ERRORS)


class _OfPool(Protocol):
    """What every input of an entry gives."""

    insurance: Insurance
    pool_scope: PoolScope
    year: int
    document: str
    reason: str


def _ground(input: _OfPool) -> tuple[year_entries.Ground, dict[str, object]]:
    ground = year_entries.Ground(
        input.insurance.value, input.pool_scope.value, input.year, input.document, input.reason
    )
    return ground, dict(ground.row())


async def _shown(
    info: Info, kind: str, of: Callable[[year_entries.EntryView], T], act: Awaitable[Answer]
) -> tuple[list[T], list[UserError]]:
    answer, errors = await answered(act)
    if answer is None:
        return [], errors
    views = [await entry_in_scope(info, kind, str(key)) for key in answer.get("ids", [answer["id"]])]
    return [of(view) for view in views if view is not None], errors


async def _decide(
    info: Info,
    input: YearEntriesDecideInput,
    operation: str,
    kind: str,
    of: Callable[[year_entries.EntryView], T],
    *,
    approve: bool,
) -> tuple[list[T], list[UserError]]:
    context = info.context

    async def act() -> Answer:
        keys = [key_of(str(one), kind, "ids") for one in input.ids]
        request = context.request(operation, input.idempotency_key, {"ids": keys})
        return await year_entries.decide_entries(
            context.platform, context.subject, request, kind, keys, approve=approve
        )

    return await _shown(info, kind, of, act())


async def _move(info: Info, input: AdvanceMoveInput, operation: str, kind: str) -> AdvancesPayload:
    context = info.context

    async def act() -> Answer:
        key = key_of(str(input.advance), "Advance", "advance")
        order: dict[str, object] = {
            "advance": key,
            "amount_fen": str(input.amount_fen),
            "voucher": input.voucher,
            "moved_on": input.moved_on.isoformat(),
        }
        request = context.request(operation, input.idempotency_key, order)
        return await advances.move_advance(
            context.platform, context.subject, request, key, kind, input.amount_fen, input.voucher, input.moved_on
        )

    found, errors = await _shown(info, "Advance", Advance.of, act())
    return AdvancesPayload(advances=found, user_errors=errors)


@strawberry.type
class YearMutation:
    @strawberry.mutation(
        description="Enter the assessments of a year (录入年度考核结果); they count once approved. Role: city_settlement_clerk."
    )
    async def assessments_enter(self, info: Info, input: AssessmentsEnterInput) -> AssessmentsPayload:
        context = info.context
        ground, order = _ground(input)
        rows = [year_entries.AssessmentRow(r.hospital, r.coefficient, r.score, r.grade) for r in input.rows]
        order["rows"] = [
            [r.hospital, str(r.coefficient), "" if r.score is None else str(r.score), r.grade] for r in rows
        ]
        request = context.request("assessmentsEnter", input.idempotency_key, order)
        act = year_entries.enter_assessments(context.platform, context.subject, request, ground, rows)
        found, errors = await _shown(info, "AssessmentResult", AssessmentResult.of, act)
        return AssessmentsPayload(assessments=found, user_errors=errors)

    @strawberry.mutation(
        description="Approve assessments, as another person (批准考核结果). Role: city_settlement_approver."
    )
    async def assessments_approve(self, info: Info, input: YearEntriesDecideInput) -> AssessmentsPayload:
        found, errors = await _decide(
            info, input, "assessmentsApprove", "AssessmentResult", AssessmentResult.of, approve=True
        )
        return AssessmentsPayload(assessments=found, user_errors=errors)

    @strawberry.mutation(
        description="Reject assessments, as another person (驳回考核结果). Role: city_settlement_approver."
    )
    async def assessments_reject(self, info: Info, input: YearEntriesDecideInput) -> AssessmentsPayload:
        found, errors = await _decide(
            info, input, "assessmentsReject", "AssessmentResult", AssessmentResult.of, approve=False
        )
        return AssessmentsPayload(assessments=found, user_errors=errors)

    @strawberry.mutation(
        description="Enter what an account holds when its year begins (录入账户期初余额). Role: city_settlement_clerk."
    )
    async def account_opening_enter(self, info: Info, input: AccountOpeningEnterInput) -> AccountOpeningsPayload:
        context = info.context
        ground, order = _ground(input)
        order |= {"account": input.account.value, "amount_fen": str(input.amount_fen)}
        request = context.request("accountOpeningEnter", input.idempotency_key, order)
        act = year_entries.enter_opening(
            context.platform, context.subject, request, ground, input.account.value, input.amount_fen
        )
        found, errors = await _shown(info, "AccountOpening", AccountOpening.of, act)
        return AccountOpeningsPayload(openings=found, user_errors=errors)

    @strawberry.mutation(
        description="Approve opening balances, as another person; they are posted (批准期初余额). Role: city_settlement_approver."
    )
    async def account_openings_approve(self, info: Info, input: YearEntriesDecideInput) -> AccountOpeningsPayload:
        found, errors = await _decide(
            info, input, "accountOpeningsApprove", "AccountOpening", AccountOpening.of, approve=True
        )
        return AccountOpeningsPayload(openings=found, user_errors=errors)

    @strawberry.mutation(
        description="Reject opening balances, as another person (驳回期初余额). Role: city_settlement_approver."
    )
    async def account_openings_reject(self, info: Info, input: YearEntriesDecideInput) -> AccountOpeningsPayload:
        found, errors = await _decide(
            info, input, "accountOpeningsReject", "AccountOpening", AccountOpening.of, approve=False
        )
        return AccountOpeningsPayload(openings=found, user_errors=errors)

    @strawberry.mutation(
        description="Enter what a hospital owes from a year before the books (录入往年应收). Role: city_settlement_clerk."
    )
    async def receivable_enter(self, info: Info, input: ReceivableEnterInput) -> ReceivablesPayload:
        context = info.context
        ground, order = _ground(input)
        order |= {
            "hospital": input.hospital,
            "since": input.since.isoformat(),
            "amount_fen": str(input.amount_fen),
        }
        request = context.request("receivableEnter", input.idempotency_key, order)
        act = year_entries.enter_receivable(
            context.platform, context.subject, request, ground, input.hospital, input.since, input.amount_fen
        )
        found, errors = await _shown(info, "Receivable", Receivable.of, act)
        return ReceivablesPayload(receivables=found, user_errors=errors)

    @strawberry.mutation(
        description="Approve receivables, as another person; they are posted (批准应收款). Role: city_settlement_approver."
    )
    async def receivables_approve(self, info: Info, input: YearEntriesDecideInput) -> ReceivablesPayload:
        found, errors = await _decide(info, input, "receivablesApprove", "Receivable", Receivable.of, approve=True)
        return ReceivablesPayload(receivables=found, user_errors=errors)

    @strawberry.mutation(
        description="Reject receivables, as another person (驳回应收款). Role: city_settlement_approver."
    )
    async def receivables_reject(self, info: Info, input: YearEntriesDecideInput) -> ReceivablesPayload:
        found, errors = await _decide(info, input, "receivablesReject", "Receivable", Receivable.of, approve=False)
        return ReceivablesPayload(receivables=found, user_errors=errors)

    @strawberry.mutation(
        description="Record what a hospital paid back of its debt (登记应收收回). Role: city_settlement_clerk."
    )
    async def receivable_repay(self, info: Info, input: ReceivableRepayInput) -> ReceivablesPayload:
        context = info.context

        async def act() -> Answer:
            key = key_of(str(input.receivable), "Receivable", "receivable")
            order: dict[str, object] = {
                "receivable": key,
                "amount_fen": str(input.amount_fen),
                "voucher": input.voucher,
                "paid_on": input.paid_on.isoformat(),
            }
            request = context.request("receivableRepay", input.idempotency_key, order)
            return await year_entries.repay_receivable(
                context.platform, context.subject, request, key, input.amount_fen, input.voucher, input.paid_on
            )

        found, errors = await _shown(info, "Receivable", Receivable.of, act())
        return ReceivablesPayload(receivables=found, user_errors=errors)

    @strawberry.mutation(
        description="Share the advance of a pool's year over its hospitals (测算预付金). Role: city_settlement_clerk."
    )
    async def advances_propose(self, info: Info, input: AdvancesProposeInput) -> AdvancesPayload:
        context = info.context
        ground, order = _ground(input)
        request = context.request("advancesPropose", input.idempotency_key, order)
        act = advances.propose_advances(context.platform, context.subject, request, ground)
        found, errors = await _shown(info, "Advance", Advance.of, act)
        return AdvancesPayload(advances=found, user_errors=errors)

    @strawberry.mutation(
        description="Approve advances, as another person (批准预付金). Role: city_settlement_approver."
    )
    async def advances_approve(self, info: Info, input: YearEntriesDecideInput) -> AdvancesPayload:
        found, errors = await _decide(info, input, "advancesApprove", "Advance", Advance.of, approve=True)
        return AdvancesPayload(advances=found, user_errors=errors)

    @strawberry.mutation(description="Reject advances, as another person (驳回预付金). Role: city_settlement_approver.")
    async def advances_reject(self, info: Info, input: YearEntriesDecideInput) -> AdvancesPayload:
        found, errors = await _decide(info, input, "advancesReject", "Advance", Advance.of, approve=False)
        return AdvancesPayload(advances=found, user_errors=errors)

    @strawberry.mutation(
        description="Record that an advance was paid (登记预付金拨付). Roles: city_settlement_clerk, "
        "county_settlement_clerk for its hospitals."
    )
    async def advance_pay(self, info: Info, input: AdvanceMoveInput) -> AdvancesPayload:
        return await _move(info, input, "advancePay", "paid")

    @strawberry.mutation(
        description="Record that some of an advance came back (登记预付金退回). Roles: city_settlement_clerk, "
        "county_settlement_clerk for its hospitals."
    )
    async def advance_return(self, info: Info, input: AdvanceMoveInput) -> AdvancesPayload:
        return await _move(info, input, "advanceReturn", "returned")

    @strawberry.mutation(
        description="Enter the volumes an elastic point value pays at its fixed value (录入弹性点值基准量). "
        "Role: city_settlement_clerk."
    )
    async def volume_baselines_enter(self, info: Info, input: VolumeBaselinesEnterInput) -> VolumeBaselinesPayload:
        context = info.context
        ground, order = _ground(input)
        order["rows"] = [[row.hospital, str(row.points)] for row in input.rows]
        request = context.request("volumeBaselinesEnter", input.idempotency_key, order)
        rows = [(row.hospital, row.points) for row in input.rows]
        act = year_entries.enter_baselines(context.platform, context.subject, request, ground, rows)
        found, errors = await _shown(info, "VolumeBaseline", VolumeBaseline.of, act)
        return VolumeBaselinesPayload(baselines=found, user_errors=errors)

    @strawberry.mutation(
        description="Approve baselines, as another person (批准基准量). Role: city_settlement_approver."
    )
    async def volume_baselines_approve(self, info: Info, input: YearEntriesDecideInput) -> VolumeBaselinesPayload:
        found, errors = await _decide(
            info, input, "volumeBaselinesApprove", "VolumeBaseline", VolumeBaseline.of, approve=True
        )
        return VolumeBaselinesPayload(baselines=found, user_errors=errors)

    @strawberry.mutation(
        description="Reject baselines, as another person (驳回基准量). Role: city_settlement_approver."
    )
    async def volume_baselines_reject(self, info: Info, input: YearEntriesDecideInput) -> VolumeBaselinesPayload:
        found, errors = await _decide(
            info, input, "volumeBaselinesReject", "VolumeBaseline", VolumeBaseline.of, approve=False
        )
        return VolumeBaselinesPayload(baselines=found, user_errors=errors)

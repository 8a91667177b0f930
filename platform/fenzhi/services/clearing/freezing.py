"""Freezing a run (冻结): everything it will be computed from, read once, so that it is a pure function of its manifest."""

from __future__ import annotations

import uuid
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date, datetime
from fractions import Fraction
from typing import Any

import pyarrow as pa
from sqlalchemy import Row

from fenzhi.rules.clearing.out_of_area import price_of_local_pool
from fenzhi.rules.clearing.quarterly import QuarterMode
from fenzhi.rules.clearing.statement import Account
from fenzhi.rules.periods import SettlementMonth, SettlementQuarter
from fenzhi.rules.point_value.fund_pool import fund_of_quarter, fund_ytd
from fenzhi.rules.point_value.point_value import Basis, NoCases, PointValue
from fenzhi.rules.point_value.point_value_methods import PointValueMethod
from fenzhi.rules.policy.resolved import ResolvedPolicy
from fenzhi.rules.refusals import Conflict, NotFound
from fenzhi.services.catalog import book
from fenzhi.services.clearing.frozen_cases import cases_of_pool
from fenzhi.services.clearing.grading import GradingBasis, MethodNotSupported, load_basis, places_of
from fenzhi.services.clearing.ledger import Balances
from fenzhi.services.clearing.manifest import FORMAT, RULES_VERSION, case_set, sha256
from fenzhi.services.clearing.modes import ModeBasis, load_modes
from fenzhi.services.clearing.runs import RunKind, local_pool, local_run
from fenzhi.services.clearing.scopes import floor_acts
from fenzhi.services.clearing.special_cases import SpecialCases, check_scale, load_special_cases
from fenzhi.services.clearing.year_inputs import YearInputs, load_year_inputs
from fenzhi.services.policy.resolution import resolved_policy
from fenzhi.services.scoring.adjusting import adjusts_scores
from fenzhi.store.repositories import clearing, fund, point_value, registry
from fenzhi.store.repositories.fund import Pool
from fenzhi.store.session import UnitOfWork

_READ_BUDGET_VALUE = frozenset({PointValueMethod.BUDGET, PointValueMethod.CORRIDOR})


class LateListsNeedCumulative(Conflict):
    """Late or corrected lists of earlier quarters, which a quarter standing alone would lose (迟报更正须累计清算)."""

    code = "LATE_LISTS_NEED_CUMULATIVE"


@dataclass(frozen=True)
class Position:
    """What earlier published runs of the year left behind (年内已结情况). Units: fen, by hospital id."""

    replaced: tuple[uuid.UUID, ...]
    """Runs whose postings this run replaces: those of the year in a year or a cumulative quarter, none in a month."""
    posted: Balances
    """What the replaced runs posted."""
    deposit_held: Mapping[int, int]
    earlier_cleared: Mapping[int, int]
    runs: tuple[tuple[str, str], ...]
    """(run, result digest) of every published run of the year, for the manifest."""


@dataclass(frozen=True)
class FrozenRun:
    """Everything a run is computed from (冻结的结算依据)."""

    run: Row[Any]
    pool: Pool
    kind: RunKind
    months: tuple[SettlementMonth, ...]
    as_known_at: datetime
    policy: ResolvedPolicy
    cases: pa.Table
    basis: GradingBasis
    hospitals: Mapping[int, tuple[str, int | None]]
    """Hospital id → code and county."""
    fund_fen: int | None
    """For a quarter or a year: what the pool may share."""
    price: PointValue | None
    """The budget point value: for a month, and for a quarter or year whose point-value method reads it."""
    last_year_ratio: Fraction | None
    """For a month: φ of last year."""
    deductions: Mapping[int, int]
    payments: Mapping[int, int]
    position: Position
    beside: YearInputs
    """Opening balances, receivables, and for a year assessments and advances."""
    special: SpecialCases
    """Reviews of the frozen cases: points awarded, payments beside the pool, cases still heard."""
    edition_id: uuid.UUID
    budget_id: uuid.UUID | None
    price_id: uuid.UUID | None
    manifest: Mapping[str, Any]
    modes: ModeBasis = field(default_factory=ModeBasis)
    """How each case is paid."""
    by_case: Fraction | None = None
    """For a quarter or year of cases from elsewhere: fen of fund per unit of points in the local pool."""

    @property
    def points_decimals(self) -> int:
        """Places of a point of the run (分值小数位)."""
        return self.basis.points_decimals

    @property
    def manifest_sha256(self) -> bytes:
        """Digest of the manifest (清单摘要)."""
        return sha256(self.manifest)


async def freeze(uow: UnitOfWork, run_id: uuid.UUID) -> FrozenRun:
    """Read and pin everything one run needs (冻结).

    Raises: NotFound, Conflict RUN_STATE when the run is not computing; NoCases; BUDGET_NOT_APPROVED, POINT_VALUE_NOT_APPROVED;
    PolicyNotEntered; NothingInForce; as `load_basis` and `fund_ytd`.
    """
    run = await clearing.run_by_id(uow, run_id)
    if run is None:
        raise NotFound("没有该结算。", "No such run.")
    if run.state != "computing":
        raise Conflict(f"结算处于 {run.state} 状态。", f"The run is {run.state}.", code="RUN_STATE")
    pool: Pool = (run.insurance, run.pool_scope, run.year)
    kind = RunKind(run.kind)
    last_day = _last_day(run, kind)
    policy = await resolved_policy(uow, last_day, insurance=run.insurance)
    _refuse_unsupported(kind, policy)
    months = _months(run, kind, policy)
    as_known_at = await uow.now()
    cases = await cases_of_pool(uow, pool, months, as_known_at, facts=adjusts_scores(policy))
    if cases.num_rows == 0:
        raise NoCases("当期没有病例，无法结算。", "There are no cases in the period, so there is nothing to settle.")
    local = local_pool(pool)
    basis = await load_basis(uow, policy, run.insurance, places_of(cases), run.year - 1, pool=local)
    special = await load_special_cases(uow, pool, cases)
    check_scale(special, basis.points_decimals)
    hospitals = {row.hospital_id: (row.code, row.county_id) for row in await registry.hospitals(uow, 0, 1_000_000)}
    codes = {number: code for number, (code, _) in hospitals.items()}
    modes = await _modes(uow, run.insurance, pool, basis, months, codes)
    published = list(await clearing.runs_of_pool(uow, pool, ("published",)))
    position = await position_among(uow, run, policy, published)
    if kind is RunKind.QUARTER and run.period > 1 and not _is_cumulative(policy):
        await _refuse_late(uow, run, pool, codes, as_known_at)
    deductions = await fund.deductions_of_pool(uow, pool, [month.month for month in months])
    payments = await _payments(uow, run, kind, pool, policy, position)
    beside = YearInputs()
    by_case, fund_of_run, elsewhere = None, _NO_FUND, pool != local
    if kind is not RunKind.MONTH:
        if elsewhere:
            by_case, local_part = await _price_of_local(uow, run, pool, kind, basis)
        else:
            fund_of_run = await _fund(uow, run, pool, policy, special.off_pool_fen)
        beside = await load_year_inputs(uow, pool, with_year=kind is RunKind.YEAR)
    priced = await _price(uow, local, kind, policy) if kind is RunKind.MONTH or not elsewhere else _NO_PRICE
    if priced.value is not None:
        _same_points(priced.value, basis)
    edition = await book.edition_for(uow, last_day)
    area_code = run.area_code
    manifest = {
        "format": FORMAT,
        "area": area_code,
        "kind": kind.value,
        "insurance": run.insurance,
        "pool_scope": run.pool_scope,
        "year": run.year,
        "period": run.period,
        "months": [str(month) for month in months],
        "cases": case_set(cases, codes),
        "editions": [use.described() for use in basis.editions],
        "registry_sha256": basis.registry_sha256(),
        "points_decimals": basis.points_decimals,
        "policy_fingerprint": policy.fingerprint(),
        "policy": policy.canonical(),
        "budget": fund_of_run.described,
        "point_value": priced.described,
        "rules_version": RULES_VERSION,
        "deductions": [[str(row.deduction_id), row.amount_fen] for row in deductions],
        "payments": [[str(row.payment_id), row.amount_fen - row.returned_fen] for row in payments],
        "earlier_runs": [list(one) for one in position.runs],
        "beside": beside.described(codes),
        "special_cases": special.described(),
    }
    if by_case is not None:
        manifest["local_pool"] = local_part
    if not modes.is_plain:
        manifest["modes"] = modes.described()
    return FrozenRun(
        run=run,
        pool=pool,
        kind=kind,
        months=months,
        as_known_at=as_known_at,
        policy=policy,
        cases=cases,
        basis=basis,
        hospitals=hospitals,
        fund_fen=fund_of_run.fen,
        price=priced.value,
        last_year_ratio=priced.last_year_ratio,
        deductions=_summed((row.hospital_id, row.amount_fen) for row in deductions),
        payments=_summed((row.hospital_id, row.amount_fen - row.returned_fen) for row in payments),
        position=position,
        beside=beside,
        special=special,
        edition_id=edition.edition_id,
        budget_id=fund_of_run.budget_id,
        price_id=priced.price_id,
        manifest=manifest,
        by_case=by_case,
        modes=modes,
    )


@dataclass(frozen=True)
class _Fund:
    """What the pool may share (可分配基金), and how the manifest tells it."""

    budget_id: uuid.UUID | None = None
    fen: int | None = None
    described: dict[str, Any] | None = None


_NO_FUND = _Fund()


async def _fund(uow: UnitOfWork, run: Row[Any], pool: Pool, policy: ResolvedPolicy, off_pool_fen: int) -> _Fund:
    """What the budget in force opens to a quarter or a year. Raises: Conflict BUDGET_NOT_APPROVED; as `fund_ytd`."""
    budget = await fund.budget_in_force(uow, pool)
    if budget is None:
        raise Conflict("没有已批准的预算。", "There is no approved budget.", code="BUDGET_NOT_APPROVED")
    is_year = RunKind(run.kind) is RunKind.YEAR
    curve = [Fraction(share) for share in budget.curve]
    opened = fund_ytd if is_year or _is_cumulative(policy) else fund_of_quarter
    quarter = 4 if is_year else run.period
    fund_fen = opened(budget.annual_fen, curve, quarter, off_pool_fen)
    before = curve[quarter - 2] if opened is fund_of_quarter and quarter > 1 else 0
    described = {
        "id": str(budget.budget_id),
        "version": budget.version,
        "annual_fen": budget.annual_fen,
        "curve": [format(share.normalize(), "f") for share in budget.curve],
        "off_pool_fen": off_pool_fen,
        "fund_fen": fund_fen,
        "opened": str(curve[quarter - 1] - before),
    }
    return _Fund(budget.budget_id, fund_fen, described)


@dataclass(frozen=True)
class _Price:
    """The point value a run is priced by or looks at (所用点值), and how the manifest tells it."""

    price_id: uuid.UUID | None = None
    value: PointValue | None = None
    last_year_ratio: Fraction | None = None
    described: dict[str, Any] | None = None


_NO_PRICE = _Price()


async def _price(uow: UnitOfWork, local: Pool, kind: RunKind, policy: ResolvedPolicy) -> _Price:
    """The budget point value of a month; in a quarter or year what the point-value method reads, if it reads one.

    Raises: Conflict POINT_VALUE_NOT_APPROVED.
    """
    method = PointValueMethod(policy.method("point_value.method"))
    is_bargained = kind is not RunKind.MONTH and method is PointValueMethod.BARGAINED
    if kind is not RunKind.MONTH and not is_bargained and method not in _READ_BUDGET_VALUE:
        return _NO_PRICE
    row = await (point_value.bargained_in_force if is_bargained else point_value.budget_in_force)(uow, local)
    if row is None:
        raise Conflict(
            "没有已批准的预算点值或协商点值。",
            "There is no approved budget or bargained point value.",
            code="POINT_VALUE_NOT_APPROVED",
        )
    price, last_year = price_of(row), row.working["last_year"]
    ratio = Fraction(int(last_year["booked_fen"]), int(last_year["cost_fen"]))
    described = {
        "id": str(row.point_value_id),
        "integers": [price.fund_fen, price.cost_fen, price.booked_fen, price.points],
        "points_decimals": price.points_decimals,
        "basis": price.basis.value,
        "last_year_ratio": str(ratio),
    }
    return _Price(row.point_value_id, price, ratio, described)


async def _modes(
    uow: UnitOfWork,
    insurance: str,
    pool: Pool,
    basis: GradingBasis,
    months: Sequence[SettlementMonth],
    codes: Mapping[int, str],
) -> ModeBasis:
    """The payment modes of the run and what the budget in force sets aside for them (支付方式及单列预算)."""
    budget = await fund.budget_in_force(uow, pool)
    composition = (budget.composition if budget is not None else None) or {}
    modes = await load_modes(uow, insurance, basis, composition.get("set_asides", {}), months, codes)
    if pool != local_pool(pool) and not modes.is_plain:
        raise MethodNotSupported(
            "异地病例暂只按病种分值支付。",
            "Cases of other areas are paid by their points only.",
            hint="为本险种只设按病种分值的支付方式，或本地另行结算异地病例 / pay this insurance by points alone, or settle them elsewhere",
        )
    return modes


async def _price_of_local(
    uow: UnitOfWork, run: Row[Any], pool: Pool, kind: RunKind, basis: GradingBasis
) -> tuple[Fraction, dict[str, Any]]:
    """What a unit of points earned in the local pool over the same period, from its published statements (就医地价格)."""
    local = await local_run(uow, pool, kind, run.period)
    lines = await clearing.statements_of_runs(uow, [local.run_id])
    if {line.working["terms"]["points_decimals"] for line in lines} - {basis.points_decimals}:
        raise editions_not_addable()
    shared = sum(line.working["terms"]["priced_share_fen"] for line in lines)
    points = sum(line.points for line in lines)
    described = {
        "run": str(local.run_id),
        "result_sha256": (local.result_sha256 or b"").hex(),
        "shared_fen": shared,
        "points": points,
    }
    return price_of_local_pool(shared, points), described


def _last_day(run: Row[Any], kind: RunKind) -> date:
    """The last day of what a run settles, by which policy and edition are asked."""
    match kind:
        case RunKind.MONTH:
            return SettlementMonth(run.year, run.period).last_day
        case RunKind.QUARTER:
            return SettlementQuarter(run.year, run.period).last_day
        case _:
            return SettlementMonth(run.year, 12).last_day


def _refuse_unsupported(kind: RunKind, policy: ResolvedPolicy) -> None:
    """A method that needs what a run does not have refuses, rather than being paid as something else."""
    if kind is RunKind.MONTH:
        return
    method = PointValueMethod(policy.method("point_value.method"))
    split = policy.method("point_value.elastic_split") if policy.has("point_value.elastic_split") else "volume"
    scope, is_elastic = policy.method("point_value.scope"), method is PointValueMethod.ELASTIC
    asked = [
        ("point_value.elastic_split", split, not is_elastic or split == "volume"),
        # The agreed volume is one of the pool: nothing says how it is divided, nor what a case of an increment is worth.
        ("point_value.scope", scope, scope == "pool" or not is_elastic),
        ("clearing.case_floor", "true", not (is_elastic and floor_acts(policy))),
    ]
    for key, value, is_supported in asked:
        if not is_supported:
            raise MethodNotSupported(
                f"季度清算暂不支持策略 {key} = {value}。",
                f"A quarter run does not carry out {key} = {value}.",
                hint="改用支持的办法，或由年度清算办理 / choose another method, or leave it to the annual clearing",
            )


def price_of(row: Row[Any]) -> PointValue:
    """A stored point value in the words of the rules (点值)."""
    return PointValue(row.fund_fen, row.cost_fen, row.booked_fen, row.points, row.points_decimals, Basis(row.basis))


def _is_cumulative(policy: ResolvedPolicy) -> bool:
    return QuarterMode(policy.method("quarter.mode")) is QuarterMode.CUMULATIVE


def _months(run: Row[Any], kind: RunKind, policy: ResolvedPolicy) -> tuple[SettlementMonth, ...]:
    if kind is RunKind.MONTH:
        return (SettlementMonth(run.year, run.period),)
    if kind is RunKind.YEAR:
        return SettlementQuarter(run.year, 4).months_to_date
    quarter = SettlementQuarter(run.year, run.period)
    return quarter.months_to_date if _is_cumulative(policy) else quarter.months


async def _refuse_late(
    uow: UnitOfWork,
    run: Row[Any],
    pool: Pool,
    codes: Mapping[int, str],
    as_known_at: datetime,
) -> None:
    """A quarter standing alone counts only its own months: earlier months must be as their own quarters froze them."""
    months = SettlementQuarter(run.year, run.period - 1).months_to_date
    now = case_set(await cases_of_pool(uow, pool, months, as_known_at, facts=False), codes)["leaves"]
    then = [
        leaf
        for row in await clearing.runs_of_pool(uow, pool, ("published",))
        if row.kind == RunKind.QUARTER.value
        for leaf in row.manifest["cases"]["leaves"]
    ]
    if sorted(now) != sorted(then):
        raise LateListsNeedCumulative(
            "前几个季度有迟报、更正或未清算的病例，单季清算会遗漏。",
            "Earlier quarters have late, corrected or uncleared lists, which a quarter standing alone would lose.",
            hint="改用累计清算（quarter.mode = cumulative）/ clear cumulatively",
        )


def _same_points(price: PointValue, basis: GradingBasis) -> None:
    if basis.editions and price.points_decimals != basis.points_decimals:
        raise editions_not_addable()


def editions_not_addable() -> Conflict:
    """A price made under an edition of another scale (点值与目录分值口径不同)."""
    return Conflict(
        "点值与本期病例的目录分值口径不同。",
        "The point value was made under an edition of another scale than the cases fall under.",
        code="EDITIONS_NOT_ADDABLE",
        hint="按本期目录重新测算点值 / compute the point value under this edition",
    )


async def position_among(
    uow: UnitOfWork, run: Row[Any], policy: ResolvedPolicy, published: Sequence[Row[Any]]
) -> Position:
    """What the published runs of the year left behind for a run (年内已结情况), now or, by the runs its manifest names, as it was then."""
    kind = RunKind(run.kind)
    quarters = [row for row in published if row.kind == RunKind.QUARTER.value]
    cumulative = _is_cumulative(policy)
    if kind is RunKind.QUARTER and not cumulative:
        replaced = [r for r in published if r.kind == RunKind.MONTH.value and (r.period + 2) // 3 == run.period]
    else:
        replaced = [] if kind is RunKind.MONTH else list(published)
    posted = await clearing.balances(uow, [row.run_id for row in replaced])
    # A quarter that stands alone posts its own deposit anew in place of its months'; every other run goes on from what is held.
    apart = {row.run_id for row in replaced} if kind is RunKind.QUARTER and not cumulative else set()
    held = await clearing.balances(uow, [row.run_id for row in published if row.run_id not in apart])
    reached = max((row.period for row in quarters), default=0)
    counted = [row for row in quarters if not cumulative or row.period == reached]
    if kind is RunKind.MONTH:
        counted += [row for row in published if row.kind == RunKind.MONTH.value and row.period > 3 * reached]
    statements = await clearing.statements_of_runs(uow, [row.run_id for row in counted])
    return Position(
        replaced=tuple(row.run_id for row in replaced),
        posted={(row.hospital_id, row.account): int(row.amount_fen) for row in posted},
        deposit_held={
            row.hospital_id: -int(row.amount_fen)
            for row in held
            if row.account == Account.DEPOSIT.value and row.hospital_id is not None
        },
        earlier_cleared=_summed((row.hospital_id, row.cleared_fen) for row in statements),
        runs=tuple((str(row.run_id), (row.result_sha256 or b"").hex()) for row in published),
    )


async def _payments(
    uow: UnitOfWork, run: Row[Any], kind: RunKind, pool: Pool, policy: ResolvedPolicy, position: Position
) -> Sequence[Row[Any]]:
    """What counts as paid: nothing in a month, the year's payments in a year or cumulative quarter, those of its months in another."""
    if kind is RunKind.MONTH:
        return []
    counts_year = kind is RunKind.YEAR or _is_cumulative(policy)
    return await fund.payments_of_pool(uow, pool, None if counts_year else position.replaced)


def _summed(pairs: Any) -> dict[int, int]:
    found: dict[int, int] = {}
    for hospital, amount in pairs:
        found[hospital] = found.get(hospital, 0) + amount
    return found

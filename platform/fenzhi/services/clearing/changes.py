"""Why a statement differs from what was settled before (结算差额归因): the parts a run replaces, read again, and the causes in their order."""

from __future__ import annotations

import uuid
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from fractions import Fraction
from functools import partial
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
from sqlalchemy import Row

from fenzhi.rules.clearing.causes import Cause
from fenzhi.rules.clearing.presettlement import MonthTerms, cash_cap
from fenzhi.rules.clearing.quarterly import QuarterClaim, QuarterMode, QuarterTerms, quarter_shares
from fenzhi.rules.clearing.scoped_clearing import PointValueScope
from fenzhi.rules.clearing.settled_change import (
    CaseSums,
    Known,
    RunLine,
    SettledChange,
    SettledMonth,
    SettledQuarter,
    Sums,
    explain_settled,
)
from fenzhi.rules.clearing.statement import Account
from fenzhi.rules.point_value.fund_pool import fund_of_quarter, fund_ytd
from fenzhi.rules.point_value.point_value import Basis, PointValue
from fenzhi.rules.point_value.point_value_methods import PointValueMethod, price_terms
from fenzhi.rules.policy.resolved import ResolvedPolicy, from_canonical
from fenzhi.rules.refusals import Conflict, FenzhiError
from fenzhi.services.clearing.claims import opened_baseline
from fenzhi.services.clearing.freezing import FrozenRun
from fenzhi.services.clearing.runs import RunKind
from fenzhi.services.clearing.scopes import floor_acts, scope_of
from fenzhi.services.clearing.settling import frozen_quarter_terms
from fenzhi.services.clearing.special_cases import states_described
from fenzhi.services.clearing.statements import ComputedRun
from fenzhi.services.policy.resolution import definitions
from fenzhi.store.repositories import clearing, fund
from fenzhi.store.session import UnitOfWork

_READ = frozenset(PointValueMethod) - {PointValueMethod.ELASTIC}
"""Point-value methods of an earlier quarter that can be computed again from its statements alone."""


_UNTOUCHED = "结算金额不受影响 / the amounts themselves are not touched by this"


class SettledUnreadable(Conflict):
    """A change that cannot be divided into causes from what is stored (差额无法归因)."""

    code = "SETTLED_UNREADABLE"


@dataclass(frozen=True)
class _Parts:
    """The runs that say what was settled before."""

    months: tuple[Row[Any], ...]
    quarters: tuple[Row[Any], ...]

    @property
    def runs(self) -> tuple[Row[Any], ...]:
        return (*self.quarters, *self.months)


@dataclass(frozen=True)
class RunChanges:
    """Why a run differs from what was settled before (结算差额归因). Units: fen."""

    by_hospital: Mapping[str, Mapping[str, Any]]
    """Payable before and after and what each cause changed, in order, by hospital code; empty where nothing was settled before."""
    refusal: FenzhiError | None = None
    """Why no causes are given, where something was settled before that cannot be computed again."""


@dataclass(frozen=True)
class _Reviews:
    """Special cases as the parts knew them, of the cases of the run: where each review stood then, and now."""

    then: Mapping[uuid.UUID, Mapping[str, tuple[str, int]]]
    now: Mapping[str, tuple[str, int]]

    @property
    def all_then(self) -> dict[str, tuple[str, int]]:
        return {case: state for found in self.then.values() for case, state in found.items()}

    @property
    def has_changed(self) -> bool:
        return self.all_then != self.now

    def off_pool_fen(self, run_id: uuid.UUID | None = None) -> int:
        """What was paid beside the pool then, by one part or by all."""
        found = self.all_then if run_id is None else self.then.get(run_id, {})
        return sum(fen for kind, fen in found.values() if kind == "off_pool")


async def changes_of(uow: UnitOfWork, frozen: FrozenRun, computed: ComputedRun) -> RunChanges:
    """Payable before and after, and what each cause changed, in order (各机构差额归因). Units: fen.

    Reads the cases of the run as just stored. Empty for a month and for a run before which nothing was settled; where a part cannot be
    computed again from what is stored, the refusal says why. Raises: InvariantBroken when the causes do not add up to the change.
    """
    if frozen.kind is RunKind.MONTH:
        return RunChanges({})
    parts = await _parts(uow, frozen)
    if not parts.runs:
        return RunChanges({})
    statements = await clearing.statements_of_runs(uow, [run.run_id for run in parts.runs])
    try:
        _refuse_unreadable(frozen, computed, parts)
        reviews = _reviews(frozen, parts)
        sums = await _sums(uow, frozen, computed, parts, reviews)
        change = await _change(uow, frozen, computed, parts, statements, sums, reviews)
        cleared: dict[str, int] = {}
        for row in statements:
            cleared[row.hospital_code] = cleared.get(row.hospital_code, 0) + row.cleared_fen
        found = explain_settled(change, cleared)
    except FenzhiError as refusal:
        return RunChanges({}, refusal)
    return RunChanges(
        {
            code: {
                "before_fen": found.before.get(code, 0),
                "after_fen": found.after.get(code, 0),
                "causes": [[cause.value, found.by_cause[cause].get(code, 0)] for cause in Cause],
            }
            for code in sorted({*found.before, *found.after})
        }
    )


async def _parts(uow: UnitOfWork, frozen: FrozenRun) -> _Parts:
    """The latest quarter, or all where they stand alone, and the months that no quarter covers."""
    published = [run for run in await clearing.runs_of_pool(uow, frozen.pool, ("published",)) if run.kind != "year"]
    quarters = sorted((run for run in published if run.kind == "quarter"), key=lambda run: run.period)
    months = sorted((run for run in published if run.kind == "month"), key=lambda run: run.period)
    cumulative = QuarterMode(frozen.policy.method("quarter.mode")) is QuarterMode.CUMULATIVE
    if frozen.kind is RunKind.QUARTER and not cumulative:
        return _Parts(tuple(run for run in months if (run.period + 2) // 3 == frozen.run.period), ())
    reached = max((run.period for run in quarters), default=0)
    kept = quarters[-1:] if cumulative else quarters
    last_month = frozen.months[-1].month
    return _Parts(tuple(run for run in months if 3 * reached < run.period <= last_month), tuple(kept))


def _refuse_unreadable(frozen: FrozenRun, computed: ComputedRun, parts: _Parts) -> None:
    if frozen.by_case is not None:
        raise SettledUnreadable(
            "异地病例逐例按参照池点值计价，差额不按原因归集。",
            "Cases from elsewhere are priced one by one at the local pool's value; their change is not divided into causes.",
            hint=_UNTOUCHED,
        )
    if not _is_of_sums(frozen.policy):
        raise SettledUnreadable(
            "分范围点值或病例保底依赖逐例数据，差额不按原因归集。",
            "Point values by level or month, and a floor for cases, hang on the cases one by one; the change is not divided into causes.",
            hint=_UNTOUCHED,
        )
    overdrawn = [f"Q{run.period}" for run in parts.quarters if _draws_on_pool(run)]
    if computed.beside.from_pool_fen or overdrawn:
        raise SettledUnreadable(
            "点值外支付超出单列预算、由总额承担，差额不按原因归集。",
            "Payments beside the points went beyond their set-aside into the pool; the change is not divided into causes.",
            hint=_UNTOUCHED,
        )
    for run in parts.quarters:
        if not can_read(run):
            method = _policy_of(run).method("point_value.method")
            raise SettledUnreadable(
                f"第{run.period}季度按“{method}”办法结算，仅凭其结算单无法复算，不作归因。",
                f"Quarter {run.period} was settled by {method}, which its statements alone do not let compute again; no causes are given.",
                hint=_UNTOUCHED,
                period=str(run.period),
            )


def _reviews(frozen: FrozenRun, parts: _Parts) -> _Reviews:
    then = {run.run_id: states_described(run.manifest.get("special_cases", {})) for run in parts.runs}
    asked = pa.array(sorted({case for found in then.values() for case in found}), pa.string())
    ids = frozen.cases["case_id"]
    here = set(pc.filter(ids, pc.is_in(ids, value_set=asked)).to_pylist())
    return _Reviews(
        {number: {case: one for case, one in found.items() if case in here} for number, found in then.items()},
        frozen.special.states(),
    )


def can_read(run: Row[Any]) -> bool:
    """Whether a published quarter can be computed again from its statements alone (能否复算)."""
    policy = _policy_of(run)
    method = PointValueMethod(policy.method("point_value.method"))
    return method in _READ and _is_of_sums(policy) and not _draws_on_pool(run)


def _is_of_sums(policy: ResolvedPolicy) -> bool:
    """Whether the sums of its hospitals are all a run is made of: one point value for the pool, no case lifted to its floor."""
    return scope_of(policy) is PointValueScope.POOL and not floor_acts(policy)


def _draws_on_pool(run: Row[Any]) -> bool:
    """Whether a purse of a run went beyond its set-aside."""
    return any(purse["from_pool_fen"] for purse in (run.summary or {}).get("purses", ()))


def _policy_of(run: Row[Any]) -> ResolvedPolicy:
    return from_canonical(definitions().fields, run.manifest["policy"])


async def _sums(
    uow: UnitOfWork, frozen: FrozenRun, computed: ComputedRun, parts: _Parts, reviews: _Reviews
) -> dict[tuple[uuid.UUID, Known], dict[str, CaseSums]]:
    """The cases of the run by the part they belong to, at each degree of knowing."""
    place: dict[int, uuid.UUID] = {}
    year = frozen.run.year
    for run in parts.quarters:
        for text in run.manifest["months"]:
            place[int(text[:4]) * 100 + int(text[5:])] = run.run_id
    for run in parts.months:
        place[year * 100 + run.period] = run.run_id
    rest = parts.quarters[-1].run_id if parts.quarters else parts.months[0].run_id
    rows = await clearing.known_sums(
        uow,
        frozen.run.run_id,
        [run.run_id for run in parts.runs],
        place,
        rest,
        computed.unreviewed,
        set(reviews.all_then),
    )
    found: dict[tuple[uuid.UUID, Known], dict[str, CaseSums]] = {}
    for row in rows:
        code = frozen.hospitals[row.hospital_id][0]
        for known, name in ((Known.LISTS, "lists"), (Known.GROUP, "grouped"), (Known.COEFFICIENT, "valued")):
            amounts = [
                int(getattr(row, f"{name}_{what}") or 0) for what in ("cases", "points", "cost", "booked", "patient")
            ]
            found.setdefault((row.part, known), {})[code] = CaseSums(*amounts)
    return found


async def _change(
    uow: UnitOfWork,
    frozen: FrozenRun,
    computed: ComputedRun,
    parts: _Parts,
    statements: Sequence[Row[Any]],
    sums: Mapping[tuple[uuid.UUID, Known], Mapping[str, CaseSums]],
    reviews: _Reviews,
) -> SettledChange:
    by_run: dict[uuid.UUID, list[Row[Any]]] = {}
    for row in statements:
        by_run.setdefault(row.run_id, []).append(row)
    codes = {number: code for number, (code, _) in frozen.hospitals.items()}
    months = []
    for run in parts.months:
        now: dict[str, int] = {}
        for deduction in await fund.deductions_of_pool(uow, frozen.pool, [run.period]):
            code = codes[deduction.hospital_id]
            now[code] = now.get(code, 0) + deduction.amount_fen
        months.append(_month_part(run, by_run.get(run.run_id, []), _known(run, by_run, sums), now))
    quarters = [
        _quarter_part(
            frozen,
            run,
            by_run.get(run.run_id, []),
            _known(run, by_run, sums),
            reviews.off_pool_fen(run.run_id),
            alone=not parts.months,
        )
        for run in parts.quarters
    ]
    value, gross = computed.point_value, None
    if reviews.has_changed:
        value, gross = _before_reviews(frozen, sums, reviews)
    if value.basis is Basis.FUND:
        value = replace(value, basis=Basis.TOTAL_COST)
    return SettledChange(months, quarters, value, dict(_lines(computed)), _held(frozen, codes), gross)


def _before_reviews(
    frozen: FrozenRun, sums: Mapping[tuple[uuid.UUID, Known], Mapping[str, CaseSums]], reviews: _Reviews
) -> tuple[PointValue, dict[str, int]]:
    """Point value and gross of the whole run with the reviews as the parts knew them (特例单议前的点值与应得额)."""
    held: dict[str, CaseSums] = {}
    for (_, known), found in sums.items():
        for code, one in found.items() if known is Known.COEFFICIENT else ():
            held[code] = held.get(code, CaseSums()) + one
    fixed = {code: opened_baseline(frozen, number) for number, (code, _) in frozen.hospitals.items()}
    claims = []
    for code in sorted({*held, *(code for code, points in fixed.items() if points)}):
        own = held.get(code, CaseSums())
        amounts = (own.cases, own.points, own.cost_fen, own.booked_fen, own.patient_fen)
        claims.append(QuarterClaim(code, *amounts, fixed_points=fixed[code]))
    budget, terms = frozen.manifest["budget"], frozen_quarter_terms(frozen)
    fund_fen = budget["fund_fen"] + budget["off_pool_fen"] - reviews.off_pool_fen()
    value, shares = quarter_shares(fund_fen, frozen.basis.points_decimals, claims, terms.shares, terms.price)
    return value, {code: share.gross_fen for code, share in shares.shares.items()}


def _known(
    run: Row[Any],
    by_run: Mapping[uuid.UUID, Sequence[Row[Any]]],
    sums: Mapping[tuple[uuid.UUID, Known], Mapping[str, CaseSums]],
) -> dict[Known, Sums]:
    before = {
        row.hospital_code: CaseSums(row.cases, row.points, row.cost_fen, row.booked_fen, row.patient_fen)
        for row in by_run.get(run.run_id, [])
    }
    found: dict[Known, Sums] = {known: sums.get((run.run_id, known), {}) for known in Known}
    return found | {Known.BEFORE: before}


def _month_part(
    run: Row[Any], statements: Sequence[Row[Any]], sums: Mapping[Known, Sums], now: Mapping[str, int]
) -> SettledMonth:
    policy = _policy_of(run)
    price = run.manifest["point_value"]
    terms = MonthTerms.from_policy(policy, value_of(price), Fraction(price["last_year_ratio"]))
    taken = {row.hospital_code: row.deductions_fen for row in statements}
    return SettledMonth(terms, partial(cash_cap, policy), sums, (taken, now))


def value_of(price: Mapping[str, Any]) -> PointValue:
    """The point value a manifest names (清单所载点值)."""
    fund_fen, cost_fen, booked_fen, points = price["integers"]
    return PointValue(fund_fen, cost_fen, booked_fen, points, price["points_decimals"], Basis(price["basis"]))


def quarter_terms_of(run: Row[Any]) -> QuarterTerms:
    """The terms a published quarter was computed by, from its manifest (已公布季度的清算口径)."""
    policy, manifest = _policy_of(run), run.manifest
    price = manifest["point_value"]
    held = dict(manifest.get("beside", {}).get("openings", ()))
    return QuarterTerms.from_policy(
        policy,
        phi_balance_fen=max(0, held.get(Account.PHI.value, 0)),
        rounding_balance_fen=max(0, held.get(Account.ROUNDING.value, 0)),
        floor_balance_fen=max(0, held.get(Account.FLOOR.value, 0)),
        price=price_terms(
            policy,
            int(run.summary["points_decimals"]),
            budget=value_of(price) if price else None,
            bargained=value_of(price) if price else None,
            balance_fen=max(0, held.get(Account.POINT_VALUE.value, 0)),
        ),
    )


def _quarter_part(
    frozen: FrozenRun,
    run: Row[Any],
    statements: Sequence[Row[Any]],
    sums: Mapping[Known, Sums],
    off_pool_fen: int,
    *,
    alone: bool,
) -> SettledQuarter:
    terms = quarter_terms_of(run)
    taken = {row.hospital_code: row.deductions_fen for row in statements}
    now_fen = _fund_now(frozen, run, terms.mode, alone=alone) - off_pool_fen
    decimals = int(run.summary["points_decimals"])
    return SettledQuarter(terms, run.manifest["budget"]["fund_fen"], now_fen, decimals, sums, (taken, taken))


def _fund_now(frozen: FrozenRun, run: Row[Any], mode: QuarterMode, *, alone: bool) -> int:
    """What the budget in force now would have opened for that quarter, before payments beside the pool; all that the run opens, where nothing
    else was settled since."""
    budget = frozen.manifest["budget"]
    if mode is QuarterMode.CUMULATIVE:
        if alone:
            return int(budget["fund_fen"]) + int(budget["off_pool_fen"])
        return fund_ytd(budget["annual_fen"], [Fraction(share) for share in budget["curve"]], run.period)
    return fund_of_quarter(budget["annual_fen"], [Fraction(share) for share in budget["curve"]], run.period)


def _lines(computed: ComputedRun) -> Iterator[tuple[str, RunLine]]:
    for line in computed.lines:
        annual = computed.annual.get(line.hospital)
        kept = annual.final.deposit_forfeited_fen if annual else line.deposit_withheld_fen
        yield (
            line.hospital,
            RunLine(
                line.gross_fen,
                line.deductions_fen,
                line.band_withheld_fen,
                line.bonuses_fen,
                line.assessment_withheld_fen,
                kept,
            ),
        )


def _held(frozen: FrozenRun, codes: Mapping[int, str]) -> dict[str, int]:
    """What the replaced runs withhold as deposit."""
    return {
        codes[number]: -amount
        for (number, account), amount in frozen.position.posted.items()
        if number is not None and account == Account.DEPOSIT.value
    }

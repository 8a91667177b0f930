"""What a run needs of its cases beyond the sums of its hospitals (分范围点值与病例保底): parts of a divided pool, and cases below their floor."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from fractions import Fraction
from typing import Any, Protocol

import pyarrow as pa
import pyarrow.compute as pc

from fenzhi.rules.clearing.quarterly import QuarterClaim, QuarterMode, QuarterTerms
from fenzhi.rules.clearing.scoped_clearing import (
    PointValueScope,
    ScopeSharesInvalid,
    month_shares,
    scope_funds,
    terms_by_scope,
)
from fenzhi.rules.clearing.shares import ClaimFormula, case_floor_lack, claim_fen_per_unit
from fenzhi.rules.point_value.settlement_point_value import settlement_point_value
from fenzhi.rules.policy.resolved import ResolvedPolicy
from fenzhi.services.clearing.grading import GradingBasis, place_codes, place_of
from fenzhi.services.clearing.runs import RunKind

SUMMED = ("cases", "points", "cost_fen", "booked_fen", "patient_fen")
_POOL = "pool"


def scope_of(policy: ResolvedPolicy) -> PointValueScope:
    """What one point value covers by the policy of a run (点值范围)."""
    return PointValueScope(policy.method("point_value.scope"))


def floor_acts(policy: ResolvedPolicy) -> bool:
    """Whether cases are lifted to 0 (病例保底是否起作用): only S·P − other payers can fall below it."""
    asked = policy.has("clearing.case_floor") and policy.flag("clearing.case_floor")
    return asked and ClaimFormula(policy.method("clearing.claim")) is ClaimFormula.SP_MINUS_PATIENT


class CaseMoney(Protocol):
    """What parts and floors are made of (病例金额): of graded cases, or of a run's stored ones."""

    def parts(self) -> Mapping[str, Mapping[str, Mapping[str, int]]]:
        """Scope → hospital code → `SUMMED` of its cleared cases."""
        ...

    def below(self, part: str | None, fen_per_unit: Fraction) -> Mapping[str, Sequence[tuple[int, int]]]:
        """Hospital code → points and other payers of the cleared cases whose other payers paid more than their points are worth."""
        ...


@dataclass(frozen=True)
class NoCaseMoney:
    """Where neither parts nor floors are asked for (不需病例金额)."""

    def parts(self) -> Mapping[str, Mapping[str, Mapping[str, int]]]:
        """None."""
        return {}

    def below(self, part: str | None, fen_per_unit: Fraction) -> Mapping[str, Sequence[tuple[int, int]]]:
        """None."""
        return {}


NO_CASE_MONEY = NoCaseMoney()


def part_of_cases(cases: pa.Table, basis: GradingBasis, policy: ResolvedPolicy) -> pa.ChunkedArray | None:
    """The scope of every frozen case, in the order of the rows given (逐例点值范围): the level of its hospital on the day of discharge, or its
    month of settlement; none where one point value covers the pool. Null for a case of a hospital without a level that day, which is not cleared."""
    match scope_of(policy):
        case PointValueScope.POOL:
            return None
        case PointValueScope.MONTH:
            return pc.cast(cases["settlement_month"], pa.string())
        case PointValueScope.LEVEL:
            level_of = {place_of(*place): basis.factors[factor].level for place, factor in basis.factor_of.items()}
            keys = sorted(level_of)
            index = pc.index_in(place_codes(cases), value_set=pa.array(keys, pa.int64()))
            return pa.chunked_array([pc.take(pa.array([level_of[key] for key in keys], pa.string()), index)])


@dataclass(frozen=True)
class GradedCases:
    """The cleared cases of a run at hand (已计分病例)."""

    cleared: pa.Table
    hospitals: Mapping[int, tuple[str, int | None]]

    def parts(self) -> Mapping[str, Mapping[str, Mapping[str, int]]]:
        """Scope → hospital code → sums."""
        found: dict[str, dict[str, dict[str, int]]] = {}
        if "part" not in self.cleared.column_names:
            return found
        sums = [("case_id", "count")]
        sums += [(name, "sum") for name in ("points", "total_fen", "basic_fund_fen", "patient_fen")]
        for row in self.cleared.group_by(["part", "hospital_id"]).aggregate(sums).to_pylist():
            found.setdefault(row["part"], {})[self.hospitals[row["hospital_id"]][0]] = {
                "cases": row["case_id_count"],
                "points": row["points_sum"],
                "cost_fen": row["total_fen_sum"],
                "booked_fen": row["basic_fund_fen_sum"],
                "patient_fen": row["patient_fen_sum"],
            }
        return found

    def below(self, part: str | None, fen_per_unit: Fraction) -> Mapping[str, Sequence[tuple[int, int]]]:
        """The cases below what others paid; no case that is above is told apart one by one."""
        cases = self.cleared
        if part is not None:
            cases = cases.filter(pc.equal(cases["part"], part))
        # A little cheaper than the exact price, in whole millionths, so that no case below is passed over.
        price = fen_per_unit.numerator * _MILLION // fen_per_unit.denominator
        near = pc.greater(
            pc.multiply_checked(cases["patient_fen"], _MILLION), pc.multiply_checked(cases["points"], price)
        )
        found: dict[str, list[tuple[int, int]]] = {}
        chosen = cases.filter(near).select(["hospital_id", "points", "patient_fen"])
        for row in chosen.to_pylist():
            if row["patient_fen"] > row["points"] * fen_per_unit:
                code = self.hospitals[row["hospital_id"]][0]
                found.setdefault(code, []).append((row["points"], row["patient_fen"]))
        return found


_MILLION = 1_000_000


@dataclass(frozen=True)
class Divided:
    """A pool cut into its scopes, ready to be cleared (分范围清算的输入)."""

    funds: Mapping[str, int]
    parts: Mapping[str, tuple[QuarterClaim, ...]]
    lacks: Mapping[str, int] = field(default_factory=dict)
    """By hospital code, what its cases lack to their floor in all scopes."""

    def claims(self, asked: Sequence[QuarterClaim]) -> list[QuarterClaim]:
        """The claims of the pool with their floors (含保底缺额的机构申报)."""
        return [replace(one, floor_lack_fen=self.lacks.get(one.hospital, 0)) for one in asked]


def fund_shares(kind: RunKind, policy: ResolvedPolicy, manifest: Mapping[str, Any]) -> dict[str, Fraction]:
    """The share of each scope in the fund of a run (各范围基金份额). Raises: ScopeSharesInvalid where none are entered."""
    if scope_of(policy) is PointValueScope.LEVEL:
        if not policy.has("point_value.level_shares"):
            raise ScopeSharesInvalid(
                "分级别点值须录入各级别基金份额。", "A point value by level needs the shares of the levels in the fund."
            )
        return {level: Fraction(share) for level, share in policy.map("point_value.level_shares").items()}
    curve = [Fraction(share) for share in manifest["budget"]["curve"]]
    last = 4 if kind is RunKind.YEAR else int(manifest["period"])
    alone = kind is RunKind.QUARTER and QuarterMode(policy.method("quarter.mode")) is not QuarterMode.CUMULATIVE
    found = month_shares(curve, [last] if alone else range(1, last + 1))
    return {str(int(manifest["year"]) * 100 + month): share for month, share in found.items()}


def divided(
    kind: RunKind,
    policy: ResolvedPolicy,
    manifest: Mapping[str, Any],
    points_decimals: int,
    fund_fen: int,
    asked: Sequence[QuarterClaim],
    terms: QuarterTerms,
    money: CaseMoney,
) -> Divided | None:
    """The pool by scope, with what cases lack to their floor (分范围及保底缺额); none where neither is asked for.

    Raises: ScopeSharesInvalid; as `price_pool`.
    """
    scoped = scope_of(policy) is not PointValueScope.POOL
    if not scoped and not floor_acts(policy):
        return None
    if scoped:
        funds = scope_funds(fund_fen, fund_shares(kind, policy, manifest))
        sums = money.parts()
        parts = {
            scope: tuple(
                QuarterClaim(
                    code,
                    one["cases"],
                    one["points"],
                    one["cost_fen"],
                    one["booked_fen"],
                    patient_fen=one["patient_fen"],
                )
                for code, one in sorted(found.items())
            )
            for scope, found in sums.items()
        }
        _refuse_unmatched(funds, parts)
    else:
        funds, parts = {_POOL: fund_fen}, {_POOL: tuple(asked)}
    if not floor_acts(policy):
        return Divided(funds, parts)
    own_terms = terms_by_scope(funds, terms)
    lacks: dict[str, int] = {}
    lifted: dict[str, tuple[QuarterClaim, ...]] = {}
    for scope, claims in parts.items():
        points = {one.hospital: one.points for one in claims}
        value = settlement_point_value(
            funds[scope],
            sum(one.booked_fen for one in claims),
            sum(one.cost_fen for one in claims),
            sum(points.values()),
            points_decimals,
            terms.price.basis,
        )
        per_unit = claim_fen_per_unit(value, points, own_terms[scope].price)
        below = money.below(scope if scoped else None, per_unit)
        own = {code: case_floor_lack(per_unit, cases) for code, cases in below.items()}
        lifted[scope] = tuple(replace(one, floor_lack_fen=own.get(one.hospital, 0)) for one in claims)
        for code, fen in own.items():
            lacks[code] = lacks.get(code, 0) + fen
    return Divided(funds, lifted, lacks)


def _refuse_unmatched(funds: Mapping[str, int], parts: Mapping[str, Sequence[QuarterClaim]]) -> None:
    """Scopes with a fund and no cases, or the reverse, by name."""
    for scope in sorted({*funds, *parts}):
        if scope not in parts:
            raise ScopeSharesInvalid(
                f"范围“{scope}”有基金份额而没有病例。",
                f"Scope {scope} has a share of the fund and no cases.",
                scope=scope,
            )
        if scope not in funds:
            raise ScopeSharesInvalid(
                f"范围“{scope}”有病例而没有基金份额。",
                f"Scope {scope} has cases and no share of the fund.",
                scope=scope,
            )

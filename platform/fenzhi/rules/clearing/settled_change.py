"""Why a quarter or a year differs from what was settled on account (与预结算差额的归因): months and earlier quarters against the run.

What was settled so far consists of parts: the last quarter, and the months since. Each part is computed again with one
thing after another replaced by what the run knows, in the fixed order of causes, until nothing but the run is left. A
case that was not there before enters with the lists, at its later group and coefficient.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from enum import IntEnum
from fractions import Fraction

from fenzhi.rules.clearing.causes import Cause, Changes, changes_by_cause
from fenzhi.rules.clearing.presettlement import MonthClaim, MonthTerms, presettle_month
from fenzhi.rules.clearing.quarterly import QuarterClaim, QuarterTerms, quarter_shares
from fenzhi.rules.clearing.statement import StatementLine
from fenzhi.rules.point_value.point_value import PointValue
from fenzhi.rules.quantities import half_up
from fenzhi.rules.refusals import InvariantBroken

SETTLED_AGAIN = "what was settled before is computed again"


class Known(IntEnum):
    """How much of the case set is replaced (病例集的替换程度). What reviews changed since stays as it was at every degree: it enters with
    the run's own gross, under SPECIAL_CASES."""

    BEFORE = 0  # 原结算时
    LISTS = 1  # 迟报与更正清单
    GROUP = 2  # 入组
    COEFFICIENT = 3  # 系数


@dataclass(frozen=True, slots=True)
class CaseSums:
    """The cleared cases of one hospital in one part (病例合计). Units: fen; points in 10^-d."""

    cases: int = 0
    points: int = 0
    cost_fen: int = 0
    booked_fen: int = 0
    patient_fen: int = 0

    def __add__(self, other: CaseSums) -> CaseSums:
        """Both together (合并)."""
        return CaseSums(
            self.cases + other.cases,
            self.points + other.points,
            self.cost_fen + other.cost_fen,
            self.booked_fen + other.booked_fen,
            self.patient_fen + other.patient_fen,
        )


Sums = Mapping[str, CaseSums]
"""By hospital code."""


@dataclass(frozen=True)
class SettledMonth:
    """A month on account (已预结算月份): its frozen price and ratios, its cases as known then and since."""

    terms: MonthTerms
    cap: Callable[[int], int | None]
    """Cash cap of a booked amount."""
    sums: Mapping[Known, Sums]
    deductions: tuple[Mapping[str, int], Mapping[str, int]]
    """Of this month: as taken then, as approved now."""


@dataclass(frozen=True)
class SettledQuarter:
    """A quarter settled (已清算季度), or all quarters in one where they count the year: fund then and now, terms, cases."""

    terms: QuarterTerms
    fund_fen: int
    fund_now_fen: int
    points_decimals: int
    sums: Mapping[Known, Sums]
    deductions: tuple[Mapping[str, int], Mapping[str, int]]


@dataclass(frozen=True, slots=True)
class RunLine:
    """What the run itself says of one hospital (本次结算). Units: fen. `kept_fen`: deposit withheld, or forfeited by a year."""

    gross_fen: int
    deductions_fen: int
    band_withheld_fen: int
    bonuses_fen: int
    assessment_withheld_fen: int
    kept_fen: int


@dataclass(frozen=True)
class SettledChange:
    """Everything between what was settled and a run (归因输入). `deposit_before_fen`: held before the run.

    `value`: the point value of the run; of `before_reviews` where it is given. `before_reviews`: the gross of the run computed whole with
    the reviews as the parts knew them, None where no review changed since (特例单议前的应得额).
    """

    months: Sequence[SettledMonth]
    quarters: Sequence[SettledQuarter]
    value: PointValue
    lines: Mapping[str, RunLine]
    deposit_before_fen: Mapping[str, int]
    before_reviews: Mapping[str, int] | None = None


@dataclass(frozen=True, slots=True)
class _State:
    known: Known = Known.BEFORE
    done: frozenset[Cause] = field(default_factory=frozenset)


_CASES = {Cause.LISTS: Known.LISTS, Cause.GROUP: Known.GROUP, Cause.COEFFICIENT: Known.COEFFICIENT}


def explain_settled(change: SettledChange, cleared_before: Mapping[str, int]) -> Changes:
    """The change of every hospital's payable since what was settled, cause by cause (与预结算差额归因).

    Rounding: as the rule of each part. Under POINT_VALUE every part takes the point value of the run and keeps its φ;
    under PHI gross becomes that of the run with the reviews of before; under SPECIAL_CASES that of the run; under PREPAY what waited and
    what the cap cut is counted. Units: fen.
    `cleared_before`: what the parts were recorded with. Raises: InvariantBroken SETTLED_AGAIN naming the hospital;
    as `quarter_shares` for a part that no longer has points.
    """
    again = _cleared(change, _State())
    for hospital in sorted({*again, *cleared_before}):
        found, due = again.get(hospital, 0), cleared_before.get(hospital, 0)
        if found != due:
            raise InvariantBroken(SETTLED_AGAIN, account=hospital, unexplained_fen=found - due)
    steps = {cause: _step(cause) for cause in Cause}
    last = _State(Known.COEFFICIENT, frozenset(Cause))
    return changes_by_cause(_State(), last, steps, lambda state: _payable(change, state))


def _step(cause: Cause) -> Callable[[_State, _State], _State]:
    def taken(now: _State, _after: _State) -> _State:
        return replace(now, known=_CASES.get(cause, now.known), done=now.done | {cause})

    return taken


def _payable(change: SettledChange, state: _State) -> dict[str, int]:
    kept = change.deposit_before_fen
    if Cause.DEPOSIT in state.done:
        kept = {code: line.kept_fen for code, line in change.lines.items()}
    cleared = _cleared(change, state)
    return {code: cleared.get(code, 0) - kept.get(code, 0) for code in sorted({*cleared, *kept})}


def _cleared(change: SettledChange, state: _State) -> dict[str, int]:
    found: dict[str, int] = {}

    def add(amounts: Mapping[str, int], sign: int = 1) -> None:
        for code, amount in amounts.items():
            found[code] = found.get(code, 0) + sign * amount

    if Cause.PHI in state.done:
        for amounts, sign in _from_gross(change, state):
            add(amounts, sign)
    else:
        for month in change.months:
            add(_month(month, change.value, state))
        for quarter in change.quarters:
            add(_quarter(quarter, change.value, state))
    return found


def _from_gross(change: SettledChange, state: _State) -> Iterator[tuple[Mapping[str, int], int]]:
    """From the run's own gross down, as far as the causes have gone."""
    done, lines = state.done, change.lines
    if change.before_reviews is None or Cause.SPECIAL_CASES in done:
        yield {code: line.gross_fen for code, line in lines.items()}, 1
    else:
        yield change.before_reviews, 1
    if Cause.DEDUCTION in done:
        yield {code: line.deductions_fen for code, line in lines.items()}, -1
    else:
        yield from ((month.deductions[0], -1) for month in change.months)
        yield from ((quarter.deductions[0], -1) for quarter in change.quarters)
    if Cause.BANDS in done:
        yield {code: line.band_withheld_fen - line.bonuses_fen for code, line in lines.items()}, -1
    if Cause.ASSESSMENT in done:
        yield {code: line.assessment_withheld_fen for code, line in lines.items()}, -1
    if Cause.PREPAY not in done:
        yield from ((_not_paid(month, change.value, state), -1) for month in change.months)


def _month(month: SettledMonth, value: PointValue, state: _State) -> dict[str, int]:
    return {line.hospital: line.cleared_fen for line in _lines(month, value, state, month.terms.fund_ratio)}


def _not_paid(month: SettledMonth, value: PointValue, state: _State) -> dict[str, int]:
    """What of a month waits or was cut, at the price and the ratio of the run."""
    lines = _lines(month, value, state, value.fund_ratio())
    return {line.hospital: line.not_prepaid_fen + line.cash_cut_fen for line in lines}


def _lines(month: SettledMonth, value: PointValue, state: _State, ratio: Fraction) -> tuple[StatementLine, ...]:
    priced = value if Cause.POINT_VALUE in state.done else month.terms.point_value
    terms = replace(month.terms, point_value=priced, fund_ratio=ratio, deposit_rate=Fraction(0))
    deductions = month.deductions[Cause.DEDUCTION in state.done]
    sums = month.sums[state.known]
    claims = []
    for code in sorted({*sums, *deductions}):
        own = sums.get(code, CaseSums())
        claims.append(
            MonthClaim(
                code,
                own.cases,
                own.points,
                own.cost_fen,
                own.booked_fen,
                own.patient_fen,
                deductions.get(code, 0),
                month.cap(own.booked_fen),
            )
        )
    return presettle_month(claims, terms).lines


def _quarter(quarter: SettledQuarter, value: PointValue, state: _State) -> dict[str, int]:
    sums, deductions = quarter.sums[state.known], quarter.deductions[0]
    fund_fen = quarter.fund_now_fen if Cause.BUDGET in state.done else quarter.fund_fen
    claims = [
        QuarterClaim(code, one.cases, one.points, one.cost_fen, one.booked_fen, one.patient_fen)
        for code in sorted({*sums, *deductions})
        for one in (sums.get(code, CaseSums()),)
    ]
    own, shares = quarter_shares(fund_fen, quarter.points_decimals, claims, quarter.terms.shares, quarter.terms.price)
    gross = {code: share.gross_fen for code, share in shares.shares.items()}
    if Cause.POINT_VALUE in state.done:
        per_unit = value.fen_per_unit() * own.fund_ratio()
        gross = {claim.hospital: half_up(claim.points * per_unit) for claim in claims}
    return {code: amount - deductions.get(code, 0) for code, amount in gross.items()}

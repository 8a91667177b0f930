"""What each hospital brings to a run (机构申报): what was counted of its cases, and what the books held of it before."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from fractions import Fraction
from typing import Any, Protocol

from fenzhi.rules.clearing.quarterly import QuarterClaim
from fenzhi.rules.point_value.point_value import PointValue
from fenzhi.rules.policy.resolved import ResolvedPolicy
from fenzhi.rules.quantities import half_up
from fenzhi.services.clearing.freezing import Position
from fenzhi.services.clearing.runs import RunKind
from fenzhi.services.clearing.year_inputs import YearInputs


class Ground(Protocol):
    """What the money of a run is made of once its cases are graded (金额计算依据): of a frozen run, or of a manifest read again."""

    @property
    def kind(self) -> RunKind: ...
    @property
    def policy(self) -> ResolvedPolicy: ...
    @property
    def points_decimals(self) -> int: ...
    @property
    def hospitals(self) -> Mapping[int, tuple[str, int | None]]: ...
    @property
    def fund_fen(self) -> int | None: ...
    @property
    def price(self) -> PointValue | None: ...
    @property
    def last_year_ratio(self) -> Fraction | None: ...
    @property
    def deductions(self) -> Mapping[int, int]: ...
    @property
    def payments(self) -> Mapping[int, int]: ...
    @property
    def position(self) -> Position: ...
    @property
    def beside(self) -> YearInputs: ...
    @property
    def manifest(self) -> Mapping[str, Any]: ...
    @property
    def by_case(self) -> Fraction | None: ...


@dataclass(frozen=True)
class Claim:
    """What stands behind one hospital's line, as counted."""

    number: int
    cases: int
    pending: int
    points: int
    cost_fen: int
    booked_fen: int
    patient_fen: int
    case_priced_fen: int = 0


def claims_of(
    ground: Ground, frozen_cases: Mapping[int, int], sums: Mapping[str, Mapping[str, Any]]
) -> dict[str, Claim]:
    """One claim per hospital that has cases, deductions, payments or postings in the run's span, by hospital code (机构申报).

    `frozen_cases`: all cases by hospital id; `sums`: cases, points and money of the cleared ones by code.
    """
    posted = {number for number, _ in ground.position.posted if number is not None}
    beside = (*ground.beside.receivables, *ground.beside.offset_earlier, *ground.beside.advances)
    numbers = {*frozen_cases, *ground.deductions, *ground.payments, *posted, *beside}
    found: dict[str, Claim] = {}
    for number in numbers:
        code = ground.hospitals[number][0]
        row = sums.get(code, {})
        n = row.get("cases", 0)
        found[code] = Claim(
            number,
            n,
            frozen_cases.get(number, 0) - n,
            row.get("points", 0),
            row.get("cost_fen", 0),
            row.get("booked_fen", 0),
            row.get("patient_fen", 0),
            row.get("case_priced_fen", 0),
        )
    return dict(sorted(found.items()))


def quarter_claim(ground: Ground, code: str, one: Claim) -> QuarterClaim:
    """What a hospital brings to a quarter or a year (季度、年度清算申报), money in fen, points in 10^-d."""
    position, beside = ground.position, ground.beside
    return QuarterClaim(
        hospital=code,
        cases=one.cases,
        points=one.points,
        cost_fen=one.cost_fen,
        booked_fen=one.booked_fen,
        patient_fen=one.patient_fen,
        deductions_fen=ground.deductions.get(one.number, 0),
        payments_recorded_fen=ground.payments.get(one.number, 0),
        deposit_held_fen=position.deposit_held.get(one.number, 0),
        earlier_cleared_fen=position.earlier_cleared.get(one.number, 0),
        offset_earlier_fen=beside.offset_earlier.get(one.number, 0),
        receivables=beside.receivables.get(one.number, ()),
        fixed_points=opened_baseline(ground, one.number),
        case_priced_fen=one.case_priced_fen,
    )


def opened_baseline(ground: Ground, hospital: int) -> int:
    """The part of a hospital's yearly baseline that the curve has opened, in 10^-d points, half up (基准量进度)."""
    points = ground.beside.baselines.get(hospital)
    budget = ground.manifest["budget"]
    if points is None or budget is None:
        return 0
    return half_up(points * 10**ground.points_decimals * Fraction(budget["opened"]))

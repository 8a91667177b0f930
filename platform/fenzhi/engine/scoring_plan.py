"""Scores, coefficients, references and lines as integers (计分参数编译).

The lines become whole costs: a case is low exactly when its cost in fen is at most `low_max`. So bands are integer
comparisons, and only cases outside the lines need a division of their own.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from decimal import Decimal
from fractions import Fraction
from math import gcd, lcm

import pyarrow as pa

from fenzhi.engine.compiled_book import CompiledBook
from fenzhi.engine.connection import INT64_MAX
from fenzhi.engine.failures import bounds_exceeded, input_refused
from fenzhi.rules.catalog.reference_costs import ReferenceCosts, ReferenceSource
from fenzhi.rules.scoring.case_adjustment import Adjustment
from fenzhi.rules.scoring.cost_outliers import OutlierLines, OutlierMethod
from fenzhi.rules.scoring.score_case import BlankGroup, HospitalFactor

SOURCES: tuple[ReferenceSource, ...] = tuple(ReferenceSource)
"""The order is the engine's code (参考均费来源编号)."""


@dataclass(frozen=True)
class ScoringPlan:
    """Everything scoring needs, frozen for a run (计分方案). Make it once with `plan_scoring`.

    A case names its hospital's factor and its adjustment by their place in the sequences given.
    """

    book: CompiledBook
    lines: OutlierLines
    factors: tuple[HospitalFactor, ...]
    auxiliaries: tuple[Fraction, ...]
    """Multipliers by place (调整乘数)."""
    blank: BlankGroup | None
    levels: tuple[str, ...]
    prices: pa.Table
    """price_key ((group + 1) × levels + level; group −1 is no group), base (score in 10^-points_decimals × score_unit),
    grassroots, ratio_top / ratio_bottom (cases over total, reduced), the lines as costs, source."""
    score_unit: int
    factor_table: pa.Table
    coefficient_unit: int
    auxiliary_table: pa.Table
    """auxiliary (place), auxiliary_coefficient (over auxiliary_unit), bonus (10^-points_decimals added after all else)."""
    auxiliary_unit: int
    adds_points: bool
    largest: dict[str, int]
    """Largest value of each factor of the formulas, from which the bounds of a run are proved."""


def plan_scoring(
    book: CompiledBook,
    *,
    factors: Sequence[HospitalFactor],
    references: ReferenceCosts,
    lines: OutlierLines,
    auxiliaries: Sequence[Decimal | Fraction] = (Decimal(1),),
    adjustments: Sequence[Adjustment] | None = None,
    blank: BlankGroup | None = None,
) -> ScoringPlan:
    """Compile the parameters of scoring (编译计分参数), exact. `adjustments` stand in for `auxiliaries` and may add points.

    Raises: EngineInputRefused for a negative coefficient, EngineBoundsExceeded for one the engine's integers cannot hold.
    """
    for number in (factor.coefficient for factor in factors):
        if not number.is_finite() or number < 0:
            raise input_refused("系数不得为负。", "A coefficient may not be negative.", saw=str(number))
    if adjustments is None:
        if any(isinstance(one, Decimal) and not one.is_finite() for one in auxiliaries):
            raise input_refused("系数不得为负。", "A coefficient may not be negative.", saw=str(list(auxiliaries)))
        adjustments = [Adjustment(Fraction(one)) for one in auxiliaries]
    table, auxiliary_unit, multipliers, adds = _adjusted(adjustments, book.edition.points_decimals)
    if not factors:
        raise input_refused("没有医疗机构系数。", "A plan needs at least one hospital factor.")
    levels = tuple(sorted({factor.level for factor in factors}))
    level_number = {level: place for place, level in enumerate(levels)}
    coefficients, coefficient_unit = scaled([factor.coefficient for factor in factors])
    shift = Decimal(10) ** book.edition.points_decimals
    bases, score_unit = scaled([group.score * shift for group in book.groups])
    for what, values in (("分值 score", bases), ("系数 coefficient", coefficients)):
        _fits(what, [*values, score_unit, coefficient_unit, auxiliary_unit])
    prices, largest = _prices(book, levels, bases, references, lines)
    largest |= {
        "score": max(bases, default=0),
        "coefficient": max([*coefficients, coefficient_unit]),
        "auxiliary": max(table["auxiliary_coefficient"].to_pylist(), default=0),
    }
    return ScoringPlan(
        book,
        lines,
        tuple(factors),
        multipliers,
        blank if blank is not None and blank.mean.usable else None,
        levels,
        prices,
        score_unit,
        pa.table(
            {
                "factor": pa.array(range(len(factors)), pa.int32()),
                "level": pa.array([level_number[factor.level] for factor in factors], pa.int32()),
                "coefficient": pa.array(coefficients, pa.int64()),
            }
        ),
        coefficient_unit,
        table,
        auxiliary_unit,
        adds,
        largest,
    )


def with_adjustments(plan: ScoringPlan, adjustments: Sequence[Adjustment]) -> ScoringPlan:
    """A plan with the adjustments of a run's cases (装入分值调整). Raises: as `plan_scoring`."""
    table, unit, multipliers, adds = _adjusted(adjustments, plan.book.edition.points_decimals)
    largest = {**plan.largest, "auxiliary": max(table["auxiliary_coefficient"].to_pylist(), default=0)}
    return replace(
        plan, auxiliaries=multipliers, auxiliary_table=table, auxiliary_unit=unit, adds_points=adds, largest=largest
    )


def _adjusted(adjustments: Sequence[Adjustment], places: int) -> tuple[pa.Table, int, tuple[Fraction, ...], bool]:
    multipliers = tuple(one.multiplier for one in adjustments)
    if any(one < 0 for one in multipliers):
        raise input_refused("系数不得为负。", "A coefficient may not be negative.", saw=str(min(multipliers)))
    bonuses = [one.bonus.scaleb(places) for one in adjustments]
    finer = next((one for one in bonuses if one != one.to_integral_value() or one < 0), None)
    if finer is not None:
        raise input_refused(
            "加分小数位超过病例分值小数位或为负。", "Added points finer than points, or below zero.", saw=str(finer)
        )
    unit = lcm(*(one.denominator for one in multipliers))
    helpers = [one.numerator * (unit // one.denominator) for one in multipliers]
    _fits("调整乘数 adjustment", [*helpers, unit])
    table = pa.table(
        {
            "auxiliary": pa.array(range(len(helpers)), pa.int32()),
            "auxiliary_coefficient": pa.array(helpers, pa.int64()),
            "bonus": pa.array([int(one) for one in bonuses], pa.int64()),
        }
    )
    return table, unit, multipliers, any(bonuses)


def _fits(what: str, values: Sequence[int]) -> None:
    if max(values) > INT64_MAX:
        raise bounds_exceeded(what, max(values), INT64_MAX)


def scaled(values: Sequence[Decimal]) -> tuple[list[int], int]:
    """Decimals as integers over one common power of ten (统一放大为整数), exact.

    >>> scaled([Decimal("0.950"), Decimal(1)])
    ([95, 100], 100)
    """
    places = max((max(0, -int(value.normalize().as_tuple().exponent)) for value in values), default=0)
    return [int(value.scaleb(places)) for value in values], 10**places


_PRICE_COLUMNS = {
    "price_key": pa.int32(),
    "base": pa.int64(),
    "grassroots": pa.bool_(),
    "ratio_top": pa.int64(),
    "ratio_bottom": pa.int64(),
    "low_max": pa.int64(),
    "high_min": pa.int64(),
    "extreme_min": pa.int64(),
    "source": pa.int8(),
}


def _prices(
    book: CompiledBook, levels: Sequence[str], bases: Sequence[int], references: ReferenceCosts, lines: OutlierLines
) -> tuple[pa.Table, dict[str, int]]:
    """A row for every group and level, and for no group, so that the engine's join finds every case (计分参数表)."""
    none = SOURCES.index(ReferenceSource.NONE)
    rows: list[tuple[int, ...]] = [
        (place, 0, False, 1, 1, -1, INT64_MAX, INT64_MAX, none) for place in range(len(levels))
    ]
    tops, bottoms = [1], [1]
    for number, group in enumerate(book.groups):
        for place, level in enumerate(levels):
            key = (number + 1) * len(levels) + place
            mean, source = references.find(group.group_code, level)
            if mean is None:
                rows.append((key, bases[number], group.grassroots, 1, 1, -1, INT64_MAX, INT64_MAX, none))
                continue
            shared = gcd(mean.n, mean.total_fen)
            top, bottom = mean.n // shared, mean.total_fen // shared
            _fits("参考总费用 reference total", (top, bottom))
            tops.append(top)
            bottoms.append(bottom)
            lowest = cost_lines(top, bottom, lines)
            rows.append((key, bases[number], group.grassroots, top, bottom, *lowest, SOURCES.index(source)))
    columns = zip(_PRICE_COLUMNS.items(), zip(*rows, strict=True), strict=True)
    table = pa.table({name: pa.array(column, kind) for (name, kind), column in columns})
    return table, {"ratio_top": max(tops), "ratio_bottom": max(bottoms)}


def cost_lines(ratio_top: int, ratio_bottom: int, lines: OutlierLines) -> tuple[int, int, int]:
    """The lines of one reference as whole costs (以分表示的界限): largest low cost, smallest high, smallest extreme.

    Units: fen. A cost c has the ratio c × top / bottom. Values beyond int64 are clamped to it: no cost gets there.

    >>> cost_lines(1, 1_000_001, OutlierLines(Decimal("0.5"), Decimal(2), None))[:2]
    (500000, 2000003)
    """

    def exact(line: Decimal) -> Fraction:
        return Fraction(line) * Fraction(ratio_bottom, ratio_top)

    def smallest(line: Decimal, inclusive: bool) -> int:
        edge = exact(line)
        floor = edge.numerator // edge.denominator
        return floor if inclusive and edge.denominator == 1 else floor + 1

    low = smallest(lines.low, inclusive=not lines.low_inclusive) - 1
    high = smallest(lines.high, lines.high_inclusive)
    extreme = smallest(lines.extreme, lines.extreme_inclusive) if lines.extreme is not None else INT64_MAX
    return min(low, INT64_MAX), min(high, INT64_MAX), min(extreme, INT64_MAX)


@dataclass(frozen=True, slots=True)
class RunBounds:
    """The largest intermediates of a run (中间量上限), doubled for the rounding, from which the integer widths follow.

    Proof: every factor is at most its largest value and none is negative; what is subtracted is smaller than what it is
    subtracted from.
    """

    normal: int
    outlier: int
    blank: int = 0


def run_bounds(plan: ScoringPlan, largest_cost_fen: int) -> RunBounds:
    """Bounds of a run whose dearest case costs `largest_cost_fen` (本次计算的整数上限)."""
    high_top, high_bottom = plan.lines.high.as_integer_ratio()
    largest = plan.largest
    case = max(largest["score"], 1) * largest["coefficient"] * max(largest["auxiliary"], 1)
    unit = plan.score_unit * plan.coefficient_unit * plan.auxiliary_unit
    bottom = unit * largest["ratio_bottom"] * high_bottom
    blank_top, blank_bottom = blank_ratio(plan)
    blank = 2 * blank_top * largest_cost_fen + 2 * blank_bottom
    if plan.lines.method is OutlierMethod.PAYMENT_STANDARD:
        price_top, price_bottom = standard_price(plan)
        lines = (plan.lines.low, plan.lines.high, plan.lines.extreme or plan.lines.high)
        edges = max(part for line in lines for part in line.as_integer_ratio())
        most = max(largest_cost_fen * unit * price_bottom, case * price_top) * edges
        return RunBounds(2 * case + 2 * unit, 2 * most + 2 * price_top, blank)
    beyond = (largest["ratio_top"] * largest_cost_fen + largest["ratio_bottom"]) * high_bottom
    subtracted = high_top * largest["ratio_bottom"]
    return RunBounds(
        normal=2 * case + 2 * unit,
        outlier=2 * case * max(beyond, subtracted) + 2 * bottom,
        blank=blank,
    )


def standard_price(plan: ScoringPlan) -> tuple[int, int]:
    """Fen per 10^-points_decimals point as a reduced fraction (每分值单位金额), for the payment standard."""
    unit: int = 10**plan.book.edition.points_decimals
    price = (plan.lines.price_fen or Fraction(1)) / unit
    return price.numerator, price.denominator


def blank_ratio(plan: ScoringPlan) -> tuple[int, int]:
    """Points of a blank group per fen of cost, as a reduced fraction (空白病种每分金额的分值单位)."""
    if plan.blank is None:
        return 0, 1
    edition = plan.book.edition
    unit: int = 10**edition.points_decimals
    ratio = plan.blank.discount * edition.scale * unit / plan.blank.mean.fen
    return ratio.numerator, ratio.denominator

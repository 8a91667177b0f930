"""The points of one case (病例分值): the group's score, the hospital's coefficient, the outlier multiplier, one rounding.

Every way the case could have been scored is kept beside the one that won, so that a hospital reads the difference instead
of asking for it.
"""

from __future__ import annotations

from dataclasses import dataclass
from decimal import Decimal
from fractions import Fraction

from fenzhi.rules.catalog.disease_group import DiseaseGroup
from fenzhi.rules.catalog.reference_costs import MeanCost, ReferenceCosts, ReferenceSource
from fenzhi.rules.quantities import Points, decimal_places, half_up, yuan_from_fen
from fenzhi.rules.scoring.blank_group import blank_group_score
from fenzhi.rules.scoring.case_adjustment import NO_ADJUSTMENT, Adjustment
from fenzhi.rules.scoring.cost_outliers import (
    CostBand,
    OutlierFactor,
    OutlierLines,
    OutlierMethod,
    outlier_factor,
    standard_factor,
)
from fenzhi.rules.working import Step, Working


@dataclass(frozen=True, slots=True)
class HospitalFactor:
    """What a hospital brings to its cases on the discharge date (医疗机构级别与系数)."""

    level: str
    """Level whose reference cost is asked for (医疗机构级别)."""
    coefficient: Decimal


@dataclass(frozen=True, slots=True)
class ScoreCandidate:
    """One way to score the case (候选分值). Units: points in 10^-d."""

    name: str
    points: Points


@dataclass(frozen=True, slots=True)
class ScoredCase:
    """One case, scored (计分结果). Units: `points` in 10^-points_decimals of the edition."""

    case_id: str
    group_code: str
    points: Points
    band: CostBand
    provisional: bool
    reference_source: ReferenceSource
    candidates: tuple[ScoreCandidate, ...]
    chosen: str
    zh: str
    en: str
    working: Working


_CHOSEN: dict[CostBand, tuple[str, str, str]] = {
    CostBand.NORMAL: ("normal", "费用在正常区间，按病种分值计分。", "The cost is normal: the group's score."),
    CostBand.LOW: ("outlier", "费用过低，按实际费用倍率计分。", "The cost is low: scored by its ratio."),
    CostBand.HIGH: (
        "outlier",
        "费用过高，超出部分加计分值。",
        "The cost is high: scored for what lies beyond the line.",
    ),
    CostBand.EXTREME: ("normal", "费用极高，按病种分值计分。", "The cost is extreme: the group's score."),
    CostBand.CANNOT_JUDGE: (
        "normal",
        "没有上年均费可供判定，按病种分值计分。",
        "No mean cost of last year to judge by: the group's score.",
    ),
}


def applied_coefficient(group: DiseaseGroup, factor: HospitalFactor) -> Decimal:
    """The hospital coefficient as it applies to a group (适用系数): 1 for grass-roots groups (基层病种同病同付)."""
    return Decimal(1) if group.grassroots else factor.coefficient


@dataclass(frozen=True, slots=True)
class BlankGroup:
    """How a sound case without a group is scored (空白病种计分办法): scale × cost ÷ area mean × discount, and nothing else."""

    discount: Fraction
    mean: MeanCost


def score_case(
    group: DiseaseGroup,
    *,
    case_id: str,
    cost_fen: int,
    factor: HospitalFactor,
    references: ReferenceCosts,
    lines: OutlierLines,
    points_decimals: int,
    auxiliary: Decimal = Decimal(1),
    adjustment: Adjustment = NO_ADJUSTMENT,
) -> ScoredCase:
    """The points of one case (病例分值): score × outlier multiplier (holding k) × adjustment, then points that are added.

    Every candidate stays beside the one taken: normal (score × k), adjusted (× auxiliary, age and the like), outlier, and with added points.
    Policy: scoring/*, registry coefficients; grass-roots groups take k = 1. Units: cost in fen, points in 10^-points_decimals.
    Rounding: once, half up; added points have at most the places of points. Raises: ValueError for a negative cost or finer added points.
    """
    k = applied_coefficient(group, factor)
    multiplier = Fraction(auxiliary) * adjustment.multiplier
    plain = Fraction(group.score) * 10**points_decimals
    base = plain * multiplier
    judged, mean, source = _judged(group, cost_fen, k, multiplier, factor, references, lines)
    bonus = _whole_points(adjustment.bonus, points_decimals)
    normal = Points(half_up(plain * Fraction(k)))
    adjusted = Points(half_up(base * Fraction(k)))
    rounded = half_up(base * judged.multiplier)
    points = Points(rounded + bonus)
    chosen, zh, en = _CHOSEN[judged.band]
    if lines.method is OutlierMethod.PAYMENT_STANDARD and judged.band is CostBand.HIGH:
        chosen, zh, en = _REVIEWED
    if judged.provisional:
        zh, en = f"{zh}待特例单议。", f"{en} Provisional until reviewed."
    candidates = [ScoreCandidate("normal", normal)]
    if multiplier != 1:
        candidates.append(ScoreCandidate("adjusted", adjusted))
        if chosen == "normal":
            chosen = "adjusted"
    if chosen == "outlier":
        candidates.append(ScoreCandidate("outlier", Points(rounded)))
    if bonus:
        candidates.append(ScoreCandidate("with_added_points", points))
        chosen = "with_added_points"
        zh, en = f"{zh}另加分 {format(adjustment.bonus, 'f')}。", f"{en} Points added: {format(adjustment.bonus, 'f')}."
    steps = (
        Step(
            "scoring.base_score",
            "病种分值乘医疗机构系数和辅助系数；基层病种系数为 1。",
            "Score times hospital and auxiliary coefficient; a grass-roots group takes 1.",
            (
                ("score", format(group.score, "f")),
                ("coefficient", format(k, "f")),
                ("auxiliary", _exact(Fraction(auxiliary) * adjustment.auxiliary)),
                ("grassroots", "1" if group.grassroots else "0"),
            ),
        ),
        *adjustment.steps,
        _outlier_step(cost_fen, judged, mean, source, lines),
        Step(
            "scoring.points",
            "四舍五入一次，得病例分值。",
            "Rounded once, half up.",
            (
                ("exact", _exact(base * judged.multiplier / 10**points_decimals)),
                *((("adjustment", _exact(multiplier)),) if multiplier != 1 else ()),
                *((("added", format(adjustment.bonus, "f")),) if bonus else ()),
                ("points", decimal_places(Fraction(points, 10**points_decimals), points_decimals)),
            ),
        ),
    )
    return ScoredCase(
        case_id,
        group.group_code,
        points,
        judged.band,
        judged.provisional,
        source,
        tuple(candidates),
        chosen,
        zh,
        en,
        steps,
    )


_REVIEWED = (
    "normal",
    "费用达到支付标准的高线，按病种分值计分，可申请特例单议。",
    "The cost reaches the high line of the payment standard: the group's score, open to review.",
)


def score_blank(case_id: str, cost_fen: int, scale: int, blank: BlankGroup, points_decimals: int) -> ScoredCase:
    """The points of a sound case that no group takes (空白病种分值): no coefficient, no outlier, one rounding.

    Policy: scoring.ungrouped_method, ungrouped_discount. A mean nobody knows scores nothing: the case stays pending.
    Raises: ValueError without a usable mean or for a negative cost.
    """
    score = blank_group_score(Fraction(scale), cost_fen, blank.mean.fen, blank.discount)
    points = Points(half_up(score * 10**points_decimals))
    zh = "目录没有该病例的病种，按费用与上年均费之比折扣计分。"
    en = "The catalog has no group for this case: scored by its cost over last year's mean, at a discount."
    step = Step(
        "scoring.blank_group",
        zh,
        en,
        (
            ("scale", str(scale)),
            ("cost_yuan", yuan_from_fen(cost_fen)),
            ("mean_fen", _exact(blank.mean.fen)),
            ("discount", _exact(blank.discount)),
            ("points", decimal_places(Fraction(points, 10**points_decimals), points_decimals)),
        ),
    )
    return ScoredCase(
        case_id,
        "",
        points,
        CostBand.NORMAL,
        False,
        ReferenceSource.AREA_MEAN,
        (ScoreCandidate("blank_group", points),),
        "blank_group",
        zh,
        en,
        (step,),
    )


def _judged(
    group: DiseaseGroup,
    cost_fen: int,
    k: Decimal,
    multiplier: Fraction,
    factor: HospitalFactor,
    references: ReferenceCosts,
    lines: OutlierLines,
) -> tuple[OutlierFactor, Fraction | None, ReferenceSource]:
    if lines.method is OutlierMethod.PAYMENT_STANDARD:
        standard = Fraction(group.score) * Fraction(k) * multiplier
        mean = standard * lines.price_fen if lines.price_fen is not None else None
        return standard_factor(cost_fen, standard, lines, k), mean, ReferenceSource.PAYMENT_STANDARD
    reference, source = references.find(group.group_code, factor.level)
    if reference is None:
        return outlier_factor(cost_fen, 0, 0, lines, k), None, source
    return outlier_factor(cost_fen, reference.total_fen, reference.n, lines, k), reference.fen, source


def _whole_points(bonus: Decimal, points_decimals: int) -> int:
    scaled = bonus.scaleb(points_decimals)
    if scaled != scaled.to_integral_value():
        raise ValueError(f"added points finer than points: {bonus}")
    return int(scaled)


def _outlier_step(
    cost_fen: int, judged: OutlierFactor, mean: Fraction | None, source: ReferenceSource, lines: OutlierLines
) -> Step:
    return Step(
        "scoring.cost_outlier",
        "病例费用与上年同级均费相比，判定费用区间。",
        "The cost against last year's mean of the level decides the band.",
        (
            ("cost_yuan", yuan_from_fen(cost_fen)),
            ("reference_fen", _exact(mean) if mean is not None else ""),
            ("reference_source", source.value),
            ("ratio", _exact(judged.ratio) if judged.ratio is not None else ""),
            ("method", lines.method.value),
            ("band", judged.band.value),
            ("multiplier", _exact(judged.multiplier)),
        ),
    )


def _exact(value: Fraction) -> str:
    """Plain decimal text where the value has one, else a fraction (精确文本)."""
    rest, twos, fives = value.denominator, 0, 0
    while rest % 2 == 0:
        rest, twos = rest // 2, twos + 1
    while rest % 5 == 0:
        rest, fives = rest // 5, fives + 1
    if rest != 1 or max(twos, fives) > 18:
        return f"{value.numerator}/{value.denominator}"
    return decimal_places(value, max(twos, fives))

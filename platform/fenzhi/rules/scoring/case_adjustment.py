"""What multiplies and what adds to the score of a case beside hospital and outlier (病例分值调整), each with its reason.

Multiplied: the auxiliary subtype, the age coefficient or the paediatric bonus, complexity (multiplicative), the bonus of traditional Chinese
medicine, the uplift of a model group, which yields to every other bonus unless policy lets it stack. Added, in points and after everything else: complexity (additive), new technology. Which of them a case
takes depends on its group and its facts alone.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date
from decimal import Decimal
from enum import StrEnum
from fractions import Fraction

from fenzhi.rules.catalog.disease_group import DiseaseGroup
from fenzhi.rules.quantities import decimal_places
from fenzhi.rules.scoring.auxiliary_choice import (
    CaseFacts,
    CciEntry,
    Dimension,
    FactTest,
    IcuDayCounting,
    Subtype,
    SubtypeRule,
    chosen_subtype,
    fact_value,
    fits,
    within,
)
from fenzhi.rules.working import Step

ONE = Fraction(1)


class Complexity(StrEnum):
    """How complexity acts (复杂程度办法)."""

    NONE = "none"  # 不用
    MULTIPLICATIVE = "multiplicative"  # 乘以系数
    ADDITIVE = "additive"  # 加分


@dataclass(frozen=True, slots=True)
class AgeFactor:
    """A band of age in days and its factor (年龄段系数): a coefficient, or 1 + a bonus."""

    test: FactTest
    factor: Fraction
    name: str
    is_bonus: bool = False
    """Is it a paediatric bonus (儿童加成), not a coefficient?"""


@dataclass(frozen=True, slots=True)
class ComplexityBand:
    """A band of a fact and its worth (复杂程度段): a coefficient, or points."""

    test: FactTest
    value: Fraction


@dataclass(frozen=True, slots=True)
class TcmBonus:
    """The bonus of the TCM list (中医优势病种加成): from a share of TCM cost on, the threshold included."""

    groups: frozenset[str]
    threshold: Fraction
    bonus: Fraction


@dataclass(frozen=True, slots=True)
class Uplift:
    """A model group's uplift (示范病种加成), from one discharge date to another, both included."""

    group_code: str
    coefficient: Fraction
    first: date
    last: date


@dataclass(frozen=True, slots=True)
class NewTechnology:
    """Points for a procedure (新技术加分), from one discharge date to another."""

    procedure: str
    points: Decimal
    first: date
    last: date


@dataclass(frozen=True)
class AdjustmentRules:
    """Everything that adjusts a score (分值调整办法), as in force for a case."""

    subtypes: Mapping[str, Sequence[Subtype]] = field(default_factory=dict)
    subtype_rules: tuple[SubtypeRule, ...] = ()
    cci: tuple[CciEntry, ...] = ()
    ages: tuple[AgeFactor, ...] = ()
    complexity: Complexity = Complexity.NONE
    complexity_bands: tuple[ComplexityBand, ...] = ()
    tcm: TcmBonus | None = None
    uplifts: tuple[Uplift, ...] = ()
    uplift_stacks: bool = False
    """Does an uplift act beside another bonus of the case (可否与其他加成叠加)? If not, it yields."""
    technologies: tuple[NewTechnology, ...] = ()
    technology_cap: Decimal | None = None
    """Most points of one case for new technology."""
    icu_counting: IcuDayCounting = IcuDayCounting.FULL
    """How hours in intensive care are days (重症监护天数计算办法)."""

    @property
    def empty(self) -> bool:
        """Is there nothing that could adjust a score (无调整项)?"""
        return not (
            (self.subtypes and self.subtype_rules)
            or self.ages
            or (self.complexity is not Complexity.NONE and self.complexity_bands)
            or self.tcm
            or self.uplifts
            or self.technologies
        )


@dataclass(frozen=True, slots=True)
class Adjustment:
    """What a case's score is multiplied by, and what is added in points (调整结果)."""

    multiplier: Fraction = ONE
    bonus: Decimal = Decimal(0)
    auxiliary: Fraction = ONE
    """The auxiliary coefficient within the multiplier."""
    steps: tuple[Step, ...] = ()


NO_ADJUSTMENT = Adjustment()


def case_adjustment(
    group: DiseaseGroup, facts: CaseFacts, cost_fen: int, discharge: date | None, rules: AdjustmentRules
) -> Adjustment:
    """The adjustment of a case in its group (病例分值调整), exact.

    An age factor does not act beside an auxiliary subtype of the dimension age: one year of life is counted once. An uplift yields to a
    paediatric bonus, a TCM bonus and points for new technology, unless `uplift_stacks`. Units: fen, points.
    """
    if rules.empty:
        return NO_ADJUSTMENT
    steps: list[Step] = []
    fitting = [rule for rule in rules.subtype_rules if fits(rule, facts, rules.cci)]
    subtype = chosen_subtype(rules.subtypes.get(group.group_code, ()), fitting)
    auxiliary = Fraction(subtype.coefficient) if subtype else ONE
    multiplier = auxiliary
    others: list[str] = []
    if subtype is not None:
        steps.append(
            _step(
                "scoring.auxiliary",
                (
                    "符合的辅助分型中取系数最高者，不连乘。",
                    "Of the subtypes it fits, the highest coefficient; never multiplied.",
                ),
                dimension=subtype.dimension.value,
                subtype=subtype.subtype,
                coefficient=_text(auxiliary),
                fits=" ".join(sorted(f"{rule.dimension.value}/{rule.subtype}" for rule in fitting)),
            )
        )
    if subtype is None or subtype.dimension is not Dimension.AGE:
        age = next((one for one in rules.ages if _holds(one.test, facts, rules)), None)
        if age is not None:
            multiplier *= age.factor
            if age.is_bonus and age.factor != ONE:
                others.append("scoring.age")
            steps.append(
                _step(
                    "scoring.age",
                    ("按年龄段乘系数。", "The factor of the age band."),
                    band=age.name,
                    age_days=str(facts.age_days),
                    factor=_text(age.factor),
                )
            )
    bonus = Decimal(0)
    if rules.complexity is not Complexity.NONE:
        band = next((one for one in rules.complexity_bands if _holds(one.test, facts, rules)), None)
        if band is not None:
            if rules.complexity is Complexity.MULTIPLICATIVE:
                multiplier *= band.value
            else:
                bonus += Decimal(band.value.numerator) / band.value.denominator
            steps.append(
                _step(
                    "scoring.complexity",
                    ("按复杂程度调整。", "The worth of complexity."),
                    method=rules.complexity.value,
                    fact=band.test.fact.value,
                    value=_text(band.value),
                )
            )
    if rules.tcm is not None and group.group_code in rules.tcm.groups:
        given = _tcm(rules.tcm, facts, cost_fen, steps)
        multiplier *= given
        if given != ONE:
            others.append("scoring.tcm_bonus")
    earned = _technology(rules, facts, discharge)
    if earned:
        others.append("scoring.new_technology")
    uplift = _uplift(rules.uplifts, group.group_code, discharge)
    if uplift is not None:
        yields = bool(others) and not rules.uplift_stacks
        multiplier *= ONE if yields else uplift.coefficient
        said = {"coefficient": _text(uplift.coefficient), "until": uplift.last.isoformat()}
        if yields:
            words = (
                "示范病种加成不与其他加成叠加，不再加成。",
                "The uplift of a model group does not stack: it yields.",
            )
            steps.append(_step("scoring.uplift", words, **said, factor="1", yields_to=" ".join(others)))
        else:
            steps.append(_step("scoring.uplift", ("示范病种加成。", "The uplift of a model group."), **said))
    if earned:
        bonus += earned
        steps.append(
            _step("scoring.new_technology", ("新技术加分。", "Points for new technology."), points=format(earned, "f"))
        )
    return Adjustment(multiplier, bonus, auxiliary, tuple(steps))


def _holds(test: FactTest, facts: CaseFacts, rules: AdjustmentRules) -> bool:
    value = fact_value(test.fact, facts, rules.cci)
    return value is not None and within(value, test)


def _tcm(tcm: TcmBonus, facts: CaseFacts, cost_fen: int, steps: list[Step]) -> Fraction:
    if facts.tcm_fen is None or cost_fen <= 0:
        steps.append(
            _step("scoring.tcm_bonus", ("未报中医药费用，不能加成。", "TCM cost was not told: no bonus."), factor="1")
        )
        return ONE
    share = Fraction(facts.tcm_fen, cost_fen)
    factor = 1 + tcm.bonus if share >= tcm.threshold else ONE
    steps.append(
        _step(
            "scoring.tcm_bonus",
            ("中医药费用占比达到界限即加成。", "A bonus from a share of TCM cost on."),
            share=f"{facts.tcm_fen}/{cost_fen}",
            threshold=_text(tcm.threshold),
            factor=_text(factor),
        )
    )
    return factor


def _uplift(uplifts: Sequence[Uplift], group_code: str, discharge: date | None) -> Uplift | None:
    if discharge is None:
        return None
    return next((one for one in uplifts if one.group_code == group_code and one.first <= discharge <= one.last), None)


def _technology(rules: AdjustmentRules, facts: CaseFacts, discharge: date | None) -> Decimal:
    if discharge is None:
        return Decimal(0)
    done = set(facts.procedures)
    earned = sum(
        (one.points for one in rules.technologies if one.procedure in done and one.first <= discharge <= one.last),
        Decimal(0),
    )
    return earned if rules.technology_cap is None else min(earned, rules.technology_cap)


def _step(rule: str, said: tuple[str, str], **values: str) -> Step:
    return Step(rule, *said, tuple(values.items()))


def _text(value: Fraction) -> str:
    for places in range(13):
        if (value * 10**places).denominator == 1:
            return decimal_places(value, places)
    return f"{value.numerator}/{value.denominator}"

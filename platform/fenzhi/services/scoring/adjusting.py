"""The adjustments of case scores as policy and edition name them (分值调整办法的装载), for one case and for a whole run alike."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from datetime import date
from decimal import Decimal
from fractions import Fraction
from typing import Any, Protocol, TypeVar

from sqlalchemy import Row

from fenzhi.rules.catalog.group_conditions import expanded_keys
from fenzhi.rules.catalog.reference_costs import ReferenceCosts, area_mean
from fenzhi.rules.policy.resolved import ResolvedPolicy
from fenzhi.rules.quantities import exact_decimal
from fenzhi.rules.refusals import DataRefused, Refusal
from fenzhi.rules.scoring.age_adjustment import elderly_score, paediatric_score
from fenzhi.rules.scoring.auxiliary_choice import (
    CciEntry,
    Dimension,
    IcuDayCounting,
    Subtype,
    fact_tests,
    rule_of_row,
)
from fenzhi.rules.scoring.case_adjustment import (
    AdjustmentRules,
    AgeFactor,
    Complexity,
    ComplexityBand,
    NewTechnology,
    TcmBonus,
    Uplift,
)
from fenzhi.rules.scoring.score_case import BlankGroup

T = TypeVar("T")
_LOOK_AT_FACTS = (
    "scoring.auxiliary_rules",
    "scoring.cci_categories",
    "scoring.age_factors",
    "scoring.complexity_method",
    "scoring.tcm_groups",
    "scoring.model_groups",
    "scoring.new_technologies",
)
_STACKING = "scoring.model_group_stacking"


class SubtypeRow(Protocol):
    """A published subtype as the store or a file has it (辅助分型行)."""

    @property
    def group_code(self) -> str: ...
    @property
    def dimension(self) -> str: ...
    @property
    def subtype(self) -> str: ...
    @property
    def coefficient(self) -> Decimal: ...


def adjustment_rules_of(policy: ResolvedPolicy, subtypes: Sequence[SubtypeRow | Row[Any]]) -> AdjustmentRules:
    """Everything that adjusts a score (分值调整办法), from scoring.* and the subtypes the edition publishes.

    Raises: PolicyNotEntered for what a choice needs and nobody entered, DataRefused for a row that cannot be read or lies outside its range.
    """
    published: dict[str, list[Subtype]] = {}
    for row in subtypes:
        published.setdefault(row.group_code, []).append(
            Subtype(Dimension(row.dimension), row.subtype, Decimal(row.coefficient))
        )
    complexity = Complexity.NONE
    if policy.has("scoring.complexity_method"):
        complexity = Complexity(policy.method("scoring.complexity_method"))
    tcm = None
    if policy.has("scoring.tcm_groups"):
        tcm = TcmBonus(
            frozenset(policy.list("scoring.tcm_groups")),
            policy.fraction("scoring.tcm_threshold"),
            policy.fraction("scoring.tcm_bonus"),
        )
    cap = policy.decimal("scoring.new_technology_cap") if policy.has("scoring.new_technology_cap") else None
    return AdjustmentRules(
        subtypes=published,
        subtype_rules=_rows(policy, "scoring.auxiliary_rules", rule_of_row) if published else (),
        cci=_rows(policy, "scoring.cci_categories", _cci),
        ages=_rows(policy, "scoring.age_factors", lambda row: _age(row, policy)),
        complexity=complexity,
        complexity_bands=()
        if complexity is Complexity.NONE
        else _needed(policy, "scoring.complexity_bands", _complexity_band),
        tcm=tcm,
        uplifts=_rows(policy, "scoring.model_groups", lambda row: _uplift(row, policy)),
        uplift_stacks=policy.has(_STACKING) and policy.method(_STACKING) == "multiplied",
        technologies=_rows(policy, "scoring.new_technologies", _technology),
        technology_cap=cap,
        icu_counting=icu_counting_of(policy),
    )


def adjusts_scores(policy: ResolvedPolicy) -> bool:
    """May a choice of scoring.* look at more of a case than its group and cost (是否须读取年龄等事实)?"""
    return any(policy.has(key) for key in _LOOK_AT_FACTS)


def icu_counting_of(policy: ResolvedPolicy) -> IcuDayCounting:
    """How hours in intensive care are days (重症监护天数计算办法). Policy: scoring.icu_day_counting, whole days where it is silent."""
    key = "scoring.icu_day_counting"
    return IcuDayCounting(policy.method(key)) if policy.has(key) else IcuDayCounting.FULL


def blank_group_of(policy: ResolvedPolicy, references: ReferenceCosts) -> BlankGroup | None:
    """How cases without a group are scored (空白病种计分办法); None where they stay pending.

    Policy: scoring.ungrouped_method, ungrouped_discount. Raises: PolicyNotEntered.
    """
    if policy.method("scoring.ungrouped_method") != "blank_group":
        return None
    discount = policy.fraction("scoring.ungrouped_discount")
    mean = area_mean(references)
    return BlankGroup(discount, mean) if mean.usable else None


def _rows(policy: ResolvedPolicy, key: str, read: Callable[[Mapping[str, str]], T]) -> tuple[T, ...]:
    return _needed(policy, key, read) if policy.has(key) else ()


def _needed(policy: ResolvedPolicy, key: str, read: Callable[[Mapping[str, str]], T]) -> tuple[T, ...]:
    found: list[T] = []
    faults: list[Refusal] = []
    for number, row in enumerate(policy.table(key), start=1):
        try:
            found.append(read(row))
        except (ValueError, KeyError) as error:
            faults.append(
                Refusal(
                    "POLICY_ROW",
                    f"{key} row {number}",
                    str(dict(row))[:200],
                    f"策略表 {key} 第 {number} 行不能读取：{error}",
                    f"Row {number} of {key} cannot be read: {error}",
                    "更正该行后重新提请。",
                    "Correct the row and propose it again.",
                )
            )
    if faults:
        raise DataRefused(tuple(faults))
    return tuple(found)


def _cci(row: Mapping[str, str]) -> CciEntry:
    weight = int(row["weight"])
    if weight < 0:
        raise ValueError("a weight below zero")
    return CciEntry(row["category"], expanded_keys(tuple(row["diagnoses"].split("/"))), weight)


def _age(row: Mapping[str, str], policy: ResolvedPolicy) -> AgeFactor:
    (test,) = fact_tests(f"age_days:{row['age_days']}")
    value = Fraction(exact_decimal(row["value"]))
    if row["kind"] == "elderly":
        return AgeFactor(test, elderly_score(Fraction(1), value, _range(policy, "scoring.elderly_range")), row["name"])
    if row["kind"] == "child":
        allowed = _range(policy, "scoring.child_bonus_range")
        return AgeFactor(test, paediatric_score(Fraction(1), value, allowed), row["name"], is_bonus=True)
    raise ValueError(f"kind is elderly or child: {row['kind']!r}")


def _range(policy: ResolvedPolicy, key: str) -> tuple[Fraction, Fraction]:
    low, high = (Fraction(exact_decimal(text)) for text in policy.list(key))
    return low, high


def _complexity_band(row: Mapping[str, str]) -> ComplexityBand:
    (test,) = fact_tests(row["band"])
    return ComplexityBand(test, Fraction(exact_decimal(row["value"])))


def _uplift(row: Mapping[str, str], policy: ResolvedPolicy) -> Uplift:
    coefficient = exact_decimal(row["coefficient"])
    cap = policy.decimal("scoring.model_group_cap")
    if not 0 < coefficient <= cap:
        raise ValueError(f"a coefficient above 0 and at most {cap}")
    return Uplift(row["group_code"], Fraction(coefficient), *_dates(row))


def _technology(row: Mapping[str, str]) -> NewTechnology:
    points = exact_decimal(row["points"])
    if points <= 0:
        raise ValueError("points above 0")
    return NewTechnology(row["procedure"], points, *_dates(row))


def _dates(row: Mapping[str, str]) -> tuple[date, date]:
    first, last = date.fromisoformat(row["first"]), date.fromisoformat(row["last"])
    if last < first:
        raise ValueError("the last day is before the first")
    return first, last

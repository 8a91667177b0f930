"""The rules of catalog, grouping and scoring that golden cases may name (目录、入组、计分规则的黄金用例)."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import date
from decimal import Decimal
from fractions import Fraction

from fenzhi.cli.golden_files import Names
from fenzhi.cli.golden_values import Result, national_values
from fenzhi.rules.catalog.auxiliary_catalog import AuxiliaryGate, highest_trigger, judge_gate, trigger
from fenzhi.rules.catalog.conjunctions import parse_conjunction
from fenzhi.rules.catalog.dialects import granularity_of
from fenzhi.rules.catalog.disease_group import DiseaseGroup, Granularity
from fenzhi.rules.catalog.edition import CodeTables, Edition
from fenzhi.rules.catalog.groups_from_sums import Deviation, SetMethod, SetSum, group_by_set
from fenzhi.rules.catalog.layers import disagreement, layer_counts
from fenzhi.rules.catalog.related_uplift import cost_uplift, is_group_of_its_own
from fenzhi.rules.catalog.score_derivation import cv_text
from fenzhi.rules.grouping.birth_weight import birth_weight_band
from fenzhi.rules.grouping.catalog_book import CatalogBook
from fenzhi.rules.grouping.group_case import InpatientCase, group_case
from fenzhi.rules.grouping.grouping_method import GroupingMethod
from fenzhi.rules.scoring.age_adjustment import elderly_score, paediatric_score
from fenzhi.rules.scoring.blank_group import blank_group_score
from fenzhi.rules.scoring.incomplete_stay import stay_points
from fenzhi.rules.scoring.payment_standard_outliers import StandardLines, standard_outlier


def _catalog_related_uplift(given: Names, policy: Names) -> Mapping[str, Result]:
    """Related procedures as a group of their own: given `mean_base`, `mean_with`; policy `limit`."""
    base, with_related = Fraction(given.fen("mean_base")), Fraction(given.fen("mean_with"))
    limit = policy.number("limit", national_values().text("catalog.related_uplift"))
    return {
        "uplift_percent": cost_uplift(with_related, base) * 100,
        "separate_group": _flag(is_group_of_its_own(with_related, base, limit)),
    }


def _catalog_layers(given: Names, policy: Names) -> Mapping[str, Result]:
    """Groups by layer: given `ranges` of first and last sequence number, or `parts`; `stated` total."""
    if given.has("ranges"):
        ranges = {name: _pair(given_range) for name, given_range in given.groups("ranges").items()}
        parts = layer_counts(ranges)
    else:
        parts = {name: int(count) for name, count in given.number_map("parts").items()}
    result: dict[str, Result] = {
        "layers": {name: Fraction(n) for name, n in parts.items()},
        "total": Fraction(sum(parts.values())),
    }
    if given.has("stated"):
        result["disagreement"] = Fraction(disagreement(given.integer("stated"), parts))
    if given.has("before"):
        result["fewer"] = Fraction(given.integer("before") - sum(parts.values()))
    return result


def _catalog_ungrouped(given: Names, policy: Names) -> Mapping[str, Result]:
    """Share outside any group: given `cases`, `ungrouped`."""
    return {"share_percent": Fraction(given.integer("ungrouped"), given.integer("cases")) * 100}


def _catalog_variation(given: Names, policy: Names) -> Mapping[str, Result]:
    """Coefficient of variation: given `costs`; policy `deviation` [population], shown with four places."""
    costs = [int(cost * 100) for cost in given.numbers("costs")]
    one = SetSum("", (), {0: (sum(costs), len(costs))}, sum(cost * cost for cost in costs))
    found = group_by_set(one, Fraction(1), SetMethod(1, 0, deviation=Deviation(policy.text("deviation", "population"))))
    return {
        "cv": "none" if found.cv_squared is None else Fraction(Decimal(cv_text(found.cv_squared))),
        "mean": found.mean_fen / 100,
    }


def _catalog_auxiliary_gate(given: Names, policy: Names) -> Mapping[str, Result]:
    """Gate of a subtype: given `group_cases`, `subtype_cases`, `cv_before`, `cv_after`; policy the four limits."""
    gate = AuxiliaryGate(
        policy.integer("group_cases"),
        policy.integer("subtype_cases"),
        policy.number("cv_above"),
        policy.number("least_reduction"),
    )
    before, after = given.number("cv_before"), given.number("cv_after")
    outcome = judge_gate(gate, given.integer("group_cases"), given.integer("subtype_cases"), before**2, after**2)
    return {
        "reduction_percent": (before - after) / before * 100,
        "passes": _flag(outcome.passed),
        "cv_above": _flag(outcome.cv_above),
        "reduction": _flag(outcome.reduction),
    }


def _scoring_auxiliary(given: Names, policy: Names) -> Mapping[str, Result]:
    """The highest trigger alone: given `score`, `group_mean`, `subtype_means` by name, `hospital_coefficient` [1]."""
    mean = Fraction(given.fen("group_mean"))
    triggers = {name: trigger(Fraction(fen), mean) for name, fen in given.fen_map("subtype_means").items()}
    found = highest_trigger(triggers)
    name, coefficient = found if found is not None else ("none", Fraction(1))
    score = given.number("score") * given.number("hospital_coefficient", "1") * coefficient
    return {"triggers": triggers, "subtype": name, "coefficient": coefficient, "case_score": score}


def _grouping_birth_weight(given: Names, policy: Names) -> Mapping[str, Result]:
    """Weight band of a newborn: given `principal`, `age_days`, `weight_g`; policy `bands` as low-high, `prefix`, `below_days`."""
    bands = [_band(text) for text in policy.texts("bands")]
    found = birth_weight_band(
        given.text("principal"),
        given.integer("age_days"),
        given.integer("weight_g"),
        bands,
        prefix=policy.text("prefix"),
        below_days=policy.integer("below_days"),
    )
    return {"band": "none" if found is None else f"{found[0]}-{found[1]}"}


def _grouping_core(given: Names, policy: Names) -> Mapping[str, Result]:
    """The group of a case: given `groups` of `code`, `diagnosis`, `main`, `related`; `principal`, `procedures`."""
    groups: list[DiseaseGroup] = []
    for row in given.rows("groups"):
        key = row.text("diagnosis")
        groups.append(
            DiseaseGroup(
                row.text("code"),
                key,
                granularity_of(key) or Granularity.FULL,
                Decimal(1),
                parse_conjunction(row.text("main", "")),
                parse_conjunction(row.text("related", "")),
            )
        )
        row.finish()
    principal = given.text("principal")
    edition = Edition("golden", 1000, 0, tuple(groups), CodeTables({principal: False}, {}), date(2025, 1, 1))
    outcome = group_case(
        InpatientCase("golden", principal, tuple(given.texts("procedures", []))), CatalogBook(edition), GroupingMethod()
    )
    return {"group": outcome.group.group_code if outcome.group else "none", "reason": outcome.reason.value}


def _scoring_blank_group(given: Names, policy: Names) -> Mapping[str, Result]:
    """A case of no group: given `score`, `cost`, `mean_cost`; policy `discount`."""
    mean = Fraction(given.fen("mean_cost"))
    return {"case_score": blank_group_score(given.number("score"), given.fen("cost"), mean, policy.number("discount"))}


def _scoring_payment_standard(given: Names, policy: Names) -> Mapping[str, Result]:
    """A case against its payment standard: given `score`, `adjustment` [1], `point_value`, `cost`; policy the three lines."""
    lines = StandardLines(policy.number("low_ratio"), policy.number("high_ratio"), policy.number("extreme_ratio"))
    price = given.number("point_value")
    found = standard_outlier(given.number("score"), given.number("adjustment", "1"), price, given.number("cost"), lines)
    return {
        "ratio": found.ratio,
        "band": found.band.value,
        "case_score": found.case_score,
        "amount": found.case_score * price,
        "reviewable": _flag(found.reviewable),
    }


def _scoring_age(given: Names, policy: Names) -> Mapping[str, Result]:
    """Age coefficient or paediatric bonus within its range: given `score`, `coefficient` or `bonus`; policy `low`, `high`."""
    score, allowed = given.number("score"), (policy.number("low"), policy.number("high"))
    if given.has("bonus"):
        return {"case_score": paediatric_score(score, given.number("bonus"), allowed)}
    return {"case_score": elderly_score(score, given.number("coefficient"), allowed)}


def _scoring_incomplete_stay(given: Names, policy: Names) -> Mapping[str, Result]:
    """Points of a stay: given `group_mean`, `area_mean`, `coefficient` [1], `incomplete_cost` where incomplete; policy `scale`."""
    cost = given.number("incomplete_cost") if given.has("incomplete_cost") else None
    points = stay_points(
        given.number("group_mean"),
        given.number("area_mean"),
        policy.integer("scale"),
        given.number("coefficient", "1"),
        cost,
    )
    return {"points": points}


CATALOG_RULES: Mapping[str, Callable[[Names, Names], Mapping[str, Result]]] = {
    "catalog.related_uplift": _catalog_related_uplift,
    "catalog.layers": _catalog_layers,
    "catalog.ungrouped": _catalog_ungrouped,
    "catalog.variation": _catalog_variation,
    "catalog.auxiliary_gate": _catalog_auxiliary_gate,
    "grouping.core": _grouping_core,
    "grouping.birth_weight": _grouping_birth_weight,
    "scoring.auxiliary": _scoring_auxiliary,
    "scoring.blank_group": _scoring_blank_group,
    "scoring.payment_standard": _scoring_payment_standard,
    "scoring.age": _scoring_age,
    "scoring.incomplete_stay": _scoring_incomplete_stay,
}


def _flag(value: bool) -> str:
    return "true" if value else "false"


def _pair(given: Names) -> tuple[int, int]:
    pair = given.integer("first"), given.integer("last")
    given.finish()
    return pair


def _band(text: str) -> tuple[int, int]:
    low, dash, high = text.partition("-")
    if not dash or not low.isdecimal() or not high.isdecimal():
        raise ValueError(f"policy.bands: a band is low-high in grams, not {text!r}")
    return int(low), int(high)

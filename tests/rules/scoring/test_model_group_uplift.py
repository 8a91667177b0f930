"""The uplift of model groups: its list, its days, its cap, and what it yields to."""

from __future__ import annotations

from datetime import date
from decimal import Decimal
from fractions import Fraction

import pytest

from fenzhi.rules.catalog.disease_group import DiseaseGroup, Granularity
from fenzhi.rules.policy.fields import Layer, PolicyDocument, PolicyValue, Standing, read_content
from fenzhi.rules.policy.resolved import ResolvedPolicy, resolve
from fenzhi.rules.refusals import DataRefused
from fenzhi.rules.scoring.auxiliary_choice import CaseFacts
from fenzhi.rules.scoring.case_adjustment import case_adjustment
from fenzhi.services.scoring.adjusting import adjustment_rules_of
from fenzhi.store.policy_files import national_policy

DAY = date(2026, 7, 1)
MODEL = DiseaseGroup("M1", "I63.9", Granularity.SUBCATEGORY, Decimal(1000))
PLAIN = DiseaseGroup("P1", "J18.9", Granularity.SUBCATEGORY, Decimal(500))
ROWS = [{"group_code": "M1", "coefficient": "1.1", "first": "2026-01-01", "last": "2026-12-31"}]
CHOICES: dict[str, object] = {
    "scoring.model_groups": ROWS,
    "scoring.model_group_cap": "1.1",
    "scoring.tcm_groups": ["M1"],
    "scoring.tcm_threshold": "0.5",
    "scoring.tcm_bonus": "0.05",
    "scoring.age_factors": [{"name": "儿童", "kind": "child", "age_days": "0-2190", "value": "0.2"}],
    "scoring.child_bonus_range": ["0.1", "0.3"],
    "scoring.new_technologies": [{"procedure": "36.0600", "points": "30", "first": "2026-01-01", "last": "2026-12-31"}],
}


def policy_of(**changes: object) -> ResolvedPolicy:
    document = PolicyDocument("示范病种名单〔2026〕1号", standing=Standing.CONSTRUCTED)
    given = CHOICES | {key.replace("__", "."): value for key, value in changes.items()}
    national = national_policy()
    values = []
    for key, value in given.items():
        content, faults = read_content(national.field(key), value)  # type: ignore[arg-type]
        assert faults == ()
        values.append(PolicyValue(key, Layer.AREA, date(2020, 1, 1), content, document))
    return resolve(national.fields, [*national.values, *values], DAY)


@pytest.mark.parametrize(
    ("group", "day", "facts", "multiplier"),
    [
        (MODEL, date(2026, 1, 1), CaseFacts(), "11/10"),
        (MODEL, date(2026, 12, 31), CaseFacts(), "11/10"),
        (MODEL, date(2025, 12, 31), CaseFacts(), "1"),
        (MODEL, date(2027, 1, 1), CaseFacts(), "1"),
        (MODEL, None, CaseFacts(), "1"),
        (PLAIN, DAY, CaseFacts(), "1"),
        (MODEL, DAY, CaseFacts(tcm_fen=49), "11/10"),
        (MODEL, DAY, CaseFacts(tcm_fen=50), "21/20"),
        (MODEL, DAY, CaseFacts(age_days=2190), "6/5"),
        (MODEL, DAY, CaseFacts(procedures=("36.0600",)), "1"),
    ],
)
def test_its_days_and_what_it_yields_to(
    group: DiseaseGroup, day: date | None, facts: CaseFacts, multiplier: str
) -> None:
    rules = adjustment_rules_of(policy_of(), ())
    assert case_adjustment(group, facts, 100, day, rules).multiplier == Fraction(multiplier)


def test_a_policy_may_let_it_stack() -> None:
    rules = adjustment_rules_of(policy_of(scoring__model_group_stacking="multiplied"), ())
    facts = CaseFacts(age_days=10, tcm_fen=90, procedures=("36.0600",))
    found = case_adjustment(MODEL, facts, 100, DAY, rules)
    assert (found.multiplier, found.bonus) == (Fraction(6, 5) * Fraction(21, 20) * Fraction(11, 10), Decimal(30))
    (step,) = [one for one in found.steps if one.rule == "scoring.uplift"]
    assert dict(step.values) == {"coefficient": "1.1", "until": "2026-12-31"}
    alone = adjustment_rules_of(policy_of(), ())
    (step,) = [one for one in case_adjustment(MODEL, facts, 100, DAY, alone).steps if one.rule == "scoring.uplift"]
    assert dict(step.values)["yields_to"] == "scoring.age scoring.tcm_bonus scoring.new_technology"


@pytest.mark.parametrize("coefficient", ["1.11", "0", "-1.1", "x"])
def test_a_coefficient_above_the_cap_or_not_above_zero_is_refused(coefficient: str) -> None:
    rows = [ROWS[0] | {"coefficient": coefficient}]
    with pytest.raises(DataRefused) as refused:
        adjustment_rules_of(policy_of(scoring__model_groups=rows), ())
    assert [(one.code, one.where) for one in refused.value.refusals] == [("POLICY_ROW", "scoring.model_groups row 1")]

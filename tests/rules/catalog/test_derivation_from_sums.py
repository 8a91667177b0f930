"""A catalog built from sums of equal cases is the catalog built case by case."""

from __future__ import annotations

import random
from collections import Counter
from fractions import Fraction

import pytest

from fenzhi.rules.catalog.derivation_from_sums import HistorySum, derive_from_sums
from fenzhi.rules.catalog.disease_group import ProcedureClass
from fenzhi.rules.catalog.edition import CodeTables, ProcedureEntry
from fenzhi.rules.catalog.score_derivation import (
    DerivationMethod,
    HistoryCase,
    SetAside,
    WeightingBasis,
    derive_catalog,
)

TABLES = CodeTables(
    {"A01.000": False, "A01.001": False, "A01.100": False, "B02.000": True, "C15.100": False},
    {
        "39.9500": ProcedureEntry(ProcedureClass.THERAPEUTIC),
        "45.1300": ProcedureEntry(ProcedureClass.DIAGNOSTIC),
        "47.0100": ProcedureEntry(ProcedureClass.SURGICAL),
        "99.9900": ProcedureEntry(None),
    },
)


def summed(history: list[HistoryCase], split: int) -> list[HistorySum]:
    """Sums of equal cases; `split` makes the same combination arrive in several parts, as from several areas."""
    parts: dict[tuple[object, ...], list[HistoryCase]] = {}
    for i, case in enumerate(history):
        parts.setdefault((case.principal_diagnosis, case.procedures, case.year, i % split), []).append(case)
    found = []
    for (diagnosis, procedures, year, _), cases in parts.items():
        positive = [case.cost_fen for case in cases if case.cost_fen > 0]
        assert isinstance(diagnosis, str) and isinstance(procedures, tuple) and isinstance(year, int)
        found.append(
            HistorySum(
                diagnosis,
                procedures,
                year,
                len(cases),
                sum(positive),
                sum(cost**2 for cost in positive),
                len(cases) - len(positive),
            )
        )
    return found


@pytest.mark.parametrize("seed", [1, 2, 3])
@pytest.mark.parametrize("basis", list(WeightingBasis))
@pytest.mark.parametrize("uplift", [None, Fraction(1, 10), Fraction(100)])
def test_sums_build_what_cases_build(seed: int, basis: WeightingBasis, uplift: Fraction | None) -> None:
    draw = random.Random(seed)
    diagnoses = [*TABLES.diagnoses, "Z99.999"]
    codes = list(TABLES.procedures)
    history = [
        HistoryCase(
            str(i),
            draw.choice([2021, 2022, 2023, 2024]),
            draw.choice(diagnoses),
            tuple(draw.sample(codes, draw.choice([0, 0, 1, 1, 2]))),
            draw.choice([0, -5, 1]) if draw.random() < 0.05 else draw.randint(50_000, 4_000_000),
        )
        for i in range(600)
    ]
    method = DerivationMethod(
        {2022: 1, 2023: 2, 2024: 7}, 1000, 2, core_threshold=15, comprehensive_threshold=3, basis=basis,
        related_uplift=uplift, comprehensive_cv_limit=Fraction(7, 10) if uplift else None,
    )  # fmt: skip
    by_case = derive_catalog(history, TABLES, method)
    by_sum = derive_from_sums(summed(history, split=3), TABLES, method)
    assert by_sum.groups == by_case.groups
    assert by_sum.overall_mean_fen == by_case.overall_mean_fen
    assert dict(by_sum.set_aside) == dict(by_case.set_aside_counts)
    assert by_sum.used == len(by_case.assigned)
    of_case = {case.case_id: case for case in history}
    expected = {
        (of_case[case_id].principal_diagnosis, of_case[case_id].procedures): code
        for case_id, code in by_case.assigned.items()
    }
    assert by_sum.assigned == expected


def test_the_whole_history_is_accounted_for() -> None:
    sums = [
        HistorySum("A01.000", (), 2024, 16, 1_600_000, 16 * 100_000**2, 0),
        HistorySum("B02.000", (), 2024, 2, 10, 50, 0),
        HistorySum("A01.000", ("99.9900",), 2024, 3, 300, 30_000, 1),
        HistorySum("A01.000", (), 2019, 5, 500, 50_000, 2),
    ]
    built = derive_from_sums(sums, TABLES, DerivationMethod({2024: 7}, 1000, 2))
    assert Counter(built.set_aside) == {
        SetAside.PRINCIPAL_DIAGNOSIS_GRAY: 2,
        SetAside.PROCEDURE_CLASS_UNKNOWN: 2,
        SetAside.COST_NOT_POSITIVE: 3,
        SetAside.YEAR_WITHOUT_WEIGHT: 3,
    }
    assert built.used + sum(built.set_aside.values()) == sum(one.n for one in sums)
    assert [(one.group.group_code, str(one.group.score)) for one in built.groups] == [("A01.0", "1000.00")]

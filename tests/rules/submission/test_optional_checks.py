"""Rules an area may switch on: off they say nothing, on they say exactly what their table says."""

from __future__ import annotations

import datetime as dt
from dataclasses import replace
from typing import Any

import pytest

from fenzhi.rules.submission.case_checks import check_list
from fenzhi.rules.submission.evidence_checks import EVIDENCE_CODES
from fenzhi.rules.submission.optional_checks import OPTIONAL_CODES, OptionalChecks
from fenzhi.rules.submission.settlement_list import ChargeItem, Diagnosis
from fenzhi.rules.submission.verdict import Severity
from rules.submission.lists import BOOK, SOUND

ON = OptionalChecks(
    {code: Severity.WARNING for code in OPTIONAL_CODES} | {"SEX_DIAGNOSIS_MISMATCH": Severity.ERROR},
    {"N4": "1", "O": "2", "N40.0": "2"},
    {"P": (0, 28), "I63": (6570, 54750)},
    2,
)
"""Tables of our own writing, for this test (构造)."""
ONLY_SURGERY = (ChargeItem("06", 706800), ChargeItem("14", 2000000))


def found(asked: OptionalChecks, **changes: Any) -> list[tuple[str, str, str]]:
    book = replace(BOOK, policy=replace(BOOK.policy, optional=asked))
    return [
        (one.code, one.where, one.severity.value)
        for one in check_list(SOUND._replace(**changes), book)
        if one.code in OPTIONAL_CODES
    ]


CASES: list[tuple[dict[str, Any], list[tuple[str, str, str]]]] = [
    ({}, []),
    (
        {"diagnoses": (Diagnosis("O80.000", None, True),)},
        [("SEX_DIAGNOSIS_MISMATCH", "diseinfo[0].diag_code", "error")],
    ),
    ({"diagnoses": (Diagnosis("N41.000", None, True),)}, []),
    # The longest beginning decides.
    (
        {"diagnoses": (Diagnosis("N40.000", None, True),)},
        [("SEX_DIAGNOSIS_MISMATCH", "diseinfo[0].diag_code", "error")],
    ),
    ({"diagnoses": (Diagnosis("O80.000", None, True),), "sex": "9"}, []),
    (
        {"diagnoses": (Diagnosis("P07.000", None, True),), "birth_date": dt.date(2024, 12, 5)},
        [
            ("AGE_DIAGNOSIS_MISMATCH", "diseinfo[0].diag_code", "warning"),
            ("NEWBORN_DIAGNOSIS_AGE", "diseinfo[0].diag_code", "warning"),
        ],
    ),
    ({"diagnoses": (Diagnosis("P07.000", None, True),), "birth_date": dt.date(2024, 12, 6)}, []),
    ({"items": ONLY_SURGERY}, []),
    ({"items": ONLY_SURGERY, "procedures": ()}, [("SURGERY_CHARGE_WITHOUT_PROCEDURE", "oprninfo", "warning")]),
    ({"items": (ChargeItem("09", 2706800),)}, [("ONLY_DRUGS_CHARGED", "iteminfo", "warning")]),
    (
        {"procedures": (), "admission_date": dt.date(2025, 1, 8)},
        [("SHORT_STAY_WITHOUT_PROCEDURE", "dscg_time", "warning")],
    ),
    ({"procedures": (), "admission_date": dt.date(2025, 1, 7)}, []),
]


@pytest.mark.parametrize(("changes", "expected"), CASES)
def test_each_rule_says_what_its_table_says(changes: dict[str, Any], expected: list[tuple[str, str, str]]) -> None:
    assert found(ON, **changes) == expected
    assert found(OptionalChecks(sex_of=ON.sex_of, ages_of=ON.ages_of, short_stay_days=9), **changes) == []


def test_every_optional_rule_is_tried_above() -> None:
    assert {code for _, expected in CASES for code, _, _ in expected} == OPTIONAL_CODES - EVIDENCE_CODES

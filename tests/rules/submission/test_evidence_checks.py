"""One part of a list against another: what each table says, and "cannot judge" in so many words where something is missing."""

from __future__ import annotations

import datetime as dt
from dataclasses import replace
from typing import Any

import pytest

from fenzhi.rules.submission.case_checks import check_list
from fenzhi.rules.submission.case_facts import list_digest
from fenzhi.rules.submission.evidence_checks import EVIDENCE_CODES, FREEZING_CODES, EvidenceTables, cost_band
from fenzhi.rules.submission.optional_checks import OptionalChecks
from fenzhi.rules.submission.settlement_list import ChargeItem, Diagnosis, Procedure
from fenzhi.rules.submission.verdict import Severity
from fenzhi.rules.submission.verdict_texts import VERDICT_TEXTS
from rules.submission.lists import BOOK, SOUND

TABLES = EvidenceTables(
    diagnoses_of_procedure={"88.41": ("I63", "I67"), "36.06": ("I21", "I25")},
    cost_of_diagnosis={"I63": (100_000, 2_706_800), "I63.5": (1, 2)},
    charged_procedures=frozenset({"36.06", "01.24"}),
    complication_of_diagnosis={"I10": "CC", "J96": "MCC"},
    anaesthesia_of_procedure={"36.06": frozenset({"1", "4"}), "88.41": frozenset({"9"})},
)
"""Tables of our own writing, for this test (构造)."""
ALL = dict.fromkeys(EVIDENCE_CODES, Severity.WARNING)


def found(tables: EvidenceTables, on: dict[str, Severity] = ALL, **changes: Any) -> list[tuple[str, str]]:
    book = replace(BOOK, policy=replace(BOOK.policy, optional=OptionalChecks(on, evidence=tables)))
    return [
        (one.code, one.where)
        for one in check_list(SOUND._replace(**changes), book)
        if one.code in EVIDENCE_CODES | {"CHECK_NOT_JUDGED"}
    ]


def operation(code: str, way: str | None = None) -> tuple[Procedure, ...]:
    return (Procedure(code, None, True, dt.date(2025, 1, 4), way),)


OPERATED = {"procedures": operation("36.0600", "1"), "items": (ChargeItem("06", 100), ChargeItem("14", 2_706_700))}
HEART = (Diagnosis("I21.900", None, True), Diagnosis("I10.x00x002", None, False))
CASES: list[tuple[str, dict[str, Any], list[tuple[str, str]]]] = [
    ("nothing to say", {"procedures": operation("88.4101", "9")}, []),
    ("the right diagnosis is there", OPERATED | {"diagnoses": HEART}, []),
    (
        "no diagnosis it goes with",
        OPERATED,
        [("DIAGNOSIS_PROCEDURE_MISMATCH", "oprninfo[0].oprn_oprt_code")],
    ),
    ("on the edge of the band", {"procedures": (), "total_fen": 2_706_800}, []),
    ("above the band", {"procedures": (), "total_fen": 2_706_801}, [("DIAGNOSIS_COST_MISMATCH", "medfee_sumamt")]),
    ("below the band", {"procedures": (), "total_fen": 99_999}, [("DIAGNOSIS_COST_MISMATCH", "medfee_sumamt")]),
    (
        "the longest beginning decides",
        {"procedures": (), "diagnoses": (Diagnosis("I63.500", None, True),)},
        [("DIAGNOSIS_COST_MISMATCH", "medfee_sumamt")],
    ),
    (
        "no surgery charge",
        OPERATED | {"diagnoses": HEART, "items": (ChargeItem("14", 2_706_800),)},
        [("PROCEDURE_WITHOUT_SURGERY_CHARGE", "oprninfo[0].oprn_oprt_code")],
    ),
    (
        "a surgery charge taken back",
        OPERATED | {"diagnoses": HEART, "items": (ChargeItem("06", 100), ChargeItem("06", -100))},
        [("PROCEDURE_WITHOUT_SURGERY_CHARGE", "oprninfo[0].oprn_oprt_code")],
    ),
    (
        "no charges at all cannot be judged",
        OPERATED | {"diagnoses": HEART, "items": None},
        [("CHECK_NOT_JUDGED", "iteminfo")],
    ),
    ("a complication that is there", {"procedures": (), "complication_mark": "CC"}, []),
    (
        "a graver one than is there",
        {"procedures": (), "complication_mark": "MCC"},
        [("COMPLICATION_WITHOUT_DIAGNOSIS", "ccmcc_flag")],
    ),
    (
        "the principal diagnosis is no complication",
        {"procedures": (), "complication_mark": "MCC", "diagnoses": (Diagnosis("J96.900", None, True),)},
        [("COMPLICATION_WITHOUT_DIAGNOSIS", "ccmcc_flag")],
    ),
    ("no mark", {"procedures": (), "complication_mark": "0"}, []),
    (
        "an anaesthesia it is not done under",
        {"procedures": operation("88.4101", "2")},
        [("PROCEDURE_ANAESTHESIA_MISMATCH", "oprninfo[0].anst_way")],
    ),
    (
        "no anaesthesia stated cannot be judged",
        {"procedures": operation("88.4101")},
        [("CHECK_NOT_JUDGED", "oprninfo[0].anst_way")],
    ),
    ("as long as the stay", {"procedures": (), "ventilator_duration": "7/0/0"}, []),
    (
        "longer than the stay",
        {"procedures": (), "ventilator_duration": "7/0/1", "icu_durations": ("0/23/59", "8/0/0", None)},
        [("DURATION_BEYOND_STAY", "vent_used_dura"), ("DURATION_BEYOND_STAY", "icuinfo[1].scs_cutd_sum_dura")],
    ),
    (
        "hours beyond a day, a colon, full-width digits",
        {"procedures": (), "ventilator_duration": "0/24/0", "icu_durations": ("13:24", "１/0/0")},
        [
            ("DURATION_UNREADABLE", "vent_used_dura"),
            ("DURATION_UNREADABLE", "icuinfo[0].scs_cutd_sum_dura"),
            ("DURATION_UNREADABLE", "icuinfo[1].scs_cutd_sum_dura"),
        ],
    ),
    (
        "a stay without its end cannot be judged",
        {"procedures": (), "discharge_date": None, "ventilator_duration": "1/0/0"},
        [("CHECK_NOT_JUDGED", "vent_used_dura")],
    ),
]


@pytest.mark.parametrize(("changes", "expected"), [case[1:] for case in CASES], ids=[case[0] for case in CASES])
def test_each_rule_says_what_its_table_says(changes: dict[str, Any], expected: list[tuple[str, str]]) -> None:
    assert found(TABLES, **changes) == expected
    assert found(TABLES, {}, **changes) == []


def test_every_rule_is_tried_above() -> None:
    assert {code for _, _, expected in CASES for code, _ in expected} == EVIDENCE_CODES | {"CHECK_NOT_JUDGED"}


def test_a_rule_without_its_table_cannot_judge_and_neither_passes_nor_refuses() -> None:
    assert found(EvidenceTables(), complication_mark="CC") == [
        ("CHECK_NOT_JUDGED", "oprninfo"),
        ("CHECK_NOT_JUDGED", "medfee_sumamt"),
        ("CHECK_NOT_JUDGED", "oprninfo"),
        ("CHECK_NOT_JUDGED", "ccmcc_flag"),
        ("CHECK_NOT_JUDGED", "oprninfo"),
    ]
    assert not VERDICT_TEXTS["CHECK_NOT_JUDGED"].judged
    assert found(EvidenceTables(), procedures=(), diagnoses=None) == []


def test_severity_is_the_policys() -> None:
    on = {"DIAGNOSIS_COST_MISMATCH": Severity.ERROR}
    book = replace(BOOK, policy=replace(BOOK.policy, optional=OptionalChecks(on, evidence=TABLES)))
    findings = check_list(SOUND._replace(total_fen=1), book)
    assert [one.severity.value for one in findings if one.code == "DIAGNOSIS_COST_MISMATCH"] == ["error"]


def test_bands_are_yuan_and_codes_that_freeze_have_a_rule_of_their_own() -> None:
    assert cost_band("0-0.01") == (0, 1)
    assert cost_band("-5-10") is None and cost_band("5") is None and cost_band("1e3-2") is None
    rules = {VERDICT_TEXTS[code].rule for code in FREEZING_CODES}
    assert {code for code, text in VERDICT_TEXTS.items() if text.rule in rules} == FREEZING_CODES


def test_what_is_only_checked_does_not_change_what_is_settled() -> None:
    marked = SOUND._replace(
        ventilator_duration="1/0/0",
        complication_mark="CC",
        procedures=tuple(row._replace(anaesthesia="1") for row in SOUND.procedures),
    )
    assert list_digest(marked) == list_digest(SOUND)

from __future__ import annotations

import datetime as dt
from dataclasses import replace
from typing import Any

import pytest

from fenzhi.rules.submission.case_checks import CASE_FIELDS, check_list, judge_list
from fenzhi.rules.submission.check_policy import AgeReckoning, CodeEdition, LatenessReckoning
from fenzhi.rules.submission.settlement_list import ChargeItem, Diagnosis, FundPayment, Procedure
from fenzhi.rules.submission.verdict import Dimension, Severity, deciding
from fenzhi.rules.submission.verdict_texts import refusal
from rules.submission.lists import BOOK, CODES, POLICY, SOUND

DAY = dt.date


def codes(given=SOUND, book=BOOK, **known: int) -> list[tuple[str, str]]:
    return [(finding.code, finding.where) for finding in check_list(given, book, **known)]


def test_a_sound_list_has_no_finding():
    assert check_list(SOUND, BOOK) == ()


@pytest.mark.parametrize(
    ("change", "expected"),
    [
        ({"seg_no": 2}, [("CONTINUATION_SEGMENT", "seg_no")]),
        ({"hospital_code": "H99010100002"}, [("ANOTHER_HOSPITALS_LIST", "fixmedins_code")]),
        ({"insurance_type": "999"}, [("UNKNOWN_INSURANCE_TYPE", "insutype")]),
        ({"insurance_type": "390"}, [("NO_AGREEMENT", "insutype")]),
        ({"setl_id": None}, [("REQUIRED_FIELD_MISSING", "setl_id")]),
        ({"person_no": None}, [("REQUIRED_FIELD_MISSING", "psn_no")]),
        ({"person_no": " "}, [("REQUIRED_FIELD_MISSING", "psn_no")]),
        ({"settlement_end_date": None}, [("REQUIRED_FIELD_MISSING", "setl_end_date")]),
        ({"total_fen": None}, [("REQUIRED_FIELD_MISSING", "medfee_sumamt")]),
        ({"total_fen": None, "unread": frozenset({"medfee_sumamt"})}, []),
        ({"diagnoses": ()}, [("REQUIRED_FIELD_MISSING", "diseinfo")]),
        ({"diagnoses": None, "unread": frozenset({"diseinfo"})}, []),
        ({"fund_payments": None}, [("REQUIRED_FIELD_MISSING", "payinfo")]),
        ({"age_years": None}, [("AGE_MISSING", "age")]),
        ({"age_years": None, "unread": frozenset({"age"})}, []),
        ({"age_years": 74}, [("AGE_MISMATCH", "age")]),
        ({"birth_date": DAY(2025, 1, 4)}, [("BIRTH_AFTER_ADMISSION", "brdy")]),
        ({"birth_date": DAY(2025, 1, 1)}, [("AGE_MISSING", "nwb_age")]),
        ({"birth_date": DAY(2025, 1, 1), "age_days_stated": 2}, []),
        ({"birth_date": DAY(2025, 1, 1), "age_days_stated": 3}, [("AGE_MISMATCH", "nwb_age")]),
        (
            {"admission_date": DAY(2025, 1, 10), "procedures": ()},
            [("ADMISSION_AFTER_DISCHARGE", "adm_time")],
        ),
        ({"settlement_end_date": DAY(2025, 1, 8)}, [("DISCHARGE_AFTER_SETTLEMENT", "setl_end_date")]),
        ({"settlement_begin_date": DAY(2025, 1, 10)}, [("SETTLEMENT_DATES_REVERSED", "setl_begn_date")]),
        ({"stay_days_stated": 7}, [("LOS_MISMATCH", "act_ipt_days")]),
        ({"stay_days_stated": None}, []),
        ({"total_fen": 2706801}, [("ITEMS_NOT_TOTAL", "iteminfo"), ("PAYERS_NOT_TOTAL", "medfee_sumamt")]),
        ({"items": ()}, [("ITEMS_ABSENT", "iteminfo")]),
        ({"items": None, "unread": frozenset({"iteminfo"})}, []),
        ({"items": (ChargeItem("14", 2706799),)}, [("ITEMS_NOT_TOTAL", "iteminfo")]),
        ({"items": (ChargeItem("14", None),)}, [("REQUIRED_FIELD_MISSING", "iteminfo[0].amt")]),
        ({"cash_fen": 549999}, [("PAYERS_NOT_TOTAL", "medfee_sumamt")]),
        ({"cash_fen": -1, "account_fen": 606801}, [("NEGATIVE_PAYER", "psn_cashpay")]),
        (
            {"fund_payments": (FundPayment("310100", -100), FundPayment("330100", 2100100))},
            [("NEGATIVE_PAYER", "payinfo[0].fund_payamt")],
        ),
        (
            {"fund_payments": (FundPayment(None, 2100000),)},
            [("REQUIRED_FIELD_MISSING", "payinfo[0].fund_pay_type")],
        ),
        (
            {"fund_payments": (FundPayment("310100", None),), "unread": frozenset({"payinfo[0].fund_payamt"})},
            [],
        ),
        ({"diagnosis_count_stated": 3}, [("DIAGNOSIS_COUNT_MISMATCH", "diag_code_cnt")]),
        ({"diagnosis_count_stated": 2, "procedure_count_stated": 2}, []),
        ({"procedure_count_stated": 1}, [("PROCEDURE_COUNT_MISMATCH", "oprn_oprt_code_cnt")]),
    ],
)
def test_each_rule_names_its_fault_and_no_other(change: dict[str, Any], expected: list[tuple[str, str]]):
    assert codes(SOUND._replace(**change)) == expected


def diagnosed(*rows: Diagnosis):
    return SOUND._replace(diagnoses=rows)


SECOND = Diagnosis("I10.x00x002", None, False, "1")


@pytest.mark.parametrize(
    ("rows", "expected"),
    [
        ([Diagnosis("99859", None, True), SECOND], [("UNKNOWN_PRINCIPAL_DIAGNOSIS", "diseinfo[0].diag_code")]),
        (
            [Diagnosis("I63.900", None, True), Diagnosis("X", None, False)],
            [("UNKNOWN_DIAGNOSIS", "diseinfo[1].diag_code")],
        ),
        ([Diagnosis("I64.x00", None, True)], [("GRAY_PRINCIPAL_DIAGNOSIS", "diseinfo[0].diag_code")]),
        (
            [Diagnosis("I63.900", None, True), Diagnosis("I64.x00", None, False)],
            [("GRAY_DIAGNOSIS", "diseinfo[1].diag_code")],
        ),
        ([SECOND], [("NO_PRINCIPAL_DIAGNOSIS", "diseinfo")]),
        ([Diagnosis("I63.900", None, None)], [("NO_PRINCIPAL_DIAGNOSIS", "diseinfo")]),
        (
            [Diagnosis("I63.900", None, True), Diagnosis("I10.x00x002", None, True)],
            [("SEVERAL_PRINCIPAL_DIAGNOSES", "diseinfo")],
        ),
        (
            [Diagnosis("I63.900", None, True, "4")],
            [("PRINCIPAL_NOT_PRESENT_ON_ADMISSION", "diseinfo[0].adm_cond_type")],
        ),
        ([Diagnosis("I63.900", None, True), SECOND, SECOND], [("REPEATED_DIAGNOSIS", "diseinfo[2].diag_code")]),
        ([Diagnosis(None, None, True)], [("REQUIRED_FIELD_MISSING", "diseinfo[0].diag_code")]),
    ],
)
def test_diagnoses(rows: list[Diagnosis], expected: list[tuple[str, str]]):
    assert codes(diagnosed(*rows)) == expected


@pytest.mark.parametrize(
    ("rows", "expected"),
    [
        ([], []),
        ([Procedure("00.0000", None, True)], [("UNKNOWN_PROCEDURE", "oprninfo[0].oprn_oprt_code")]),
        ([Procedure("99.9900", None, True)], [("GRAY_PROCEDURE", "oprninfo[0].oprn_oprt_code")]),
        ([Procedure("88.4101", None, None)], [("NO_MAIN_PROCEDURE", "oprninfo")]),
        (
            [Procedure("88.4101", None, True), Procedure("99.1000", None, True)],
            [("SEVERAL_MAIN_PROCEDURES", "oprninfo")],
        ),
        (
            [Procedure("88.4101", None, True, DAY(2025, 1, 2))],
            [("PROCEDURE_OUTSIDE_STAY", "oprninfo[0].oprn_oprt_begntime")],
        ),
        ([Procedure(None, None, True)], [("REQUIRED_FIELD_MISSING", "oprninfo[0].oprn_oprt_code")]),
    ],
)
def test_procedures(rows: list[Procedure], expected: list[tuple[str, str]]):
    assert codes(SOUND._replace(procedures=tuple(rows))) == expected


def test_an_unread_flag_is_not_called_missing():
    given = SOUND._replace(
        diagnoses=(Diagnosis("I63.900", None, None),),
        procedures=(Procedure("88.4101", None, None),),
        unread=frozenset({"diseinfo[0].maindiag_flag", "oprninfo[0].main_oprn_flag"}),
    )
    assert codes(given) == []


def test_total_at_and_below_zero():
    free = SOUND._replace(total_fen=0, fund_payments=(), account_fen=0, cash_fen=0, items=(ChargeItem("14", 0),))
    assert codes(free) == [("TOTAL_NOT_POSITIVE", "medfee_sumamt")]
    below = free._replace(total_fen=-100, fund_payments=(FundPayment("310100", -100),), items=(ChargeItem("14", -100),))
    assert codes(below) == [("TOTAL_NOT_POSITIVE", "medfee_sumamt"), ("NEGATIVE_PAYER", "payinfo[0].fund_payamt")]
    assert codes(free._replace(total_fen=1, cash_fen=1, items=(ChargeItem("14", 1),))) == []


def test_duplicates_in_the_batch_and_against_stored_lists():
    assert codes(earlier_row=4) == [("DUPLICATE_IN_BATCH", "setl_id")]
    assert codes(stored_version=1) == [("DUPLICATE_LIST", "version")]
    assert codes(stored_version=2) == [("STALE_VERSION", "version")]
    assert codes(SOUND._replace(version=3), stored_version=2) == []
    found = check_list(SOUND, BOOK, earlier_row=4)[0]
    assert found.zh == "结算号 S1 第 1 版已在本批第 4 行出现。"
    assert found.en == "Settlement S1, version 1, already stands in row 4 of this batch."


def test_what_cannot_be_judged_is_said_and_never_passed():
    no_codes = replace(BOOK, codes=(replace(CODES, effective_from=DAY(2025, 1, 10)),))
    assert codes(book=no_codes) == [("CODE_TABLE_NOT_LOADED", "dscg_time")]
    assert codes(book=replace(BOOK, agreements=None)) == [("AGREEMENTS_NOT_LOADED", "fixmedins_code")]
    no_fund = replace(BOOK, policy=replace(POLICY, basic_fund_types={}))
    assert codes(book=no_fund) == [("BASIC_FUND_NOT_CONFIGURED", "insutype")]
    for book in (no_codes, replace(BOOK, agreements=None), no_fund):
        (found,) = check_list(SOUND, book)
        assert (found.judged, found.severity) == (False, Severity.ERROR)


def test_the_code_edition_is_that_of_the_day_of_discharge():
    newer = CodeEdition(DAY(2025, 1, 10), None, {}, {})
    assert codes(book=replace(BOOK, codes=(CODES, newer))) == []
    newer = replace(newer, effective_from=DAY(2025, 1, 9))
    assert {code for code, _ in codes(book=replace(BOOK, codes=(CODES, newer)))} == {
        "UNKNOWN_DIAGNOSIS",
        "UNKNOWN_PRINCIPAL_DIAGNOSIS",
        "UNKNOWN_PROCEDURE",
    }
    ended = replace(CODES, effective_to=DAY(2025, 1, 8))
    assert codes(book=replace(BOOK, codes=(ended,))) == [("CODE_TABLE_NOT_LOADED", "dscg_time")]


def test_agreement_dates_count_on_both_ends():
    (term,) = BOOK.agreements or ()
    for term_dates, expected in [
        ((DAY(2025, 1, 9), DAY(2025, 1, 9)), []),
        ((DAY(2025, 1, 10), None), [("NO_AGREEMENT", "insutype")]),
        ((DAY(2024, 1, 1), DAY(2025, 1, 8)), [("NO_AGREEMENT", "insutype")]),
    ]:
        dated = replace(term, effective_from=term_dates[0], effective_to=term_dates[1])
        assert codes(book=replace(BOOK, agreements=(dated,))) == expected


def test_lateness_is_reckoned_as_policy_says():
    late = replace(BOOK, received_on=DAY(2025, 1, 17))
    (found,) = check_list(SOUND, late)
    assert (found.code, found.severity, found.dimension) == ("LATE_LIST", Severity.WARNING, Dimension.TIMELY)
    assert found.zh == "清单于出院后第 8 天上报，超过规定的 7 天。"
    assert codes(book=replace(BOOK, received_on=DAY(2025, 1, 16))) == []
    declared = replace(late, policy=replace(POLICY, lateness_reckoning=LatenessReckoning.DECLARED))
    assert codes(SOUND._replace(declared_on=DAY(2025, 1, 16)), declared) == []
    assert codes(SOUND, declared) == [("LATE_LIST", "dscg_time")]


def test_a_list_from_the_future_is_refused():
    assert codes(book=replace(BOOK, received_on=DAY(2025, 1, 8))) == [("DISCHARGE_AFTER_RECEIPT", "dscg_time")]


def test_age_may_be_reckoned_at_discharge():
    born = SOUND._replace(birth_date=DAY(1950, 1, 5), age_years=74)
    assert codes(born) == []
    at_discharge = replace(BOOK, policy=replace(POLICY, age_reckoning=AgeReckoning.DISCHARGE))
    assert codes(born, at_discharge) == [("AGE_MISMATCH", "age")]


def test_a_stay_within_one_day_follows_policy():
    short = SOUND._replace(admission_date=DAY(2025, 1, 9), stay_days_stated=1, procedures=())
    assert codes(short) == [("LOS_MISMATCH", "act_ipt_days")]
    lenient = replace(BOOK, policy=replace(POLICY, same_day_stay_days=frozenset({0, 1})))
    assert codes(short, lenient) == []


def test_policy_may_require_more_and_change_the_severity():
    policy = replace(
        POLICY, required_fields=frozenset({"certno"}), severities={"GRAY_PRINCIPAL_DIAGNOSIS": Severity.WARNING}
    )
    book = replace(BOOK, policy=policy)
    given = diagnosed(Diagnosis("I64.x00", None, True))._replace(certificate_no=None)
    findings = check_list(given, book)
    assert [(found.code, found.severity) for found in findings] == [
        ("REQUIRED_FIELD_MISSING", Severity.ERROR),
        ("GRAY_PRINCIPAL_DIAGNOSIS", Severity.WARNING),
    ]


def test_every_fault_of_a_list_comes_at_once_and_the_first_decides():
    empty = SOUND._replace(
        **{**dict.fromkeys(SOUND._fields), "version": 1, "seg_no": 2, "procedures": (), "unread": frozenset()}
    )
    findings = check_list(empty, BOOK)
    assert [found.code for found in findings] == [
        "CONTINUATION_SEGMENT",
        *["REQUIRED_FIELD_MISSING"] * len(CASE_FIELDS),
        "AGE_MISSING",
        "ITEMS_ABSENT",
    ]
    first = deciding(findings)
    assert first is not None and first.code == "CONTINUATION_SEGMENT"
    assert deciding(check_list(SOUND._replace(items=None), BOOK)) is None


def test_faults_of_form_come_before_the_rules():
    fault = refusal("AMOUNT_NOT_TEXT", "acct_pay", "1.5", field="acct_pay", saw="1.5")
    given = SOUND._replace(account_fen=None, unread=frozenset({"acct_pay"}), sex=None)
    findings = judge_list(given, (fault,), BOOK)
    assert [(found.code, found.rule) for found in findings] == [
        ("AMOUNT_NOT_TEXT", "Q00"),
        ("REQUIRED_FIELD_MISSING", "Q01"),
    ]
    assert findings[0].refusal() == fault
    assert [found.code for found in judge_list(None, (fault,), BOOK)] == ["AMOUNT_NOT_TEXT"]

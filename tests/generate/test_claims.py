from __future__ import annotations

import csv
import datetime as dt
import gzip
import json
from collections import Counter
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from fenzhi.cli.claims import (
    REMAINDER_FUND,
    claims_province,
    history,
    hospital_code,
    insurance_type,
    settlement_lists,
)
from fenzhi.cli.synthetic.plan import ProvincePlan
from fenzhi.rules.submission.case_checks import judge_list
from fenzhi.rules.submission.case_facts import case_facts
from fenzhi.rules.submission.verdict import deciding
from fenzhi.services.submission.parse_part import parse_part
from generate.plan_books import plan_books, plan_policy


@pytest.fixture(scope="module")
def folder(shared: Path) -> Path:
    return shared / "data"


@pytest.fixture(scope="module")
def plan(folder: Path) -> ProvincePlan:
    return claims_province(folder)


@pytest.fixture(scope="module")
def lines(folder: Path, plan: ProvincePlan) -> list[tuple[str, bytes]]:
    return list(settlement_lists(folder, plan))


@pytest.fixture(scope="module")
def past(folder: Path) -> list[dict[str, Any]]:
    return list(history(folder))


def test_every_row_of_the_source_becomes_history_or_a_list(past: list[dict[str, Any]], lines: list[tuple[str, bytes]]):
    assert (len(past), len(lines), len(past) + len(lines)) == (45405, 11985, 57390)
    assert Counter(row["year"] for row in past) == {2023: 23504, 2024: 21901}
    ids = {row["case_id"] for row in past} | {json.loads(line)["setl_id"] for _, line in lines}
    assert len(ids) == 57390


def test_the_province_has_sixty_hospitals_in_two_cities_and_four_counties(plan: ProvincePlan):
    assert Counter(hospital.level for hospital in plan.hospitals) == {"tertiary": 12, "secondary": 24, "primary": 24}
    assert len({hospital.code for hospital in plan.hospitals}) == 60
    assert all(len(hospital.code) == 12 for hospital in plan.hospitals)
    assert Counter(hospital.city_code for hospital in plan.hospitals) == {"980100": 30, "980200": 30}
    assert Counter(hospital.county_code for hospital in plan.hospitals) == {
        None: 12,
        "980121": 12,
        "980122": 12,
        "980221": 12,
        "980222": 12,
    }
    counties = {county.code: county.city_code for county in plan.counties}
    assert all(
        hospital.county_code is None or counties[hospital.county_code] == hospital.city_code
        for hospital in plan.hospitals
    )


def test_the_real_code_tables_and_the_excerpt_are_carried(plan: ProvincePlan):
    assert (len(plan.diagnoses), sum(row.is_gray for row in plan.diagnoses)) == (33304, 2828)
    assert (len(plan.procedures), sum(row.is_gray for row in plan.procedures)) == (13686, 2243)
    assert Counter(row.procedure_class for row in plan.procedures) == {
        "surgical": 9474 + 202,
        "therapeutic": 2456,
        "diagnostic": 1554,
    }
    assert len(list(csv.reader(plan.catalog_excerpt.splitlines()))) == 330
    assert plan.codes_document.standing == "constructed"


def test_hospitals_and_patients_are_folded_by_sha256(past: list[dict[str, Any]], lines: list[tuple[str, bytes]]):
    # Worked outside: the SHA-256 of 3900MB leaves 43 modulo 60, that of the patient leaves less than 60 modulo 100.
    assert hospital_code("3900MB") == "H98022200044"
    assert insurance_type("00016F745862898F") == "310"
    assert len({row["fixmedins_code"] for row in past}) == 60
    assert {hospital for hospital, _ in lines} <= {row["fixmedins_code"] for row in past}
    shares = Counter(row["insutype"] for row in past)
    assert shares == {"310": 27148, "390": 18257}


def test_dates_move_fifteen_years_and_history_keeps_the_stay_of_the_file(folder: Path, past: list[dict[str, Any]]):
    with gzip.open(folder / "discharges_desynpuf_dev.csv.gz", "rt", encoding="utf-8") as file:
        leap = [row for row in csv.DictReader(file) if row["discharge_date"] == "2008-02-29"]
    of_id = {row["case_id"]: row for row in past}
    assert leap
    for row in leap:
        moved = of_id[row["case_id"]]
        assert (moved["dscg_time"], moved["los_days"]) == ("2023-02-28", int(row["los_days"]))


def test_history_hands_on_what_cannot_be_used(past: list[dict[str, Any]]):
    assert sum(row["seg_no"] > 1 for row in past) == 54 - 16
    assert sum(not row["diag_codes"] for row in past) == 54 - 16
    known = {code for row in past for code in row["diag_codes"][1:]}
    unmapped = [row for row in past if row["diag_codes"] and row["diag_codes"][0] == row["raw_diag_codes"][0]]
    assert len(unmapped) == 875 - 174 - 38
    assert "99859" not in known
    assert sum(Decimal(row["medfee_sumamt"]) <= 0 for row in past) == 69 - 12


def test_a_claim_becomes_this_list(lines: list[tuple[str, bytes]]):
    message = json.loads(next(line for _, line in lines if b'"setl_id":"196261176983265"' in line))
    assert message["fixmedins_code"] == "H98022200044"
    assert (message["brdy"], message["age"]) == ("1958-01-01", 67)
    assert (message["adm_time"], message["dscg_time"], message["act_ipt_days"]) == ("2025-06-26", "2025-07-01", 5)
    assert message["diseinfo"][0] == {
        "diag_code": "G60.900",
        "diag_name": "遗传性和特发性神经病",
        "maindiag_flag": "1",
        "adm_cond_type": "1",
    }
    assert message["medfee_sumamt"] == "17100.00"
    assert message["payinfo"] == [{"fund_pay_type": "310100", "fund_payamt": "16000.00"}]
    assert message["psn_cashpay"] == "1100.00"


def test_intake_names_every_defect_of_the_lists(plan: ProvincePlan, lines: list[tuple[str, bytes]]):
    books, policy = plan_books(plan, dt.date(2026, 1, 1)), plan_policy(plan)
    refused: Counter[str] = Counter()
    named: Counter[str] = Counter()
    accepted = 0
    for hospital, line in lines:
        (row,) = parse_part(line)
        findings = judge_list(row.settlement_list, row.faults, books[hospital])
        named.update({finding.code for finding in findings})
        first = deciding(findings)
        if first is not None:
            refused[first.code] += 1
            continue
        accepted += 1
        assert row.settlement_list is not None
        facts = case_facts(row.settlement_list, policy)
        paid = facts.basic_fund_fen + facts.other_funds_fen + facts.account_fen + facts.cash_fen
        assert paid == facts.total_fen
    assert refused == {
        "CONTINUATION_SEGMENT": 16,
        "UNKNOWN_PRINCIPAL_DIAGNOSIS": 174 - 16,
        "GRAY_PRINCIPAL_DIAGNOSIS": 40,
        "TOTAL_NOT_POSITIVE": 12,
        "NEGATIVE_PAYER": 10,
    }
    assert accepted + refused.total() == 11985
    assert named["NEGATIVE_PAYER"] == 13
    assert named["TOTAL_NOT_POSITIVE"] == 12
    assert named["LOS_MISMATCH"] == named["AGE_MISMATCH"] == named["PAYERS_NOT_TOTAL"] == 0
    submitted = [json.loads(line)["payinfo"] for _, line in lines]
    assert sum(REMAINDER_FUND in {row["fund_pay_type"] for row in payments} for payments in submitted) == 292

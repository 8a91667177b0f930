"""A sound settlement list and the book it passes, as plain values that a test alters."""

from __future__ import annotations

import datetime as dt

from fenzhi.rules.submission.check_policy import AgreementTerm, CheckBook, CodeEdition, SubmissionPolicy
from fenzhi.rules.submission.settlement_list import ChargeItem, Diagnosis, FundPayment, Procedure, SettlementList

HOSPITAL = "H99010100001"

SOUND = SettlementList(
    setl_id="S1",
    hospital_code=HOSPITAL,
    insurance_type="310",
    insured_area_code="990100",
    visit_id="M1",
    record_no="R1",
    person_no="P1",
    person_name="合成患者0001",
    certificate_no="C1",
    sex="1",
    birth_date=dt.date(1950, 1, 1),
    age_years=75,
    admission_date=dt.date(2025, 1, 3),
    discharge_date=dt.date(2025, 1, 9),
    settlement_begin_date=dt.date(2025, 1, 3),
    settlement_end_date=dt.date(2025, 1, 9),
    stay_days_stated=6,
    discharge_way="1",
    diagnoses=(
        Diagnosis("I10.x00x002", "高血压", False, "1"),
        Diagnosis("I63.900", "脑梗死", True, "1"),
    ),
    procedures=(
        Procedure("99.1000", None, False, dt.date(2025, 1, 5)),
        Procedure("88.4101", None, True, dt.date(2025, 1, 4)),
    ),
    total_fen=2706800,
    fund_payments=(FundPayment("310100", 2000000), FundPayment("330100", 100000)),
    account_fen=56800,
    cash_fen=550000,
    items=(ChargeItem("09", 1706800), ChargeItem("14", 1000000)),
)

POLICY = SubmissionPolicy(
    insurance_of={"310": "employee", "390": "resident"},
    basic_fund_types={"employee": frozenset({"310100"}), "resident": frozenset({"390100"})},
    list_due_days=7,
)

CODES = CodeEdition(
    dt.date(2021, 1, 1),
    None,
    {"I63.900": False, "I10.x00x002": False, "I64.x00": True},
    {"88.4101": False, "99.1000": False, "99.9900": True},
)

BOOK = CheckBook(
    hospital_code=HOSPITAL,
    policy=POLICY,
    codes=(CODES,),
    agreements=(AgreementTerm("employee", dt.date(2025, 1, 1), dt.date(2025, 12, 31)),),
    received_on=dt.date(2025, 1, 12),
)

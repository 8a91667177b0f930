from __future__ import annotations

import datetime as dt
from dataclasses import replace

import pytest

from fenzhi.rules.submission.case_facts import canonical_text, case_facts, earlier_digest, list_digest
from fenzhi.rules.submission.check_policy import PeriodDate
from fenzhi.rules.submission.settlement_list import ChargeItem, FundPayment
from rules.submission.lists import POLICY, SOUND


def test_the_facts_of_a_sound_list():
    facts = case_facts(SOUND, POLICY)
    assert (facts.insurance, facts.total_fen, facts.basic_fund_fen) == ("employee", 2706800, 2000000)
    assert (facts.other_funds, facts.other_funds_fen, facts.account_fen, facts.cash_fen) == (
        (("330100", 100000),),
        100000,
        56800,
        550000,
    )
    assert facts.basic_fund_fen + facts.other_funds_fen + facts.account_fen + facts.cash_fen == facts.total_fen
    assert (facts.los_days, facts.settlement_month) == (6, 202501)
    assert facts.age_days == (dt.date(2025, 1, 9) - dt.date(1950, 1, 1)).days == 27402
    assert facts.principal_diagnosis == "I63.900"
    assert facts.diagnoses == ("I63.900", "I10.x00x002")
    assert facts.procedures == ("88.4101", "99.1000")
    assert facts.insured_area_code == "990100"


def test_payments_of_one_fund_are_added():
    given = SOUND._replace(
        fund_payments=(
            FundPayment("310100", 1),
            FundPayment("610100", 5),
            FundPayment("310100", 2),
            FundPayment("330100", 7),
        )
    )
    facts = case_facts(given, POLICY)
    assert (facts.basic_fund_fen, facts.other_funds) == (3, (("330100", 7), ("610100", 5)))


def test_the_settlement_month_is_that_of_the_settlement_end():
    later = SOUND._replace(settlement_end_date=dt.date(2025, 2, 1))
    assert case_facts(later, POLICY).settlement_month == 202502
    by_discharge = replace(POLICY, settlement_period_by=PeriodDate.DISCHARGE)
    assert case_facts(later, by_discharge).settlement_month == 202501


@pytest.mark.parametrize(
    "field", ["total_fen", "cash_fen", "discharge_date", "diagnoses", "insurance_type", "fund_payments"]
)
def test_an_open_fact_is_an_error(field: str):
    with pytest.raises(ValueError, match="not an accepted list"):
        case_facts(SOUND._replace(**{field: None}), POLICY)


def test_the_digest_is_that_of_the_facts_and_of_no_name():
    digest = list_digest(SOUND)
    assert digest == "635b04ef59477a4193da6f6526350734be5a467635575a3405bf3d2eb661ef02"
    assert list_digest(SOUND._replace(person_name="x", certificate_no="y", unread=frozenset({"z"}))) == digest
    assert list_digest(SOUND._replace(cash_fen=550001)) != digest
    assert "合成患者" not in canonical_text(SOUND)
    assert canonical_text(SOUND).startswith('{"setl_id":"S1","version":1,"seg_no":1,"hospital_code":"H99010100001",')


@pytest.mark.parametrize(
    ("durations", "minutes"),
    [
        (None, None),
        ((), 0),
        (("1/13/24", "0/2/0"), 2_364),
        (("1/0/0", None), None),
        (("13:24",), None),
        # Seven days are the most of a stay of six: dates have no hours.
        (("7/0/0",), 10_080),
        (("6/0/0", "1/0/1"), None),
    ],
)
def test_intensive_care_is_told_or_unknown_and_never_zero_by_silence(
    durations: tuple[str | None, ...] | None, minutes: int | None
):
    assert case_facts(SOUND._replace(icu_durations=durations), POLICY).icu_minutes == minutes


def test_tcm_cost_is_known_where_policy_names_its_classes():
    items = (ChargeItem("10", 5), ChargeItem("11", 7), ChargeItem("14", 100))
    by_policy = replace(POLICY, tcm_charge_classes=frozenset({"10", "11"}))
    assert case_facts(SOUND._replace(items=items), by_policy).tcm_fen == 12
    assert case_facts(SOUND._replace(items=items), POLICY).tcm_fen is None
    assert case_facts(SOUND._replace(items=None), by_policy).tcm_fen is None


def test_what_a_mode_looks_at_is_hashed_and_lists_of_before_keep_their_digest():
    told = SOUND._replace(icu_durations=("1/0/0",), discharge_department="A28", own_paid_fen=1)
    assert earlier_digest(told) == list_digest(SOUND) == earlier_digest(SOUND)
    changed = [
        told,
        told._replace(icu_durations=()),
        told._replace(discharge_department="A03"),
        told._replace(own_paid_fen=2),
    ]
    assert len({list_digest(one) for one in (*changed, SOUND)}) == 5

"""The facts of an accepted list (病例事实): what grouping, scoring and clearing read, and nothing else."""

from __future__ import annotations

import hashlib
import json
from collections import defaultdict
from collections.abc import Callable
from dataclasses import dataclass
from operator import attrgetter
from typing import Any

from fenzhi.rules.submission.check_policy import PeriodDate, SubmissionPolicy
from fenzhi.rules.submission.evidence_checks import MINUTES_A_DAY, duration_minutes
from fenzhi.rules.submission.settlement_list import Procedure, SettlementList


@dataclass(frozen=True, slots=True)
class CaseFacts:
    """One case (病例). Units: amounts in fen, stay and age in days."""

    insurance: str
    total_fen: int
    basic_fund_fen: int
    """Paid by the basic fund of the insurance (基本医保统筹基金支付)."""
    other_funds: tuple[tuple[str, int], ...]
    """`fund_pay_type` and amount of every other fund (其他基金支付), by code."""
    account_fen: int
    cash_fen: int
    los_days: int
    """Discharge minus admission (住院天数)."""
    age_days: int
    """Age on the day of discharge (出院日年龄, 天)."""
    settlement_month: int
    """yyyymm of the settlement end date, or of the discharge where policy says so (结算年月)."""
    principal_diagnosis: str
    diagnoses: tuple[str, ...]
    """Diagnosis codes, the principal first, the rest as stated, each once (诊断编码)."""
    procedures: tuple[str, ...]
    """Procedure codes, the main one first, the rest as stated (手术操作编码)."""
    insured_area_code: str | None
    digest: str
    """Hexadecimal SHA-256 of the list's canonical text (清单摘要)."""
    icu_minutes: int | None = None
    """Time in intensive care, all stays together (重症监护合计时长, 分钟); None: the list does not say it, or not readably."""
    discharge_department: str | None = None
    """Code of the department of discharge (出院科别)."""
    tcm_fen: int | None = None
    """Cost of the charge classes that policy counts as TCM (中医药费用); None where policy names none, or the list no charges."""
    own_paid_fen: int | None = None
    """Paid by the patient for what no insurance covers (个人自费)."""

    @property
    def other_funds_fen(self) -> int:
        """Paid by all funds but the basic one (其他基金支付合计). Units: fen."""
        return sum(amount for _, amount in self.other_funds)


def case_facts(given: SettlementList, policy: SubmissionPolicy) -> CaseFacts:
    """The case an accepted list becomes (清单转病例).

    The four payers add up to the total (money-rules 2). Requires: `check_list` gave no error.
    Raises: ValueError when a fact is missing, which an accepted list cannot lack.
    """
    insurance = policy.insurance_of.get(given.insurance_type or "")
    basic_types = policy.basic_fund_types.get(insurance or "")
    principals = given.principal_diagnoses()
    if insurance is None or not basic_types or len(principals) != 1:
        raise ValueError("not an accepted list: insurance, basic fund or principal diagnosis is open")
    if (
        given.admission_date is None
        or given.discharge_date is None
        or given.settlement_end_date is None
        or given.birth_date is None
        or given.total_fen is None
        or given.account_fen is None
        or given.cash_fen is None
        or given.fund_payments is None
        or given.diagnoses is None
    ):
        raise ValueError("not an accepted list: a date or an amount is open")
    funds: defaultdict[str, int] = defaultdict(int)
    for payment in given.fund_payments:
        if payment.fund_pay_type is None or payment.amount_fen is None:
            raise ValueError("not an accepted list: a fund payment is open")
        funds[payment.fund_pay_type] += payment.amount_fen
    by_discharge = policy.settlement_period_by is PeriodDate.DISCHARGE
    period = given.discharge_date if by_discharge else given.settlement_end_date
    principal = principals[0][1].code
    stated = [row.code for row in given.diagnoses]
    if principal is None or None in stated:
        raise ValueError("not an accepted list: a diagnosis code is open")
    return CaseFacts(
        insurance=insurance,
        total_fen=given.total_fen,
        basic_fund_fen=sum(amount for kind, amount in funds.items() if kind in basic_types),
        other_funds=tuple(sorted((kind, amount) for kind, amount in funds.items() if kind not in basic_types)),
        account_fen=given.account_fen,
        cash_fen=given.cash_fen,
        los_days=(given.discharge_date - given.admission_date).days,
        age_days=(given.discharge_date - given.birth_date).days,
        settlement_month=period.year * 100 + period.month,
        principal_diagnosis=principal,
        diagnoses=tuple(dict.fromkeys([principal, *(code for code in stated if code is not None)])),
        procedures=_main_first(given.procedures),
        insured_area_code=given.insured_area_code,
        digest=list_digest(given),
        icu_minutes=icu_minutes(given),
        discharge_department=given.discharge_department,
        tcm_fen=_tcm_fen(given, policy.tcm_charge_classes),
        own_paid_fen=given.own_paid_fen,
    )


def icu_minutes(given: SettlementList) -> int | None:
    """Time in intensive care, all stays together (重症监护合计时长). Units: minutes.

    None, never zero, where the list does not say it, writes a time that cannot be read, or says more than the stay lasted: dates have no
    hours, so a stay lasts to the end of its last day at the most.
    """
    if given.icu_durations is None or given.admission_date is None or given.discharge_date is None:
        return None
    total = 0
    for text in given.icu_durations:
        minutes = None if text is None else duration_minutes(text)
        if minutes is None:
            return None
        total += minutes
    return total if total <= ((given.discharge_date - given.admission_date).days + 1) * MINUTES_A_DAY else None


def _tcm_fen(given: SettlementList, classes: frozenset[str]) -> int | None:
    if not classes or given.items is None:
        return None
    return sum(item.amount_fen or 0 for item in given.items if item.item_class in classes)


def _main_first(procedures: tuple[Procedure, ...]) -> tuple[str, ...]:
    ordered = sorted(procedures, key=lambda row: not row.main)  # Stable: the rest keep their order.
    return tuple(row.code for row in ordered if row.code is not None)


_canonical = json.JSONEncoder(ensure_ascii=False, check_circular=False, separators=(",", ":"), default=str).encode
_NOT_HASHED = frozenset({"person_name", "certificate_no", "unread", "ventilator_duration", "complication_mark"})
_HASHED = tuple(name for name in SettlementList._fields if name not in _NOT_HASHED)
_hashed: Callable[[SettlementList], tuple[Any, ...]] = attrgetter(*_HASHED)
_WHERE_TOLD = ("birth_weight_g", "icu_durations", "discharge_department", "own_paid_fen")


def canonical_text(given: SettlementList) -> str:
    """The list in one fixed spelling (清单规范文本): compact JSON, attributes in order, dates ISO, amounts in fen.

    Names and certificate numbers are left out, and a birth weight, a department, ICU times or own payments that are not told: the text is
    hashed into a run's manifest, which others read.
    What is only checked and never settled is left out too.
    """
    stated = dict(zip(_HASHED, _hashed(given), strict=True))
    for name in _WHERE_TOLD:
        if stated[name] is None:
            del stated[name]
    stated["procedures"] = [row[:4] for row in given.procedures]
    return _canonical(stated)


def list_digest(given: SettlementList) -> str:
    """Hexadecimal SHA-256 of the canonical text (清单摘要): the same list, the same digest, however it was written."""
    return hashlib.sha256(canonical_text(given).encode()).hexdigest()


def earlier_digest(given: SettlementList) -> str:
    """The digest of a list as it was before cases carried ICU times, department and own payments (早前口径的清单摘要)."""
    return list_digest(given._replace(icu_durations=None, discharge_department=None, own_paid_fen=None))

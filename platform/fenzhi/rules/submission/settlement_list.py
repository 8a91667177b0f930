"""One settlement list as the checks see it (医保基金结算清单).

Amounts are whole fen, dates are dates, codes are text. Nothing here knows how the list travelled. What the list does not
state is None, never a guess; what it stated in a form that could not be read is None as well, and its path stands in
`unread`, so that no check takes it for missing.
"""

from __future__ import annotations

import datetime as dt
from typing import NamedTuple


class Diagnosis(NamedTuple):
    """One diagnosis of the list (住院诊断), in the order stated."""

    code: str | None
    name: str | None = None
    principal: bool | None = None
    """The principal flag (主诊断标志); None when not stated."""
    admission_condition: str | None = None
    """入院病情: 1 present, 2 undetermined, 3 unclear, 4 not present on admission."""


class Procedure(NamedTuple):
    """One procedure of the list (手术操作), in the order stated."""

    code: str | None
    name: str | None = None
    main: bool | None = None
    begun_on: dt.date | None = None
    anaesthesia: str | None = None
    """麻醉方式 (`anst_way`)."""


class FundPayment(NamedTuple):
    """What one fund paid (基金支付). Units: fen; negative means taken back."""

    fund_pay_type: str | None
    amount_fen: int | None


class ChargeItem(NamedTuple):
    """One charge class (收费项目). Units: fen."""

    item_class: str | None
    amount_fen: int | None


class SettlementList(NamedTuple):
    """One settlement list (结算清单), the unit a hospital submits. Units: amounts in fen, stays in days."""

    setl_id: str | None
    version: int = 1
    seg_no: int = 1
    """Segment of a continued stay (续段序号): 1 stands alone, higher ones continue an earlier list."""
    hospital_code: str | None = None
    insurance_type: str | None = None
    insured_area_code: str | None = None
    visit_id: str | None = None
    record_no: str | None = None
    person_no: str | None = None
    person_name: str | None = None
    certificate_no: str | None = None
    sex: str | None = None
    birth_date: dt.date | None = None
    age_years: int | None = None
    age_days_stated: int | None = None
    admission_date: dt.date | None = None
    discharge_date: dt.date | None = None
    settlement_begin_date: dt.date | None = None
    settlement_end_date: dt.date | None = None
    declared_on: dt.date | None = None
    """Day the hospital says it reported the list (申报时间)."""
    stay_days_stated: int | None = None
    discharge_way: str | None = None
    diagnosis_count_stated: int | None = None
    procedure_count_stated: int | None = None
    diagnoses: tuple[Diagnosis, ...] | None = None
    procedures: tuple[Procedure, ...] = ()
    total_fen: int | None = None
    fund_payments: tuple[FundPayment, ...] | None = None
    account_fen: int | None = None
    cash_fen: int | None = None
    items: tuple[ChargeItem, ...] | None = None
    birth_weight_g: int | None = None
    """Birth weight of a newborn (新生儿出生体重)."""
    unread: frozenset[str] = frozenset()
    """Paths that were stated but could not be read; their faults are reported by the reader (已上报但无法读取的字段)."""
    ventilator_duration: str | None = None
    """Time on a ventilator as written (呼吸机使用时长), days/hours/minutes."""
    icu_durations: tuple[str | None, ...] | None = None
    """Times in intensive care as written, in the order of the rows (重症监护时长); None where the list does not say, () for no stay."""
    complication_mark: str | None = None
    """CC or MCC, where the hospital marks it (并发症标记): a field of the platform, not of the nation."""
    discharge_department: str | None = None
    """Code of the department of discharge (出院科别)."""
    own_paid_fen: int | None = None
    """Paid by the patient for what no insurance covers (个人自费)."""

    def principal_diagnoses(self) -> tuple[tuple[int, Diagnosis], ...]:
        """Place and diagnosis of every row flagged principal (标为主诊断的各行)."""
        return tuple((place, row) for place, row in enumerate(self.diagnoses or ()) if row.principal)

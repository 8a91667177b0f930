"""The settlement list on the wire (结算清单报文): one JSON object a line, national field names.

Attribute names are ours, field names are the nation's (transactions 4101A and 4103). Amounts and dates travel as text and
are read exactly here; what the platform does not use it still knows by name, so that a stranger among the fields is
noticed. `settlement_list` turns a message into the list the rules judge.
"""

from __future__ import annotations

import datetime as dt
import re
from functools import lru_cache
from typing import Annotated, Any

from msgspec import Meta, Struct, field

from fenzhi.rules.quantities import fen_from_yuan
from fenzhi.rules.submission.settlement_list import ChargeItem, Diagnosis, FundPayment, Procedure, SettlementList

Text6 = Annotated[str, Meta(max_length=6)]
Text12 = Annotated[str, Meta(max_length=12)]
Text20 = Annotated[str, Meta(max_length=20)]
Text30 = Annotated[str, Meta(max_length=30)]
Text40 = Annotated[str, Meta(max_length=40)]
Text50 = Annotated[str, Meta(max_length=50)]
Text100 = Annotated[str, Meta(max_length=100)]
Text500 = Annotated[str, Meta(max_length=500)]
Amount = Annotated[str, Meta(max_length=18, extra={"kind": "amount"})]
"""Yuan as text, numeric 16,2 (金额)."""
Day = Annotated[str, Meta(max_length=19, extra={"kind": "day"})]
"""A date, or a date with a time of which the platform uses the date (日期, 日期时间)."""
Flag = Annotated[str, Meta(max_length=3, extra={"kind": "flag"})]
""""1" yes, "0" no (标志)."""
Version = Annotated[int, Meta(ge=1, le=32767)]
Segment = Annotated[int, Meta(ge=1, le=99)]
Years = Annotated[int, Meta(ge=0, le=150)]
Days = Annotated[int, Meta(ge=0, le=32767)]
Count = Annotated[int, Meta(ge=0, le=999)]


class WireDiagnosis(Struct, gc=False, frozen=True):
    """A row of `diseinfo` (住院诊断信息)."""

    code: Text20 | None = field(name="diag_code", default=None)
    name: Text100 | None = field(name="diag_name", default=None)
    principal_flag: Flag | None = field(name="maindiag_flag", default=None)
    admission_condition: Text6 | None = field(name="adm_cond_type", default=None)
    kind: Text6 | None = field(name="diag_type", default=None)


class WireProcedure(Struct, gc=False, frozen=True):
    """A row of `oprninfo` (手术操作信息)."""

    code: Text30 | None = field(name="oprn_oprt_code", default=None)
    name: Text500 | None = field(name="oprn_oprt_name", default=None)
    main_flag: Flag | None = field(name="main_oprn_flag", default=None)
    kind: Text6 | None = field(name="oprn_oprt_type", default=None)
    """1 main, 2 other: read where the flag is absent (手术操作类别)."""
    begun_at: Day | None = field(name="oprn_oprt_begntime", default=None)
    dated: Day | None = field(name="oprn_oprt_date", default=None)
    anaesthesia: Any = field(name="anst_way", default=None)
    """Carried in whatever shape it comes; read where it is text (麻醉方式)."""


class WireFundPayment(Struct, gc=False, frozen=True):
    """A row of `payinfo` (基金支付信息)."""

    fund_pay_type: Text6 | None = None
    amount: Amount | None = field(name="fund_payamt", default=None)


class WireItem(Struct, gc=False, frozen=True):
    """A row of `iteminfo` (收费项目信息)."""

    item_class: Text6 | None = field(name="med_chrgitm", default=None)
    amount: Amount | None = field(name="amt", default=None)
    class_a: Amount | None = field(name="claa_sumfee", default=None)
    class_b: Amount | None = field(name="clab_amt", default=None)
    own_expense: Amount | None = field(name="fulamt_ownpay_amt", default=None)
    other: Amount | None = field(name="oth_amt", default=None)


class WireList(Struct, gc=False, frozen=True):
    """One settlement list as it travels (结算清单报文)."""

    setl_id: Text30 | None = None
    version: Version | None = None
    seg_no: Segment | None = None
    hospital_code: Text12 | None = field(name="fixmedins_code", default=None)
    insurance_type: Text6 | None = field(name="insutype", default=None)
    insured_area_code: Text6 | None = field(name="insu_admdvs", default=None)
    visit_id: Text30 | None = field(name="mdtrt_id", default=None)
    record_no: Text40 | None = field(name="medcasno", default=None)
    person_no: Text30 | None = field(name="psn_no", default=None)
    person_name: Text50 | None = field(name="psn_name", default=None)
    certificate_no: Text50 | None = field(name="certno", default=None)
    sex: Text6 | None = field(name="gend", default=None)
    birth_date: Day | None = field(name="brdy", default=None)
    age_years: Years | None = field(name="age", default=None)
    age_days: Days | None = field(name="nwb_age", default=None)
    admitted_at: Day | None = field(name="adm_time", default=None)
    discharged_at: Day | None = field(name="dscg_time", default=None)
    settlement_begin_date: Day | None = field(name="setl_begn_date", default=None)
    settlement_end_date: Day | None = field(name="setl_end_date", default=None)
    declared_at: Day | None = field(name="dcla_time", default=None)
    stay_days: Days | None = field(name="act_ipt_days", default=None)
    discharge_way: Text6 | None = field(name="dscg_way", default=None)
    diagnosis_count: Count | None = field(name="diag_code_cnt", default=None)
    procedure_count: Count | None = field(name="oprn_oprt_code_cnt", default=None)
    diagnoses: Annotated[list[WireDiagnosis], Meta(max_length=200)] | None = field(name="diseinfo", default=None)
    procedures: Annotated[list[WireProcedure], Meta(max_length=200)] | None = field(name="oprninfo", default=None)
    total: Amount | None = field(name="medfee_sumamt", default=None)
    fund_payments: Annotated[list[WireFundPayment], Meta(max_length=50)] | None = field(name="payinfo", default=None)
    account: Amount | None = field(name="acct_pay", default=None)
    cash: Amount | None = field(name="psn_cashpay", default=None)
    self_paid: Amount | None = field(name="psn_selfpay", default=None)
    own_paid: Amount | None = field(name="psn_ownpay", default=None)
    items: Annotated[list[WireItem], Meta(max_length=200)] | None = field(name="iteminfo", default=None)
    birth_weight: Any = field(name="nwb_bir_wt", default=None)
    """Carried in whatever shape it comes; read only where it is one weight (新生儿出生体重)."""
    ventilator: Any = field(name="vent_used_dura", default=None)
    icu: Any = field(name="icuinfo", default=None)
    complication_mark: Text6 | None = field(name="ccmcc_flag", default=None)
    discharge_department: Any = field(name="dscg_caty", default=None)
    """Carried in whatever shape it comes; read where it is a code (出院科别)."""


CARRIED = frozenset(
    """
    acp_medins_name acp_optins_code adm_caty adm_dept_codg adm_dept_name adm_way bill_code bill_no biz_sn bld_amt bld_cat
    bld_unt bldinfo chfpdr_code chfpdr_name chk_cont coner_addr coner_name coner_tel curr_addr days_rinp_flag_31
    days_rinp_pup_31 dscg_dept_codg dscg_dept_name emp_addr emp_name emp_tel fixmedins_name hi_no hi_paymtd
    hi_setl_lv hi_type hsorg hsorg_opter insuplc ipt_med_type lv1_nurscare_days lv3_nurscare_days maindiag_flag
    medins_fill_dept medins_fill_psn mul_nwb_adm_wt mul_nwb_bir_wt naty ntly nwb_adm_type nwb_adm_wt
    opsp_diag_caty opsp_mdtrt_date opspdiseinfo otp_tcm_dise otp_wm_dise patn_cert_type patn_rlts poscode prfs
    pwcry_afadm_coma_dura pwcry_bfadm_coma_dura refldept_dept resp_nurs_code scd_nurscare_days setl_list_sn sp_psn_type
    spga_nurscare_days stas_type tcm_dise_code trt_type wm_dise_code
    """.split()
)
"""National fields of the list that are kept in the original and not judged (保留原文而不参与校验的国家字段)."""

CARRIED_IN_ROWS = frozenset(
    """
    anst_begntime anst_dr_code anst_dr_name anst_endtime oper_dr_code oper_dr_name oprn_oprt_endtime
    """.split()
)
"""The same for the rows of `oprninfo`."""

ROW_NODES = ("diseinfo", "oprninfo", "payinfo", "iteminfo")
"""Nodes that hold rows (多行节点)."""

DEEP_CARRIED = ("opspdiseinfo", "icuinfo", "bldinfo")
"""Carried nodes that hold objects themselves."""


def settlement_list(wire: WireList) -> SettlementList:
    """The list the rules judge (报文转清单). Blank text counts as not stated; absent version and segment are 1.

    Raises: ValueError for an amount, a date or a flag that cannot be read; the reader then names every such field.
    """
    rows = wire.items or ()
    unused = [wire.self_paid, wire.own_paid]
    for item in rows:
        unused += (item.class_a, item.class_b, item.own_expense, item.other)
    stated = [text for text in unused if text]
    # One look at all of them where each is spelled the ordinary way; else each by itself.
    if stated and not _are_ordinary(stated):
        for text in stated:
            fen(text)
    items = None
    if wire.items is not None:
        read = _all_fen([item.amount for item in rows])
        items = tuple(map(_charge_item, zip([item.item_class or None for item in rows], read, strict=True)))
    return SettlementList(
        wire.setl_id or None,
        1 if wire.version is None else wire.version,
        1 if wire.seg_no is None else wire.seg_no,
        wire.hospital_code or None,
        wire.insurance_type or None,
        wire.insured_area_code or None,
        wire.visit_id or None,
        wire.record_no or None,
        wire.person_no or None,
        wire.person_name or None,
        wire.certificate_no or None,
        wire.sex or None,
        day(wire.birth_date),
        wire.age_years,
        wire.age_days,
        day(wire.admitted_at),
        day(wire.discharged_at),
        day(wire.settlement_begin_date),
        day(wire.settlement_end_date),
        day(wire.declared_at),
        wire.stay_days,
        wire.discharge_way or None,
        wire.diagnosis_count,
        wire.procedure_count,
        None
        if wire.diagnoses is None
        else tuple(
            Diagnosis(row.code or None, row.name or None, flag(row.principal_flag), row.admission_condition or None)
            for row in wire.diagnoses
        ),
        tuple(
            Procedure(
                row.code or None,
                row.name or None,
                (row.kind == "1" if row.kind else None) if not row.main_flag else flag(row.main_flag),
                day(row.begun_at or row.dated),
                plain_text(row.anaesthesia),
            )
            for row in wire.procedures or ()
        ),
        fen(wire.total),
        None
        if wire.fund_payments is None
        else tuple(FundPayment(row.fund_pay_type or None, fen(row.amount)) for row in wire.fund_payments),
        fen(wire.account),
        fen(wire.cash),
        items,
        grams(wire.birth_weight),
        ventilator_duration=plain_text(wire.ventilator),
        icu_durations=durations(wire.icu),
        complication_mark=wire.complication_mark or None,
        discharge_department=department(wire.discharge_department),
        own_paid_fen=fen(wire.own_paid),
    )


_charge_item = ChargeItem._make
_ORDINARY = re.compile(r"[0-9]{1,14}\.[0-9]{2}(?:\n[0-9]{1,14}\.[0-9]{2})*")
"""Amounts in their ordinary spelling, one a line: what `fen` takes without asking the rule."""


def _are_ordinary(amounts: list[str]) -> bool:
    joined = "\n".join(amounts)
    return joined.count("\n") == len(amounts) - 1 and _ORDINARY.fullmatch(joined) is not None


def _all_fen(amounts: list[str | None]) -> list[int | None]:
    """`fen` of each, by one look where all are spelled the ordinary way. Raises: ValueError."""
    given = [text for text in amounts if text]
    if given and len(given) == len(amounts) and _are_ordinary(given):
        return list(map(int, "\n".join(given).replace(".", "").split("\n")))
    return [fen(text) for text in amounts]


def plain_text(given: object) -> str | None:
    """Text that is there and can be judged, None for anything else (文本字段)."""
    return given[:40] if isinstance(given, str) and given else None


def department(given: object) -> str | None:
    """Code of a department, None for none or for what is no code (科别代码).

    >>> department("A03.06"), department(""), department(3)
    ('A03.06', None, None)
    """
    is_code = isinstance(given, str) and 0 < len(given) <= 20 and given.isascii() and given.isprintable()
    return str(given) if is_code else None


def durations(rows: object) -> tuple[str | None, ...] | None:
    """The total time of each stay in intensive care (重症监护时长), in the order of `icuinfo`; None where the list does not say.

    >>> durations([{"scs_cutd_sum_dura": "1/0/0"}, "?", {}]), durations([]), durations(None)
    (('1/0/0', None, None), (), None)
    """
    if not isinstance(rows, list):
        return None
    return tuple(plain_text(row.get("scs_cutd_sum_dura")) if isinstance(row, dict) else None for row in rows)


def grams(given: object) -> int | None:
    """Birth weight in whole grams, None for none or for what is no weight of one child (出生体重，克).

    The field is carried, not judged: twins write several weights into it, and a weight nobody can read is no weight told.

    >>> grams("3200"), grams(740), grams("1200;1300"), grams(None)
    (3200, 740, None, None)
    """
    text = str(given) if isinstance(given, int | str) and not isinstance(given, bool) else ""
    return int(text) if text.isascii() and text.isdigit() and len(text) < 6 and 0 < int(text) < 20_000 else None


def fen(text: str | None) -> int | None:
    """Fen of an amount in yuan, None for none (金额转分). Raises: ValueError."""
    if not text:
        return None
    if text[-3:-2] == ".":  # The ordinary spelling; anything else is left to the rule.
        digits = text[:-3] + text[-2:]
        if 3 <= len(digits) <= 16 and digits.isascii() and digits.isdigit():
            return int(digits)
    return fen_from_yuan(text)


def flag(text: str | None) -> bool | None:
    """Yes or no of a flag, None for none (标志). Raises: ValueError for anything but "1" and "0"."""
    if not text:
        return None
    if text not in ("0", "1"):
        raise ValueError(f"not a flag: {text!r}")
    return text == "1"


def day(text: str | None) -> dt.date | None:
    """The date of a date or date-time, None for none (日期). Raises: ValueError; a time zone is no part of the interface.

    >>> day("2025-01-09"), day("2025-01-09 08:30:00"), day("")
    (datetime.date(2025, 1, 9), datetime.date(2025, 1, 9), None)
    """
    return _read_day(text) if text else None


@lru_cache(maxsize=8192)
def _read_day(text: str) -> dt.date:
    # fromisoformat also reads week dates and compact forms, which the interface does not know.
    if not (len(text) in (10, 16, 19) and text.isascii() and text[4] == text[7] == "-" and text[5:7].isdigit()):
        raise ValueError(f"not a date: {text!r}")
    if len(text) == 10:
        return dt.date.fromisoformat(text)
    if text[10] not in " T" or text[13] != ":":
        raise ValueError(f"not a date: {text!r}")
    return dt.datetime.fromisoformat(text).date()

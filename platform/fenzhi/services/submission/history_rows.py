"""One discharge of an earlier year (历史病例行): read, and set aside with a reason where it cannot be used. None is dropped."""

from __future__ import annotations

import datetime as dt
from collections.abc import Mapping
from enum import StrEnum
from typing import Annotated

import msgspec
from msgspec import Meta, Struct, field

from fenzhi.services.submission import wire

_YEARS = (1990, 2100)


class SetAside(StrEnum):
    """Why a discharge of an earlier year is not used (历史病例搁置原因)."""

    UNREADABLE = "unreadable"
    CONTINUATION = "continuation"
    UNKNOWN_HOSPITAL = "unknown_hospital"
    LEVEL_UNKNOWN = "level_unknown"
    UNKNOWN_INSURANCE = "unknown_insurance"
    PRINCIPAL_DIAGNOSIS_MISSING = "principal_diagnosis_missing"
    PRINCIPAL_DIAGNOSIS_UNKNOWN = "principal_diagnosis_unknown"
    TOTAL_NOT_POSITIVE = "total_not_positive"
    FUND_OUT_OF_RANGE = "fund_out_of_range"
    DUPLICATE = "duplicate"

    @property
    def code(self) -> str:
        """The stable code of the finding (结论代码)."""
        return f"HISTORY_{self.value.upper()}"


TEXTS: Mapping[SetAside, tuple[str, str, str, str]] = {
    SetAside.UNREADABLE: (
        "本行不是可读的历史病例。",
        "The row is no readable discharge.",
        "按接口字段逐行写一个 JSON 对象，金额写成字符串。",
        "Write one JSON object a line with the fields of the interface, amounts as text.",
    ),
    SetAside.CONTINUATION: (
        "续段记录，整次住院以第 1 段计入。",
        "A continuation segment: the stay counts by its first segment.",
        "如需计入，请合并为一条记录后重新导入。",
        "Merge the stay into one row and import it again if it should count.",
    ),
    SetAside.UNKNOWN_HOSPITAL: (
        "机构编号不在本统筹区登记之内。",
        "The hospital is not registered in this pooling area.",
        "先登记该机构，或更正机构编号。",
        "Register the hospital first, or correct its code.",
    ),
    SetAside.LEVEL_UNKNOWN: (
        "该机构没有登记等级。",
        "No level is registered for the hospital.",
        "登记等级后重新导入。",
        "Register its level and import again.",
    ),
    SetAside.UNKNOWN_INSURANCE: (
        "险种不在政策对照表内。",
        "The insurance type is not in the policy's table.",
        "核对险种，或由省级补充险种对照。",
        "Check the insurance type, or have the province add it.",
    ),
    SetAside.PRINCIPAL_DIAGNOSIS_MISSING: (
        "没有主要诊断。",
        "There is no principal diagnosis.",
        "补充主要诊断后重新导入。",
        "State the principal diagnosis and import again.",
    ),
    SetAside.PRINCIPAL_DIAGNOSIS_UNKNOWN: (
        "主要诊断不在医保版代码表内。",
        "The principal diagnosis is not in the code table.",
        "映射到医保版编码后重新导入。",
        "Map it to the insurance edition and import again.",
    ),
    SetAside.TOTAL_NOT_POSITIVE: (
        "医疗总费用不大于零。",
        "The total cost is not above zero.",
        "核对是否为冲销记录。",
        "Check whether the row reverses another.",
    ),
    SetAside.FUND_OUT_OF_RANGE: (
        "基金支付小于零或大于总费用。",
        "The fund payment is below zero or above the total.",
        "核对基金支付金额。",
        "Check the fund payment.",
    ),
    SetAside.DUPLICATE: (
        "同一机构的同一病例已导入。",
        "The discharge of this hospital was imported before.",
        "无需重复导入。",
        "There is nothing to import again.",
    ),
}
"""Chinese, English, and what to do in both (搁置原因说明)."""

_Code = Annotated[str, Meta(max_length=30)]


class HistoryRow(Struct, frozen=True, gc=False):
    """One row of a history import (历史病例报文). Amounts are yuan as text; codes stand principal or main first."""

    history_id: Annotated[str, Meta(min_length=1, max_length=50)] = field(name="case_id")
    hospital_code: _Code = field(name="fixmedins_code")
    insurance_type: _Code = field(name="insutype")
    discharged_at: Annotated[str, Meta(max_length=19)] = field(name="dscg_time")
    los_days: Annotated[int, Meta(ge=0, le=32767)]
    total: Annotated[str, Meta(max_length=18)] = field(name="medfee_sumamt")
    fund: Annotated[str, Meta(max_length=18)] = field(name="fund_amt")
    diagnoses: Annotated[list[_Code], Meta(max_length=200)] = field(name="diag_codes")
    procedures: Annotated[list[_Code], Meta(max_length=200)] = field(name="oprn_codes")
    segment: Annotated[int, Meta(ge=1, le=99)] = field(name="seg_no", default=1)
    year: Annotated[int, Meta(ge=_YEARS[0], le=_YEARS[1])] | None = None
    """Stated for the reader; the year of the discharge decides."""


class Discharge(Struct, frozen=True, gc=False):
    """A row in exact values (历史病例). Units: fen, days."""

    row: HistoryRow
    discharged: dt.date
    total_fen: int
    fund_fen: int


_decoder = msgspec.json.Decoder(HistoryRow)


def read_history_row(line: bytes) -> Discharge | None:
    """A row of a history import (读取历史病例), or None when it cannot be read."""
    try:
        row = _decoder.decode(line)
        discharged, total, fund = wire.day(row.discharged_at), wire.fen(row.total), wire.fen(row.fund)
    except (msgspec.MsgspecError, ValueError, RecursionError):
        return None
    if discharged is None or total is None or fund is None or not _YEARS[0] <= discharged.year <= _YEARS[1]:
        return None
    texts = (row.history_id, row.hospital_code, row.insurance_type, *row.diagnoses, *row.procedures)
    if any("\0" in text or not text.isprintable() for text in texts):
        return None
    return Discharge(row, discharged, total, fund)

"""Settlement lists in wire form (清单报文), as a hospital's system would write them."""

from __future__ import annotations

import datetime as dt
import json
from collections.abc import Sequence
from typing import Any

from fenzhi.rules.quantities import yuan_from_fen
from fenzhi.rules.submission.case_checks import full_years


def wire_line(message: dict[str, Any]) -> bytes:
    """One NDJSON line without its line break (一行报文): compact, UTF-8."""
    return json.dumps(message, ensure_ascii=False, separators=(",", ":")).encode()


def diagnosis_rows(codes: Sequence[tuple[str, str]]) -> list[dict[str, str]]:
    """`diseinfo` from codes and names, the first being principal (诊断信息)."""
    return [
        {"diag_code": code, "diag_name": name, "maindiag_flag": "0" if place else "1", "adm_cond_type": "1"}
        for place, (code, name) in enumerate(codes)
    ]


def procedure_rows(codes: Sequence[tuple[str, str]], begun_on: dt.date) -> list[dict[str, str]]:
    """`oprninfo` from codes and names, the first being main (手术操作信息)."""
    return [
        {
            "oprn_oprt_code": code,
            "oprn_oprt_name": name,
            "main_oprn_flag": "0" if place else "1",
            "oprn_oprt_begntime": begun_on.isoformat(),
        }
        for place, (code, name) in enumerate(codes)
    ]


def payment_rows(payments: Sequence[tuple[str, int]]) -> list[dict[str, str]]:
    """`payinfo` from fund_pay_type and fen (基金支付信息)."""
    return [{"fund_pay_type": kind, "fund_payamt": yuan_from_fen(amount)} for kind, amount in payments]


def age_fields(born: dt.date, admitted: dt.date) -> dict[str, int | None]:
    """`age` in years from one year on, else `nwb_age` in days (年龄), at admission."""
    years = full_years(born, admitted)
    return {"age": years, "nwb_age": None} if years else {"age": None, "nwb_age": (admitted - born).days}

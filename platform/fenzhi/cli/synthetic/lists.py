"""Synthetic settlement lists with wanted faults (合成结算清单与预设差错), and the history before them.

About three lists in a hundred carry one fault of a named kind, so that a demonstration shows every refusal. The kind and
the code that intake must answer with stand beside the line; a platform that finds less, or more, is wrong.
"""

from __future__ import annotations

import datetime as dt
import random
from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

from fenzhi.cli.synthetic.diagnosis_codes import diagnosis_codes
from fenzhi.cli.synthetic.discharges import Discharge, discharges
from fenzhi.cli.synthetic.message import age_fields, diagnosis_rows, payment_rows, procedure_rows, wire_line
from fenzhi.cli.synthetic.plan import ProvincePlan
from fenzhi.cli.synthetic.procedure_codes import procedure_codes
from fenzhi.rules.quantities import fen_from_yuan, yuan_from_fen


class SyntheticLine(NamedTuple):
    """A line with what is wrong with it (一行及其预设差错)."""

    hospital_code: str
    line: bytes
    fault: str = ""
    """Name of the fault kind; empty for a sound list."""
    code: str = ""
    """The code intake must give; empty for a sound list."""
    refused: bool = False
    """Whether the fault refuses the list; warnings do not."""


Message = dict[str, Any]


def history(plan: ProvincePlan, cases_per_year: int) -> Iterator[dict[str, Any]]:
    """Discharges of the history years, oldest first (历史病例).

    Shape: case_id, seg_no, fixmedins_code, insutype, year, dscg_time, los_days, diag_codes (principal first), oprn_codes
    (main first), medfee_sumamt and fund_amt in yuan. A few rows cannot be used: an unmapped principal diagnosis, a total
    of zero, a continuation segment.
    """
    for year in plan.history_years:
        chance = random.Random(f"{plan.seed}:history-faults:{year}")
        made = discharges(plan, "history", cases_per_year, dt.date(year, 1, 1), dt.date(year, 12, 31))
        for number, case in enumerate(made, 1):
            total, diagnoses, segment = case.total_fen, list(case.diagnoses), 1
            odd = chance.randrange(1000)
            if odd < 3:
                diagnoses[0] = "99859"
            elif odd < 5:
                total = 0
            elif odd < 6:
                segment = 2
            yield {
                "case_id": f"SYNH{year}{number:08d}",
                "seg_no": segment,
                "fixmedins_code": case.hospital.code,
                "insutype": case.insurance_type,
                "year": year,
                "dscg_time": case.discharge_date.isoformat(),
                "los_days": (case.discharge_date - case.admission_date).days,
                "diag_codes": diagnoses,
                "oprn_codes": list(case.procedures),
                "medfee_sumamt": yuan_from_fen(total),
                "fund_amt": yuan_from_fen(case.payments[0][1] if total else 0),
            }


def settlement_lists(
    plan: ProvincePlan, cases: int, first_day: dt.date, last_day: dt.date
) -> Iterator[tuple[str, bytes]]:
    """Lists of `cases` discharges between two days (结算清单): the submitting hospital's code and one wire line each.

    More lines than cases come out: corrected and repeated lists follow their first version. Constant memory.
    """
    for made in labelled_lists(plan, cases, first_day, last_day):
        yield made.hospital_code, made.line


def labelled_lists(plan: ProvincePlan, cases: int, first_day: dt.date, last_day: dt.date) -> Iterator[SyntheticLine]:
    """As `settlement_lists`, each line with its wanted fault (带预设差错标记的清单)."""
    chance = random.Random(f"{plan.seed}:faults:{first_day}:{last_day}:{cases}")
    employees_only = plan.hospitals[-1].code
    for number, case in enumerate(discharges(plan, "lists", cases, first_day, last_day), 1):
        message = _message(case, f"SYN{first_day:%y%m%d}{number:08d}", number, chance)
        hospital = case.hospital.code
        drawn = chance.randrange(10_000)
        kind = next((kind for kind in KINDS if (drawn := drawn - kind.per_10_000) < 0), None)
        if kind is None:
            yield SyntheticLine(hospital, wire_line(message))
        elif kind.name == "no_agreement":
            message.update(fixmedins_code=employees_only, insutype="390", payinfo=_renamed(message, "390100"))
            yield SyntheticLine(employees_only, wire_line(message), kind.name, kind.code, True)
        elif kind.name in ("repeated_line", "corrected_list"):
            yield SyntheticLine(hospital, wire_line(message))
            if kind.name == "repeated_line":
                yield SyntheticLine(hospital, wire_line(message), kind.name, kind.code, True)
            else:
                yield SyntheticLine(hospital, wire_line(_corrected(message)), kind.name)
        else:
            kind.spoil(message, case)
            line = kind.rewrite(wire_line(message))
            yield SyntheticLine(hospital, line, kind.name, kind.code, kind.refused)


def _message(case: Discharge, setl_id: str, number: int, chance: random.Random) -> Message:
    known_diagnoses, known_procedures = diagnosis_codes(), procedure_codes()
    admitted, discharged = case.admission_date, case.discharge_date
    declared = discharged + dt.timedelta(days=chance.randrange(0, 8))
    return {
        "setl_id": setl_id,
        "version": 1,
        "fixmedins_code": case.hospital.code,
        "insutype": case.insurance_type,
        "insu_admdvs": case.hospital.city_code,
        "mdtrt_id": f"M{setl_id}",
        "medcasno": f"R{number:08d}",
        "seg_no": 1,
        "psn_no": f"SYNP{setl_id[3:]}",
        "psn_name": f"合成患者{number:04d}",
        "certno": f"SYN{number:015d}",
        "gend": case.sex,
        "brdy": case.birth_date.isoformat(),
        **age_fields(case.birth_date, admitted),
        "adm_time": admitted.isoformat(),
        "dscg_time": discharged.isoformat(),
        "setl_begn_date": admitted.isoformat(),
        "setl_end_date": discharged.isoformat(),
        "dcla_time": declared.isoformat(),
        "act_ipt_days": (discharged - admitted).days,
        "dscg_way": "1",
        "diseinfo": diagnosis_rows([(code, known_diagnoses[code].name) for code in case.diagnoses]),
        "oprninfo": procedure_rows(
            [(code, known_procedures[code].name) for code in case.procedures], admitted + dt.timedelta(days=1)
        ),
        "medfee_sumamt": yuan_from_fen(case.total_fen),
        "payinfo": payment_rows(case.payments),
        "acct_pay": yuan_from_fen(case.account_fen),
        "psn_cashpay": yuan_from_fen(case.cash_fen),
        "iteminfo": _items(case.total_fen, bool(case.procedures), chance),
    }


def _items(total: int, operated: bool, chance: random.Random) -> list[dict[str, str]]:
    """The total over charge classes (收费项目): shares floored, the last class takes the remainder."""
    classes = ["01", "04", "05", *(["07"] if operated else []), "09", "14"]
    left = total
    rows = []
    for item_class in classes[:-1]:
        amount = min(left, total * chance.randrange(40, 260) // 1000)
        rows.append({"med_chrgitm": item_class, "amt": yuan_from_fen(amount)})
        left -= amount
    rows.append({"med_chrgitm": classes[-1], "amt": yuan_from_fen(left)})
    return rows


def _corrected(message: Message) -> Message:
    """The second version of a list (更正清单): one more yuan of cost, paid in cash."""
    items = [dict(row) for row in message["iteminfo"]]
    items[-1]["amt"] = _moved(items[-1]["amt"], 100)
    return {
        **message,
        "version": 2,
        "medfee_sumamt": _moved(message["medfee_sumamt"], 100),
        "psn_cashpay": _moved(message["psn_cashpay"], 100),
        "iteminfo": items,
    }


def _moved(amount: str, fen: int) -> str:
    return yuan_from_fen(fen_from_yuan(amount) + fen)


def _renamed(message: Message, kind: str) -> list[dict[str, str]]:
    return [{**row, "fund_pay_type": kind} if place == 0 else row for place, row in enumerate(message["payinfo"])]


Spoil = Callable[[Message, Discharge], object]


def _unspoiled(message: Message, case: Discharge) -> None:
    """Nothing in the message is changed (报文不变)."""


def _same(line: bytes) -> bytes:
    return line


class FaultKind(NamedTuple):
    """A kind of wanted fault (预设差错类型)."""

    name: str
    per_10_000: int
    code: str
    spoil: Spoil = _unspoiled
    rewrite: Callable[[bytes], bytes] = _same
    refused: bool = True


def _unknown_principal(message: Message, _: Discharge) -> None:
    message["diseinfo"][0]["diag_code"] = "99859"


def _gray_principal(message: Message, _: Discharge) -> None:
    gray = next(row for row in diagnosis_codes().values() if row.is_gray)
    message["diseinfo"] = diagnosis_rows([(gray.code, gray.name)])


def _unknown_procedure(message: Message, case: Discharge) -> None:
    message["oprninfo"] = procedure_rows([("00.0000x999", "未知操作")], case.admission_date)


def _no_principal(message: Message, _: Discharge) -> None:
    message["diseinfo"][0]["maindiag_flag"] = "0"


def _two_principals(message: Message, _: Discharge) -> None:
    first = message["diseinfo"][0]
    message["diseinfo"] = [first, {**first, "diag_code": "I10.x00" if first["diag_code"] != "I10.x00" else "E11.900"}]


def _reversed(message: Message, case: Discharge) -> None:
    message["adm_time"] = (case.discharge_date + dt.timedelta(days=3)).isoformat()


def _payers_off(message: Message, _: Discharge) -> None:
    message["psn_cashpay"] = _moved(message["psn_cashpay"], 1)


def _items_off(message: Message, _: Discharge) -> None:
    message["iteminfo"][-1]["amt"] = _moved(message["iteminfo"][-1]["amt"], 1)


def _negative_payer(message: Message, case: Discharge) -> None:
    message["acct_pay"] = "-10.00"
    message["psn_cashpay"] = yuan_from_fen(case.cash_fen + case.account_fen + 1000)


def _zero_total(message: Message, _: Discharge) -> None:
    message.update(medfee_sumamt="0.00", acct_pay="0.00", psn_cashpay="0.00", payinfo=[], iteminfo=[])


def _late(message: Message, case: Discharge) -> None:
    message["dcla_time"] = (case.discharge_date + dt.timedelta(days=40)).isoformat()


KINDS: tuple[FaultKind, ...] = (
    FaultKind("unknown_principal", 25, "UNKNOWN_PRINCIPAL_DIAGNOSIS", _unknown_principal),
    FaultKind("gray_principal", 20, "GRAY_PRINCIPAL_DIAGNOSIS", _gray_principal),
    FaultKind("unknown_procedure", 10, "UNKNOWN_PROCEDURE", _unknown_procedure),
    FaultKind("missing_birth_date", 10, "REQUIRED_FIELD_MISSING", lambda message, _: message.pop("brdy")),
    FaultKind("no_principal", 10, "NO_PRINCIPAL_DIAGNOSIS", _no_principal),
    FaultKind("two_principals", 10, "SEVERAL_PRINCIPAL_DIAGNOSES", _two_principals),
    FaultKind("dates_reversed", 10, "ADMISSION_AFTER_DISCHARGE", _reversed),
    FaultKind(
        "wrong_stay", 10, "LOS_MISMATCH", lambda message, _: message.update(act_ipt_days=message["act_ipt_days"] + 1)
    ),
    FaultKind("payers_off", 10, "PAYERS_NOT_TOTAL", _payers_off),
    FaultKind("items_off", 10, "ITEMS_NOT_TOTAL", _items_off),
    FaultKind("negative_payer", 10, "NEGATIVE_PAYER", _negative_payer),
    FaultKind("zero_total", 10, "TOTAL_NOT_POSITIVE", _zero_total),
    FaultKind(
        "amount_as_number", 10, "AMOUNT_NOT_TEXT", lambda message, case: message.update(psn_cashpay=case.cash_fen)
    ),
    FaultKind(
        "another_hospital",
        10,
        "ANOTHER_HOSPITALS_LIST",
        lambda message, _: message.update(fixmedins_code="H99999999999"),
    ),
    FaultKind("unknown_insurance", 10, "UNKNOWN_INSURANCE_TYPE", lambda message, _: message.update(insutype="999")),
    FaultKind("no_agreement", 10, "NO_AGREEMENT"),
    FaultKind("continuation", 10, "CONTINUATION_SEGMENT", lambda message, _: message.update(seg_no=2)),
    FaultKind("repeated_line", 15, "DUPLICATE_IN_BATCH"),
    FaultKind("broken_line", 5, "NOT_JSON", rewrite=lambda line: line[: len(line) // 2]),
    FaultKind("gb18030_line", 5, "ENCODING_NOT_UTF8", rewrite=lambda line: line.decode().encode("gb18030")),
    FaultKind("corrected_list", 100, ""),
    FaultKind("late_list", 60, "LATE_LIST", _late, refused=False),
    FaultKind("unknown_field", 20, "UNKNOWN_FIELD", lambda message, _: message.update(medcasnr="R1"), refused=False),
)
"""Every wanted fault, how often in ten thousand cases, and the code intake must give (预设差错一览)."""

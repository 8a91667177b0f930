"""Rules that hold one part of a list against another (证据一致性规则): Q09, Q11, Q14, Q19 and anaesthesia.

Each is off until policy names it with its severity, and each looks things up in a table that policy brings. A rule that is on and lacks
its table, or a list that lacks what the rule needs, is told "cannot judge" in so many words: it neither passes nor fails by default.
Policy: submission/lists, `submission.optional_checks` and the tables named below.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import lru_cache
from typing import TypeVar

from fenzhi.rules.quantities import fen_from_yuan, yuan_from_fen
from fenzhi.rules.submission.settlement_list import SettlementList
from fenzhi.rules.submission.verdict import Severity, Verdict
from fenzhi.rules.submission.verdict_texts import verdict

_T = TypeVar("_T")

EVIDENCE_CODES = frozenset(
    {
        "DIAGNOSIS_PROCEDURE_MISMATCH",
        "DIAGNOSIS_COST_MISMATCH",
        "DURATION_UNREADABLE",
        "DURATION_BEYOND_STAY",
        "PROCEDURE_WITHOUT_SURGERY_CHARGE",
        "COMPLICATION_WITHOUT_DIAGNOSIS",
        "PROCEDURE_ANAESTHESIA_MISMATCH",
    }
)
"""Codes of these rules (规则代码)."""
FREEZING_CODES = frozenset({"PROCEDURE_ANAESTHESIA_MISMATCH"})
"""Findings that keep an accepted list out of every run until a bureau releases it (冻结规则)."""
SURGERY_CLASS = "06"
"""手术费, national charge class."""
_DURATION = re.compile(r"(\d{1,4})/(\d{1,2})/(\d{1,2})", re.ASCII)
MINUTES_A_DAY = 1_440


@dataclass(frozen=True, slots=True)
class EvidenceTables:
    """What the rules look things up in (证据对照表). None: not entered. Keys are beginnings of codes; the longest one decides."""

    diagnoses_of_procedure: Mapping[str, tuple[str, ...]] | None = None
    """Procedure → beginnings of the diagnoses it goes with. Policy: submission.procedure_limited_diagnoses."""
    cost_of_diagnosis: Mapping[str, tuple[int, int]] | None = None
    """Principal diagnosis → least and most total cost, in fen. Policy: submission.diagnosis_cost_bands."""
    charged_procedures: frozenset[str] | None = None
    """Procedures that are not done without a surgery charge. Policy: submission.charged_procedures."""
    complication_of_diagnosis: Mapping[str, str] | None = None
    """Diagnosis → CC or MCC. Policy: submission.complication_diagnoses."""
    anaesthesia_of_procedure: Mapping[str, frozenset[str]] | None = None
    """Procedure → the `anst_way` it may be done under. Policy: submission.anaesthesia_of_procedures."""


NO_TABLES = EvidenceTables()


def words(text: str) -> tuple[str, ...]:
    """The codes of an entry, parted by blanks (以空格分隔的编码)."""
    return tuple(text.split())


def cost_band(text: str) -> tuple[int, int] | None:
    """Least and most fen of `least-most` in yuan, or None for any other text (费用区间).

    >>> cost_band("500-12000.50"), cost_band("2-1"), cost_band("x")
    ((50000, 1200050), None, None)
    """
    low, _, high = text.partition("-")
    try:
        band = fen_from_yuan(low), fen_from_yuan(high)
    except ValueError:
        return None
    return band if 0 <= band[0] <= band[1] else None


@lru_cache(maxsize=4096)
def duration_minutes(text: str) -> int | None:
    """Minutes of a duration written days/hours/minutes, or None for any other text (时长).

    >>> duration_minutes("1/13/24"), duration_minutes("0/24/0"), duration_minutes("13:24")
    (2244, None, None)
    """
    found = _DURATION.fullmatch(text)
    if found is None or int(found[2]) > 23 or int(found[3]) > 59:
        return None
    return int(found[1]) * MINUTES_A_DAY + int(found[2]) * 60 + int(found[3])


def ask_evidence(given: SettlementList, on: Mapping[str, Severity], tables: EvidenceTables) -> Iterator[Verdict]:
    """Findings of the rules that are on (证据一致性结论), in a fixed order."""
    for code, ask in (
        ("DIAGNOSIS_PROCEDURE_MISMATCH", _diagnosis_and_procedure),
        ("DIAGNOSIS_COST_MISMATCH", _diagnosis_and_cost),
        ("PROCEDURE_WITHOUT_SURGERY_CHARGE", _procedure_and_charge),
        ("COMPLICATION_WITHOUT_DIAGNOSIS", _complication),
        ("PROCEDURE_ANAESTHESIA_MISMATCH", _anaesthesia),
    ):
        if code in on:
            yield from ask(given, on, tables)
    if "DURATION_UNREADABLE" in on or "DURATION_BEYOND_STAY" in on:
        yield from _durations(given, on)


def _unjudged(code: str, where: str, missing_zh: str, missing_en: str) -> Verdict:
    return verdict("CHECK_NOT_JUDGED", where, "", check=code, missing=missing_zh, missing_en=missing_en)


def _no_table(code: str, where: str, key: str) -> Verdict:
    return _unjudged(code, where, f"对照表 {key} 未录入", f"the table {key} has not been entered")


def _longest(table: Mapping[str, _T], coded: str) -> _T | None:
    return next((table[coded[:size]] for size in range(len(coded), 0, -1) if coded[:size] in table), None)


def _procedures(given: SettlementList) -> list[tuple[str, str, str | None]]:
    return [
        (f"oprninfo[{place}].oprn_oprt_code", row.code, row.anaesthesia)
        for place, row in enumerate(given.procedures)
        if row.code is not None
    ]


def _diagnosis_and_procedure(
    given: SettlementList, on: Mapping[str, Severity], tables: EvidenceTables
) -> Iterator[Verdict]:
    """Q09: a procedure without any diagnosis it goes with (诊断与手术操作不符)."""
    code, rows = "DIAGNOSIS_PROCEDURE_MISMATCH", _procedures(given)
    if not rows:
        return
    if tables.diagnoses_of_procedure is None:
        yield _no_table(code, "oprninfo", "submission.procedure_limited_diagnoses")
        return
    stated = [row.code for row in given.diagnoses or () if row.code is not None]
    for where, coded, _ in rows:
        wanted = _longest(tables.diagnoses_of_procedure, coded)
        if wanted is not None and not any(one.startswith(wanted) for one in stated):
            yield verdict(code, where, coded, severities=on, coded=coded, wanted="、".join(wanted))


def _diagnosis_and_cost(given: SettlementList, on: Mapping[str, Severity], tables: EvidenceTables) -> Iterator[Verdict]:
    """Q09: a total cost outside the band of the principal diagnosis (诊断与费用不符)."""
    code, principals = "DIAGNOSIS_COST_MISMATCH", given.principal_diagnoses()
    if len(principals) != 1 or principals[0][1].code is None or given.total_fen is None:
        return  # What is missing is told by the rule that misses it.
    if tables.cost_of_diagnosis is None:
        yield _no_table(code, "medfee_sumamt", "submission.diagnosis_cost_bands")
        return
    coded = principals[0][1].code
    band = _longest(tables.cost_of_diagnosis, coded)
    if band is not None and not band[0] <= given.total_fen <= band[1]:
        limits = f"{yuan_from_fen(band[0])}-{yuan_from_fen(band[1])}"
        amount = yuan_from_fen(given.total_fen)
        yield verdict(code, "medfee_sumamt", amount, severities=on, coded=coded, amount=amount, limits=limits)


def _procedure_and_charge(
    given: SettlementList, on: Mapping[str, Severity], tables: EvidenceTables
) -> Iterator[Verdict]:
    """Q14: a coded operation and no charge for surgery (有手术编码而无手术费)."""
    code, rows = "PROCEDURE_WITHOUT_SURGERY_CHARGE", _procedures(given)
    if not rows:
        return
    if tables.charged_procedures is None:
        yield _no_table(code, "oprninfo", "submission.charged_procedures")
        return
    named = [row for row in rows if row[1].startswith(tuple(tables.charged_procedures))]
    if named and not given.items:
        yield _unjudged(code, "iteminfo", "清单没有收费项目（iteminfo）", "the list has no charge items")
        return
    charged = sum(item.amount_fen for item in given.items or () if item.item_class == SURGERY_CLASS and item.amount_fen)
    if charged <= 0:
        for where, coded, _ in named:
            yield verdict(code, where, coded, severities=on, coded=coded)


def _complication(given: SettlementList, on: Mapping[str, Severity], tables: EvidenceTables) -> Iterator[Verdict]:
    """Q19: CC or MCC marked without a diagnosis that is one (并发症标记无相应诊断)."""
    code, mark = "COMPLICATION_WITHOUT_DIAGNOSIS", given.complication_mark
    if mark not in ("CC", "MCC"):
        return
    if tables.complication_of_diagnosis is None:
        yield _no_table(code, "ccmcc_flag", "submission.complication_diagnoses")
        return
    others = [row.code for row in given.diagnoses or () if row.code is not None and not row.principal]
    found = {_longest(tables.complication_of_diagnosis, one) for one in others}
    if "MCC" not in found and (mark == "MCC" or "CC" not in found):
        yield verdict(code, "ccmcc_flag", mark, severities=on, mark=mark)


def _anaesthesia(given: SettlementList, on: Mapping[str, Severity], tables: EvidenceTables) -> Iterator[Verdict]:
    """A procedure under an anaesthesia it is not done under (手术操作与麻醉方式不符)."""
    code, rows = "PROCEDURE_ANAESTHESIA_MISMATCH", _procedures(given)
    if not rows:
        return
    if tables.anaesthesia_of_procedure is None:
        yield _no_table(code, "oprninfo", "submission.anaesthesia_of_procedures")
        return
    for where, coded, way in rows:
        allowed = _longest(tables.anaesthesia_of_procedure, coded)
        place = where.replace("oprn_oprt_code", "anst_way")
        if allowed is None:
            continue
        if way is None:
            yield _unjudged(code, place, f"{coded} 未填麻醉方式", f"{coded} states no anaesthesia")
        elif way not in allowed:
            slots = {"coded": coded, "way": way, "allowed": "、".join(sorted(allowed))}
            yield verdict(code, place, way, severities=on, **slots)


def _durations(given: SettlementList, on: Mapping[str, Severity]) -> Iterator[Verdict]:
    """Q11: times on a ventilator or in intensive care, written days/hours/minutes and no longer than the stay (时长)."""
    stated = [("vent_used_dura", given.ventilator_duration)]
    stated += [(f"icuinfo[{place}].scs_cutd_sum_dura", one) for place, one in enumerate(given.icu_durations or ())]
    for where, text in stated:
        if text is None:
            continue
        minutes = duration_minutes(text)
        if minutes is None:
            if "DURATION_UNREADABLE" in on:
                yield verdict("DURATION_UNREADABLE", where, text, severities=on, duration=text)
        elif "DURATION_BEYOND_STAY" in on:
            if given.admission_date is None or given.discharge_date is None:
                yield _unjudged("DURATION_BEYOND_STAY", where, "出入院日期不全", "the dates of the stay are not there")
            else:
                # Dates without hours: a stay lasts to the end of its last day at the most.
                most = ((given.discharge_date - given.admission_date).days + 1) * MINUTES_A_DAY
                if minutes > most:
                    days = str((given.discharge_date - given.admission_date).days)
                    yield verdict("DURATION_BEYOND_STAY", where, text, severities=on, duration=text, days=days)

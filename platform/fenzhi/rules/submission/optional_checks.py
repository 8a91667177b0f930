"""Quality-control rules that an area may switch on (可选质控规则): dated policy names them with their severity and brings their tables.

No primary text sets their tables or limits, so none is asked until a province enters it with a document. A rule whose table says nothing
of a code says nothing of the list. Policy: submission/lists, `submission.optional_checks`.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import TypeVar

from fenzhi.rules.policy.resolved import ResolvedPolicy
from fenzhi.rules.quantities import yuan_from_fen
from fenzhi.rules.refusals import DataRefused, Refusal
from fenzhi.rules.submission.evidence_checks import (
    EVIDENCE_CODES,
    NO_TABLES,
    EvidenceTables,
    ask_evidence,
    cost_band,
    words,
)
from fenzhi.rules.submission.settlement_list import SettlementList
from fenzhi.rules.submission.verdict import Severity, Verdict
from fenzhi.rules.submission.verdict_texts import verdict

_T = TypeVar("_T")

OPTIONAL_CODES = frozenset(
    {
        "SEX_DIAGNOSIS_MISMATCH",
        "AGE_DIAGNOSIS_MISMATCH",
        "NEWBORN_DIAGNOSIS_AGE",
        "SURGERY_CHARGE_WITHOUT_PROCEDURE",
        "SHORT_STAY_WITHOUT_PROCEDURE",
        "ONLY_DRUGS_CHARGED",
        *EVIDENCE_CODES,
    }
)
"""Codes that policy may switch on (可启用的规则代码)."""
NEWBORN_DAYS = 29
"""Days of life below which P07 is coded (新生儿期, 天)."""
SURGERY_CLASS = "06"
"""手术费, national charge class."""
DRUG_CLASSES = frozenset({"09", "10", "11", "13"})
"""西药费、中药饮片费、中成药费、挂号费, national charge classes."""


@dataclass(frozen=True, slots=True)
class OptionalChecks:
    """Which of the rules an area asks, and by what (已启用的可选规则)."""

    severities: Mapping[str, Severity] = field(default_factory=dict)
    """Code → severity; a code that is not here is not asked."""
    sex_of: Mapping[str, str] = field(default_factory=dict)
    """Beginning of a diagnosis code → `gend` it belongs to (诊断限性别)."""
    ages_of: Mapping[str, tuple[int, int]] = field(default_factory=dict)
    """Beginning of a diagnosis code → least and most age on admission, in days (诊断限年龄)."""
    short_stay_days: int = 0
    evidence: EvidenceTables = NO_TABLES


NO_OPTIONAL_CHECKS = OptionalChecks()


def optional_checks(resolved: ResolvedPolicy) -> OptionalChecks:
    """The rules an area asks (由生效策略取得可选规则). Raises: DataRefused for a code or an age range nobody knows."""
    if not resolved.has("submission.optional_checks"):
        return NO_OPTIONAL_CHECKS
    named = resolved.map("submission.optional_checks")
    ages = _map(resolved, "submission.age_limited_diagnoses")
    if faults := [*unknown_checks(named), *unreadable_ranges(ages)]:
        raise DataRefused(tuple(faults))
    ranges = {prefix: _range(text) for prefix, text in ages.items()}
    days = resolved.integer("submission.short_stay_days") if resolved.has("submission.short_stay_days") else 0
    return OptionalChecks(
        {code: Severity(severity) for code, severity in named.items()},
        _map(resolved, "submission.sex_limited_diagnoses"),
        {prefix: limits for prefix, limits in ranges.items() if limits is not None},
        days,
        _evidence(resolved),
    )


def _evidence(resolved: ResolvedPolicy) -> EvidenceTables:
    """The tables that were entered (已录入的对照表). Raises: DataRefused for a band nobody can read."""

    def entered(key: str) -> dict[str, str] | None:
        return resolved.map(key) if resolved.has(key) else None

    procedures = entered("submission.procedure_limited_diagnoses")
    bands = entered("submission.diagnosis_cost_bands")
    anaesthesia = entered("submission.anaesthesia_of_procedures")
    charged = "submission.charged_procedures"
    if faults := unreadable_bands(bands or {}):
        raise DataRefused(tuple(faults))
    read = {prefix: cost_band(text) for prefix, text in (bands or {}).items()}
    return EvidenceTables(
        None if procedures is None else {prefix: words(text) for prefix, text in procedures.items()},
        None if bands is None else {prefix: band for prefix, band in read.items() if band is not None},
        frozenset(resolved.list(charged)) if resolved.has(charged) else None,
        entered("submission.complication_diagnoses"),
        None if anaesthesia is None else {prefix: frozenset(words(text)) for prefix, text in anaesthesia.items()},
    )


def unreadable_bands(bands: Mapping[str, str]) -> list[Refusal]:
    """Every entry whose costs are not least-most yuan (无法读取的费用区间)."""
    return [
        Refusal(
            "COST_BAND_UNREADABLE", "submission.diagnosis_cost_bands", f"{prefix}: {text}",
            f"“{text}”不是“最低-最高”金额（元）。", f"'{text}' is not least-most yuan.",
            "例如 500-12000.00。", "For instance 500-12000.00.",
        )
        for prefix, text in bands.items()
        if cost_band(text) is None
    ]  # fmt: skip


def unknown_checks(named: Iterable[str]) -> list[Refusal]:
    """Every code that is no optional rule (未知规则代码), for who proposes the policy and for who reads it."""
    return [_unknown(name) for name in sorted(set(named) - OPTIONAL_CODES)]


def unreadable_ranges(ages: Mapping[str, str]) -> list[Refusal]:
    """Every entry whose ages are not least-most days (无法读取的年龄范围)."""
    return [_unknown(prefix) for prefix, text in ages.items() if _range(text) is None]


def _map(resolved: ResolvedPolicy, key: str) -> dict[str, str]:
    return resolved.map(key) if resolved.has(key) else {}


def _range(text: str) -> tuple[int, int] | None:
    low, _, high = text.partition("-")
    if not (low.isascii() and low.isdigit() and high.isascii() and high.isdigit()) or int(low) > int(high):
        return None
    return int(low), int(high)


def _unknown(name: str) -> Refusal:
    return Refusal(
        "OPTIONAL_CHECK_UNKNOWN",
        "submission.optional_checks",
        name,
        f"“{name}”不是可启用的质控规则，或其年龄范围不是“最小-最大”天数。",
        f"'{name}' is no rule that can be switched on, or its ages are not 'least-most' days.",
        f"可用规则：{'、'.join(sorted(OPTIONAL_CODES))}。",
        f"Rules: {', '.join(sorted(OPTIONAL_CODES))}.",
    )


def ask_optional(given: SettlementList, asked: OptionalChecks) -> Iterator[Verdict]:
    """Findings of the rules that are on (可选规则结论), in the order of their codes."""
    on = asked.severities
    rows = [(place, row.code) for place, row in enumerate(given.diagnoses or ()) if row.code is not None]
    days = _age_days(given)
    for place, coded in rows:
        where = f"diseinfo[{place}].diag_code"
        sex = _longest(asked.sex_of, coded) if "SEX_DIAGNOSIS_MISMATCH" in on else None
        if sex is not None and given.sex in ("1", "2") and given.sex != sex:
            slots = {"coded": coded, "wanted": sex, "stated": given.sex}
            yield verdict("SEX_DIAGNOSIS_MISMATCH", where, coded, severities=on, **slots)
        limits = _longest(asked.ages_of, coded) if "AGE_DIAGNOSIS_MISMATCH" in on else None
        if limits is not None and days is not None and not limits[0] <= days <= limits[1]:
            slots = {"coded": coded, "limits": f"{limits[0]}-{limits[1]}", "days": str(days)}
            yield verdict("AGE_DIAGNOSIS_MISMATCH", where, coded, severities=on, **slots)
        if "NEWBORN_DIAGNOSIS_AGE" in on and coded.startswith("P07") and days is not None and days >= NEWBORN_DAYS:
            yield verdict("NEWBORN_DIAGNOSIS_AGE", where, coded, severities=on, coded=coded, days=str(days))
    yield from _charges(given, asked)
    yield from ask_evidence(given, on, asked.evidence)


def _charges(given: SettlementList, asked: OptionalChecks) -> Iterator[Verdict]:
    on = asked.severities
    charged = {item.item_class: item.amount_fen for item in given.items or () if item.amount_fen}
    surgery = charged.get(SURGERY_CLASS)
    none_stated = not given.procedures and "oprninfo" not in given.unread
    if "SURGERY_CHARGE_WITHOUT_PROCEDURE" in on and surgery is not None and surgery > 0 and none_stated:
        amount = yuan_from_fen(surgery)
        yield verdict("SURGERY_CHARGE_WITHOUT_PROCEDURE", "oprninfo", amount, severities=on, amount=amount)
    if given.admission_date is not None and given.discharge_date is not None and none_stated:
        stay = (given.discharge_date - given.admission_date).days
        if "SHORT_STAY_WITHOUT_PROCEDURE" in on and 0 <= stay < asked.short_stay_days:
            slots = {"days": str(stay), "limit": str(asked.short_stay_days)}
            yield verdict("SHORT_STAY_WITHOUT_PROCEDURE", "dscg_time", str(stay), severities=on, **slots)
    if "ONLY_DRUGS_CHARGED" in on and charged and charged.keys() <= DRUG_CLASSES:
        yield verdict("ONLY_DRUGS_CHARGED", "iteminfo", "、".join(sorted(map(str, charged))), severities=on)


def _age_days(given: SettlementList) -> int | None:
    if given.birth_date is None or given.admission_date is None or given.birth_date > given.admission_date:
        return None
    return (given.admission_date - given.birth_date).days


def _longest(table: Mapping[str, _T], coded: str) -> _T | None:
    """The entry of the longest beginning of a code (最长前缀)."""
    return next((table[coded[:size]] for size in range(len(coded), 0, -1) if coded[:size] in table), None)

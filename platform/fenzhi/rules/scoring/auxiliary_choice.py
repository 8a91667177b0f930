"""The auxiliary subtype a case takes (辅助目录取用): of all it fits, the one with the highest coefficient, and no other.

An edition publishes for each group its subtypes with their coefficients; what makes a case fit a subtype is policy: rows that name a fact
with its band, other diagnoses, the way of discharge, and how long the stay was. Coefficients are never multiplied with each other.
"""

from __future__ import annotations

import csv
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal
from enum import StrEnum

from fenzhi.rules.catalog.disease_group import diagnosis_keys
from fenzhi.rules.catalog.group_conditions import expanded_keys
from fenzhi.rules.quantities import exact_decimal
from fenzhi.rules.refusals import Refusal

SUBTYPE_COLUMNS = ("group_code", "dimension", "subtype", "coefficient")


class Dimension(StrEnum):
    """What a subtype looks at (辅助维度)."""

    TUMOUR_SEVERITY = "tumour_severity"  # 恶性肿瘤严重程度
    SEVERITY = "severity"  # 疾病严重程度
    CCI = "cci"  # 合并症指数
    AGE = "age"  # 年龄特征
    ICU = "icu"  # 监护病房
    SECONDARY = "secondary"  # 次要诊断


class ScoringFact(StrEnum):
    """A number of the case that a factor looks at (计分事实)."""

    AGE_DAYS = "age_days"  # 入院日龄
    LOS_DAYS = "los_days"  # 住院天数
    BIRTH_WEIGHT_G = "birth_weight_g"  # 出生体重
    ICU_DAYS = "icu_days"  # 监护病房天数
    CCI = "cci"  # 合并症指数, from the other diagnoses
    OTHER_DIAGNOSES = "other_diagnoses"  # 其他诊断数
    PROCEDURES = "procedures"  # 手术操作数


@dataclass(frozen=True, slots=True)
class CciEntry:
    """One category of the comorbidity index (合并症类别): its diagnosis keys and its weight."""

    category: str
    keys: frozenset[str]
    weight: int


@dataclass(frozen=True, slots=True)
class CaseFacts:
    """What factors may look at (计分所用病例事实). None: not told. Units: days, grams, fen."""

    age_days: int | None = None
    los_days: int | None = None
    birth_weight_g: int | None = None
    icu_days: int | None = None
    discharge_way: str | None = None
    other_diagnoses: tuple[str, ...] = ()
    procedures: tuple[str, ...] = ()
    tcm_fen: int | None = None


class IcuDayCounting(StrEnum):
    """How hours in intensive care are days (重症监护天数计算办法)."""

    FULL = "full"  # 满24小时为一天
    STARTED = "started"  # 不足一天按一天

    def days(self, minutes: int | None) -> int | None:
        """Days of a time in minutes (分钟折算天数); None: not told. Policy: scoring.icu_day_counting.

        >>> IcuDayCounting.FULL.days(2_244), IcuDayCounting.STARTED.days(2_244), IcuDayCounting.STARTED.days(0), IcuDayCounting.FULL.days(None)
        (1, 2, 0, None)
        """
        if minutes is None:
            return None
        return minutes // 1_440 if self is IcuDayCounting.FULL else -(-minutes // 1_440)


@dataclass(frozen=True, slots=True)
class FactTest:
    """A fact within a band, both ends included (事实取值段)."""

    fact: ScoringFact
    low: int | None
    high: int | None


@dataclass(frozen=True, slots=True)
class SubtypeRule:
    """What makes a case fit a subtype (辅助分型条件): all that is asked for must hold."""

    dimension: Dimension
    subtype: str
    tests: tuple[FactTest, ...] = ()
    diagnoses: frozenset[str] = frozenset()
    """Keys of which another diagnosis must lie under one; empty: not asked."""
    discharge_ways: frozenset[str] = frozenset()


@dataclass(frozen=True, slots=True)
class Subtype:
    """A published subtype of a group (辅助分型)."""

    dimension: Dimension
    subtype: str
    coefficient: Decimal


def comorbidity_index(others: Sequence[str], entries: Sequence[CciEntry]) -> int:
    """Sum over the categories of the index, each counted once (合并症指数).

    A diagnosis counts in the category of its most specific key alone; where that key stands in several, in the one of the highest weight.

    >>> entries = (CciEntry("diabetes", frozenset(["E11"]), 1), CciEntry("renal", frozenset(["E11.2", "N18"]), 2))
    >>> comorbidity_index(["E11.200", "N18.500", "E11.900"], entries)
    3
    """
    found: dict[str, int] = {}
    for code in others:
        for _, key in diagnosis_keys(code):
            at = [one for one in entries if key in one.keys]
            if at:
                best = max(at, key=lambda one: (one.weight, one.category))
                found[best.category] = best.weight
                break
    return sum(found.values())


def fact_value(fact: ScoringFact, facts: CaseFacts, cci: Sequence[CciEntry]) -> int | None:
    """A fact of the case (取事实), None where it was not told."""
    match fact:
        case ScoringFact.CCI:
            return comorbidity_index(facts.other_diagnoses, cci)
        case ScoringFact.OTHER_DIAGNOSES:
            return len(dict.fromkeys(facts.other_diagnoses))
        case ScoringFact.PROCEDURES:
            return len(dict.fromkeys(facts.procedures))
        case ScoringFact.AGE_DAYS:
            return facts.age_days
        case ScoringFact.LOS_DAYS:
            return facts.los_days
        case ScoringFact.BIRTH_WEIGHT_G:
            return facts.birth_weight_g
        case ScoringFact.ICU_DAYS:
            return facts.icu_days


def within(value: int, test: FactTest) -> bool:
    """Does the value lie in the band (是否在段内)?"""
    return (test.low is None or test.low <= value) and (test.high is None or value <= test.high)


def fits(rule: SubtypeRule, facts: CaseFacts, cci: Sequence[CciEntry]) -> bool:
    """Does the case fit (是否符合分型条件)? A fact that was not told fits nothing."""
    for test in rule.tests:
        value = fact_value(test.fact, facts, cci)
        if value is None or not within(value, test):
            return False
    if rule.diagnoses and not any(
        key in rule.diagnoses for code in facts.other_diagnoses for _, key in diagnosis_keys(code)
    ):
        return False
    return not rule.discharge_ways or facts.discharge_way in rule.discharge_ways


def chosen_subtype(published: Sequence[Subtype], fitting: Sequence[SubtypeRule]) -> Subtype | None:
    """The one subtype a case takes (取系数最高者): ties to the dimension and subtype in byte order; None where it fits none."""
    fits_in = {(rule.dimension, rule.subtype) for rule in fitting}
    candidates = [one for one in published if (one.dimension, one.subtype) in fits_in]
    return min(candidates, key=lambda one: (-one.coefficient, one.dimension.value, one.subtype), default=None)


def read_subtypes(content: bytes) -> tuple[tuple[tuple[str, str, str, Decimal], ...], tuple[Refusal, ...]]:
    """The rows of a file of subtypes, with every fault at once (读取辅助目录文件): CSV, UTF-8.

    Refuses: subtypes_encoding, subtypes_columns, subtypes_row, subtypes_dimension, subtypes_coefficient, subtypes_repeated.
    """
    try:
        rows = list(csv.reader(content.decode("utf-8-sig").splitlines(keepends=True), strict=True))
    except (UnicodeDecodeError, csv.Error) as error:
        return (), (_fault("subtypes_encoding", "file", str(error), "不是 UTF-8 编码的 CSV。", "Not a CSV in UTF-8."),)
    if not rows or tuple(rows[0]) != SUBTYPE_COLUMNS:
        header = ",".join(SUBTYPE_COLUMNS)
        saw = ",".join(rows[0]) if rows else ""
        return (), (_fault("subtypes_columns", "row 1", saw, f"表头须为 {header}。", f"The header is {header}."),)
    known = {one.value for one in Dimension}
    found: dict[tuple[str, str, str], Decimal] = {}
    faults: list[Refusal] = []
    for number, cells in enumerate(rows[1:], start=2):
        if not cells:
            continue
        where = f"row {number}"
        if len(cells) != len(SUBTYPE_COLUMNS) or not cells[0] or not cells[2]:
            faults.append(
                _fault("subtypes_row", where, ",".join(cells), "每行四列，病种与分型必填。", "Four cells, none blank.")
            )
            continue
        if cells[1] not in known:
            one_of = ", ".join(sorted(known))
            faults.append(_fault("subtypes_dimension", where, cells[1], f"维度须为 {one_of}。", f"One of {one_of}."))
            continue
        try:
            coefficient = exact_decimal(cells[3])
        except ValueError:
            coefficient = Decimal(0)
        if coefficient <= 0:
            faults.append(
                _fault("subtypes_coefficient", where, cells[3], "系数须为大于 0 的小数。", "A decimal above zero.")
            )
            continue
        key = (cells[0], cells[1], cells[2])
        if key in found:
            faults.append(
                _fault("subtypes_repeated", where, "/".join(key), "该分型重复。", "The subtype is listed twice.")
            )
            continue
        found[key] = coefficient
    return tuple((*key, coefficient) for key, coefficient in found.items()), tuple(faults)


def rule_of_row(row: Mapping[str, str]) -> SubtypeRule:
    """A row of the policy table scoring.auxiliary_rules (辅助分型条件行).

    Columns: dimension, subtype, facts (`age_days:0-28;los_days:3-`), diagnoses (`R65/J96-J98`), discharge_ways (`5`). Raises: ValueError.
    """
    return SubtypeRule(
        Dimension(row["dimension"]),
        row["subtype"],
        fact_tests(row["facts"]),
        expanded_keys(tuple(row["diagnoses"].split("/"))) if row["diagnoses"] else frozenset(),
        frozenset(row["discharge_ways"].split("/")) if row["discharge_ways"] else frozenset(),
    )


def fact_tests(cell: str) -> tuple[FactTest, ...]:
    """The tests of a cell such as `age_days:0-28;los_days:3-` (取值段单元格). Raises: ValueError."""
    tests: list[FactTest] = []
    for text in cell.split(";") if cell else ():
        name, colon, band = text.partition(":")
        low, dash, high = band.partition("-")
        if not colon or not dash or (not low and not high):
            raise ValueError(f"not a band: {text!r}")
        test = FactTest(ScoringFact(name), int(low) if low else None, int(high) if high else None)
        if test.low is not None and test.high is not None and test.high < test.low:
            raise ValueError(f"a band that ends before it begins: {text!r}")
        tests.append(test)
    return tuple(tests)


def _fault(code: str, where: str, saw: str, zh: str, en: str) -> Refusal:
    return Refusal(code, where, saw[:200], zh, en, "核对后重新上传。", "Correct it and upload it again.")

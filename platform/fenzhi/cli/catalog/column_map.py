"""What the columns of a discharge file mean (列映射): a YAML or JSON file, so that any file is read without new code.

The schema is published as docs/catalog-columns.schema.json. A map with faults is refused with all of them at once.
"""

from __future__ import annotations

import codecs
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import yaml

from fenzhi.rules.refusals import DataRefused, Refusal

UNIT_PLACES = {"fen": 0, "yuan": 2, "wan": 6}
"""Decimals of one fen in each unit an amount may be written in (金额单位)."""
EXCEL_DATE = "excel"

TOP = (
    "version", "file", "missing", "case_id", "principal_diagnosis", "procedures", "discharge_date", "cost", "los_days",
    "hospital", "level", "coefficient", "set_aside", "secondary_diagnoses", "age", "age_days", "icu_days", "died",
    "drug_cost", "consumable_cost",
)  # fmt: skip
FILE = ("delimiter", "encoding", "quote", "header", "compression")
SOURCE = ("column",)
CODES = ("column", "columns", "separator", "letters", "dot")
PRINCIPAL = (*CODES, "shape", "key_characters")
DATES = ("column", "formats")
COST = ("column", "unit", "thousands", "more_decimals")
SECONDARY = ("column", "columns")
DIED = ("column", "equals")
SKIP = ("column", "equals", "reason")
FIELDS: Mapping[str, tuple[str, ...]] = {
    "file": FILE,
    "case_id": SOURCE,
    "principal_diagnosis": PRINCIPAL,
    "procedures": CODES,
    "discharge_date": DATES,
    "cost": COST,
    "los_days": SOURCE,
    "hospital": SOURCE,
    "level": SOURCE,
    "coefficient": SOURCE,
    "secondary_diagnoses": SECONDARY,
    "age": SOURCE,
    "age_days": SOURCE,
    "icu_days": SOURCE,
    "died": DIED,
    "drug_cost": SOURCE,
    "consumable_cost": SOURCE,
}
_KEY_CHARACTERS = tuple(str(one) for one in range(1, 41))
_REASON = re.compile(r"[a-z][a-z0-9_]{1,60}", re.ASCII)


@dataclass(frozen=True, slots=True)
class CodeColumns:
    """Where codes stand and how they are written (代码列). Codes come in the order of the columns, then within a cell."""

    columns: tuple[str, ...]
    separators: tuple[str, ...] = ()
    letters: str = "as_written"
    dot: str = "written"
    shape: str = "icd10"
    key_characters: int = 5
    """Characters of the principal diagnosis that a group keys on (诊断粒度): 5 is the 4-character subcategory with its dot."""


@dataclass(frozen=True, slots=True)
class SkipRule:
    """Rows that are not discharges of their own (剔除规则): those whose column holds one of the values."""

    column: str
    equals: tuple[str, ...]
    reason: str


@dataclass(frozen=True, slots=True)
class ColumnMap:
    """A column map that was read without a fault (列映射)."""

    principal_diagnosis: CodeColumns
    procedures: CodeColumns | None
    cost: str | None = None
    cost_unit: str = "yuan"
    thousands: str = ""
    round_more_decimals: bool = False
    discharge_date: str | None = None
    date_formats: tuple[str, ...] = ()
    case_id: str | None = None
    los_days: str | None = None
    hospital: str | None = None
    level: str | None = None
    coefficient: str | None = None
    secondary_diagnoses: tuple[str, ...] = ()
    """Columns of the other diagnoses, whatever stands between the codes of a cell."""
    age: str | None = None
    age_days: str | None = None
    icu_days: str | None = None
    died: str | None = None
    died_values: tuple[str, ...] = ()
    drug_cost: str | None = None
    """In the unit of the cost, as the next one."""
    consumable_cost: str | None = None
    set_aside: tuple[SkipRule, ...] = ()
    missing: tuple[str, ...] = ("",)
    delimiter: str = ","
    encoding: str = "utf-8"
    quote: str = '"'
    header: bool = True
    compression: str = "auto"

    def columns(self) -> tuple[str, ...]:
        """Every column the map names, once each (涉及的列)."""
        procedures = self.procedures.columns if self.procedures else ()
        single = (
            self.cost,
            self.discharge_date,
            self.case_id,
            self.los_days,
            self.hospital,
            self.level,
            self.coefficient,
            self.age,
            self.age_days,
            self.icu_days,
            self.died,
            self.drug_cost,
            self.consumable_cost,
        )
        codes = (*self.principal_diagnosis.columns, *procedures, *self.secondary_diagnoses)
        named = (*codes, *single, *(rule.column for rule in self.set_aside))
        return tuple(dict.fromkeys(column for column in named if column is not None))


def read_column_map(text: str) -> ColumnMap:
    """The column map of a YAML or JSON text (读取列映射). Raises: DataRefused with every fault at once."""
    try:
        document = yaml.load(text, Loader=yaml.BaseLoader)
    except yaml.MarkedYAMLError as error:
        line = error.problem_mark.line + 1 if error.problem_mark else 1
        raise DataRefused(
            (_fault("column_map_text", f"line {line}", str(error.problem), "不是 YAML 或 JSON。", "Not YAML or JSON."),)
        ) from error
    reader = _Reader()
    found = reader.read(document)
    if found is None or reader.faults:
        raise DataRefused(tuple(reader.faults))
    return found


def _fault(code: str, where: str, saw: str, zh: str, en: str) -> Refusal:
    return Refusal(
        code,
        where,
        saw[:200],
        zh,
        en,
        "按 docs/catalog.md 的列映射格式更正。",
        "Correct it by the column map format in docs/catalog.md.",
    )


@dataclass
class _Reader:
    faults: list[Refusal] = field(default_factory=list)

    def read(self, document: Any) -> ColumnMap | None:
        if not isinstance(document, dict):
            self._fault("map", "", "列映射须为键值结构。", "A column map is a mapping.")
            return None
        self._known("", document, TOP)
        if document.get("version", "1") != "1":
            self._fault(
                "version", document["version"], "只支持列映射版本 1。", "Only version 1 of the column map is known."
            )
        diagnosis = self._codes(document, "principal_diagnosis")
        if diagnosis is None:
            self._fault("principal_diagnosis", "", "必须指明主要诊断列。", "The principal diagnosis must be mapped.")
            return None
        date = self._section(document, "discharge_date")
        cost = self._section(document, "cost")
        died = self._section(document, "died")
        secondary = self._section(document, "secondary_diagnoses", needs_column=False) or {}
        others = [secondary["column"]] if isinstance(secondary.get("column"), str) else secondary.get("columns", [])
        if not _is_texts(others):
            self._fault(
                "secondary_diagnoses",
                str(others),
                "须以 column 或 columns 指明列。",
                "Name its column, or its columns.",
            )
            others = []
        form = self._section(document, "file", needs_column=False) or {}
        formats = self._texts(date, "discharge_date", "formats", ("%Y-%m-%d",)) if date else ()
        for one in formats:
            if one != EXCEL_DATE and "%" not in one:
                self._fault(
                    "discharge_date.formats",
                    one,
                    "日期格式须含 % 标记或为 excel。",
                    "A date format has % marks, or is excel.",
                )
        missing = document.get("missing", [""])
        if not _is_texts(missing):
            self._fault("missing", str(missing), "缺失标记须为文本列表。", "Missing marks are a list of texts.")
            missing = [""]
        encoding = str(form.get("encoding", "utf-8"))
        try:
            codecs.lookup(encoding)
        except LookupError:
            self._fault("file.encoding", encoding, "未知的文件编码。", "No such encoding.")
        delimiter = {"tab": "\t", "\\t": "\t", "comma": ","}.get(
            str(form.get("delimiter", ",")), str(form.get("delimiter", ","))
        )
        quote = str(form.get("quote", '"'))
        if len(delimiter) != 1 or delimiter in "\r\n":
            self._fault("file.delimiter", delimiter, "分隔符须为一个字符。", "A delimiter is one character.")
        if len(quote) > 1:
            self._fault("file.quote", quote, "引号须为一个字符或空。", "A quote is one character or empty.")
        return ColumnMap(
            principal_diagnosis=diagnosis,
            procedures=self._codes(document, "procedures"),
            cost=_column(cost),
            cost_unit=self._choice("cost.unit", (cost or {}).get("unit", "yuan"), tuple(UNIT_PLACES)),
            thousands=str((cost or {}).get("thousands", "")),
            round_more_decimals=self._choice(
                "cost.more_decimals", (cost or {}).get("more_decimals", "refuse"), ("refuse", "half_up")
            )
            == "half_up",
            discharge_date=_column(date),
            date_formats=tuple(formats),
            case_id=_column(self._section(document, "case_id")),
            los_days=_column(self._section(document, "los_days")),
            hospital=_column(self._section(document, "hospital")),
            level=_column(self._section(document, "level")),
            coefficient=_column(self._section(document, "coefficient")),
            secondary_diagnoses=tuple(others),
            age=_column(self._section(document, "age")),
            age_days=_column(self._section(document, "age_days")),
            icu_days=_column(self._section(document, "icu_days")),
            died=_column(died),
            died_values=self._texts(died, "died", "equals", ("1",)) if died else (),
            drug_cost=_column(self._section(document, "drug_cost")),
            consumable_cost=_column(self._section(document, "consumable_cost")),
            set_aside=self._skips(document.get("set_aside", [])),
            missing=tuple(dict.fromkeys(["", *missing])),
            delimiter=delimiter,
            encoding=encoding,
            quote=quote,
            header=self._choice("file.header", form.get("header", "true"), ("true", "false")) == "true",
            compression=self._choice("file.compression", form.get("compression", "auto"), ("auto", "none", "gzip")),
        )

    def _codes(self, document: dict[str, Any], name: str) -> CodeColumns | None:
        section = self._section(document, name, needs_column=False)
        if section is None:
            return None
        columns = [section["column"]] if isinstance(section.get("column"), str) else section.get("columns", [])
        if not _is_texts(columns) or not columns:
            self._fault(name, str(columns), "须以 column 或 columns 指明列。", "Name its column, or its columns.")
            return None
        given = section.get("separator", [])
        separators = [given] if isinstance(given, str) else given
        if not _is_texts(separators) or not all(separators):
            self._fault(f"{name}.separator", str(given), "代码分隔符须为非空文本。", "A code separator is a text.")
            separators = []
        return CodeColumns(
            tuple(columns),
            tuple(separators),
            self._choice(f"{name}.letters", section.get("letters", "as_written"), ("as_written", "insurance")),
            self._choice(f"{name}.dot", section.get("dot", "written"), ("written", "absent")),
            self._choice(f"{name}.shape", section.get("shape", "icd10"), ("icd10", "any")),
            int(self._choice(f"{name}.key_characters", section.get("key_characters", "5"), _KEY_CHARACTERS)),
        )

    def _skips(self, rules: Any) -> tuple[SkipRule, ...]:
        if not isinstance(rules, list):
            self._fault("set_aside", str(rules), "剔除规则须为列表。", "Set-aside rules are a list.")
            return ()
        found: list[SkipRule] = []
        for place, rule in enumerate(rules, start=1):
            where = f"set_aside[{place}]"
            if not isinstance(rule, dict):
                self._fault(where, str(rule), "须含 column、equals、reason。", "Needs column, equals and reason.")
                continue
            self._known(f"{where}.", rule, SKIP)
            equals = [rule["equals"]] if isinstance(rule.get("equals"), str) else rule.get("equals")
            column, reason = rule.get("column"), rule.get("reason")
            if (
                not isinstance(column, str)
                or not _is_texts(equals)
                or not isinstance(reason, str)
                or not _REASON.fullmatch(reason)
            ):
                self._fault(
                    where,
                    str(rule),
                    "须含 column、equals，reason 用小写字母与下划线。",
                    "Needs column, equals and a lower-case reason.",
                )
                continue
            found.append(SkipRule(column, tuple(str(one) for one in equals or ()), reason))
        return tuple(found)

    def _section(self, document: dict[str, Any], name: str, *, needs_column: bool = True) -> dict[str, Any] | None:
        section = document.get(name)
        if section is None:
            return None
        if isinstance(section, str) and name != "file":
            section = {"column": section}
        if not isinstance(section, dict):
            self._fault(name, str(section), "须为列名或键值结构。", "Must be a column name or a mapping.")
            return None
        self._known(f"{name}.", section, FIELDS[name])
        if needs_column and not isinstance(section.get("column"), str):
            self._fault(f"{name}.column", str(section), "缺少列名。", "The column is missing.")
            return None
        return section

    def _texts(self, section: dict[str, Any], name: str, key: str, otherwise: tuple[str, ...]) -> tuple[str, ...]:
        value = section.get(key, list(otherwise))
        listed = [value] if isinstance(value, str) else value
        if not _is_texts(listed) or not listed:
            self._fault(f"{name}.{key}", str(value), "须为文本列表。", "Must be a list of texts.")
            return otherwise
        return tuple(listed)

    def _choice(self, where: str, value: Any, known: tuple[str, ...]) -> str:
        if value in known:
            return str(value)
        self._fault(where, str(value), f"取值应为 {'、'.join(known)} 之一。", f"Must be one of {', '.join(known)}.")
        return known[0]

    def _known(self, where: str, section: dict[str, Any], known: tuple[str, ...]) -> None:
        for name in section:
            if name not in known:
                self._fault(
                    f"{where}{name}",
                    str(name),
                    f"未知字段；可用 {'、'.join(known)}。",
                    f"Unknown field; known are {', '.join(known)}.",
                )

    def _fault(self, where: str, saw: str, zh: str, en: str) -> None:
        self.faults.append(_fault("column_map", where, saw, zh, en))


def _column(section: dict[str, Any] | None) -> str | None:
    return None if section is None else str(section["column"])


def _is_texts(value: Any) -> bool:
    return isinstance(value, list) and all(isinstance(one, str) for one in value)

"""The lists an edition brings along (目录附表): what is excluded, what may not be a main procedure, which extension stands for what.

Three rules on procedures: *not_main* (不可作为主要手术操作): the next procedure becomes the main one; *conservative* (按保守治疗入组): such a
main procedure makes the case a conservative one, and beside another main procedure it counts for nothing; *limited_main*
(限范围可作主要手术操作): a main procedure for the listed diagnoses only, otherwise as *conservative*.
"""

from __future__ import annotations

import csv
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum

from fenzhi.rules.catalog.conjunctions import base_procedure_code, is_procedure_code
from fenzhi.rules.catalog.disease_group import Granularity, diagnosis_keys, has_diagnosis_shape
from fenzhi.rules.catalog.group_conditions import expanded_keys
from fenzhi.rules.refusals import Refusal


class CatalogStandard(StrEnum):
    """Which national rules of grouping an edition follows (分组方案版本)."""

    V1 = "1.0"  # 2020 版
    V2 = "2.0"  # 2024 版
    V3 = "3.0"  # 2026 版


class EditionList(StrEnum):
    """The lists (附表)."""

    PRINCIPAL = "principal"  # 不可作为主要诊断
    NOT_MAIN = "not_main"  # 不可作为主要手术操作
    CONSERVATIVE = "conservative"  # 按保守治疗入组
    LIMITED_MAIN = "limited_main"  # 限范围可作主要手术操作
    EXTENSION = "extension"  # 扩展码归属


LIST_COLUMNS = ("list", "code", "scope")


@dataclass(frozen=True)
class EditionLists:
    """The lists of an edition (目录附表). Codes are exact: an excluded `A09.900` says nothing about `A09.901`."""

    principals: frozenset[str] = frozenset()
    not_main: frozenset[str] = frozenset()
    conservative: frozenset[str] = frozenset()
    limited_main: Mapping[str, frozenset[str]] = field(default_factory=dict)
    """Procedure → the diagnosis keys it may be a main procedure for."""
    extensions: Mapping[str, str] = field(default_factory=dict)
    """Extended procedure → its base, where the shape of the code does not tell (扩展码 → 基本码)."""

    @property
    def touches_procedures(self) -> bool:
        """Is there any rule on procedures (是否有手术操作附表)?"""
        return bool(self.not_main or self.conservative or self.limited_main)

    def base_of(self, procedure: str) -> str:
        """The base of a procedure (基本码): the code itself where it is one."""
        return self.extensions.get(procedure) or base_procedure_code(procedure)

    def effective(self, principal: str, procedures: Sequence[str]) -> tuple[str, ...]:
        """The procedures that count, the main one first (有效手术操作). Empty: the case is treated as conservative.

        >>> lists = EditionLists(not_main=frozenset(["88.7200"]), conservative=frozenset(["99.2900"]))
        >>> lists.effective("I21.000", ["88.7200", "36.0700", "99.2900"]), lists.effective("I21.000", ["88.7200"])
        (('36.0700', '88.7200'), ())
        """
        main = next((code for code in procedures if code not in self.not_main), None)
        if main is None or main in self.conservative:
            return ()
        allowed = self.limited_main.get(main)
        if allowed is not None and allowed.isdisjoint(key for _, key in diagnosis_keys(principal)):
            return ()
        return (main, *(code for code in procedures if code != main and code not in self.conservative))


NO_LISTS = EditionLists()


def edition_lists(rows: Iterable[tuple[str, str, str]]) -> EditionLists:
    """The lists of rows (list, code, scope) as stored (组成附表). Raises: ValueError for a list of another name."""
    found: dict[EditionList, dict[str, str]] = {one: {} for one in EditionList}
    for name, code, scope in rows:
        found[EditionList(name)][code] = scope
    return EditionLists(
        frozenset(found[EditionList.PRINCIPAL]),
        frozenset(found[EditionList.NOT_MAIN]),
        frozenset(found[EditionList.CONSERVATIVE]),
        {code: expanded_keys(tuple(scope.split("/"))) for code, scope in found[EditionList.LIMITED_MAIN].items()},
        dict(found[EditionList.EXTENSION]),
    )


def read_lists(content: bytes) -> tuple[tuple[tuple[str, str, str], ...], tuple[Refusal, ...]]:
    """The rows of a file of lists, with every fault at once (读取附表文件): CSV, columns list, code, scope.

    Refuses: lists_encoding, lists_columns, lists_row, lists_name, lists_code, lists_scope, lists_repeated, lists_contradictory.
    """
    try:
        rows = list(csv.reader(content.decode("utf-8-sig").splitlines(keepends=True), strict=True))
    except (UnicodeDecodeError, csv.Error) as error:
        return (), (_fault("lists_encoding", "file", str(error), "附表不是 UTF-8 编码的 CSV。", "Not a CSV in UTF-8."),)
    if not rows or tuple(rows[0]) != LIST_COLUMNS:
        saw = ",".join(rows[0]) if rows else ""
        return (), (
            _fault("lists_columns", "row 1", saw, "表头须为 list,code,scope。", "The header is list,code,scope."),
        )
    found: list[tuple[str, str, str]] = []
    faults: list[Refusal] = []
    seen: dict[tuple[str, str], int] = {}
    main_rule: dict[str, str] = {}
    for number, cells in enumerate(rows[1:], start=2):
        if not cells:
            continue
        fault = _row_fault(number, cells)
        if fault is None:
            name, code, _ = cells
            first = seen.setdefault((name, code), number)
            other = main_rule.setdefault(code, name) if name in _MAIN_RULES else name
            where = f"row {number} code"
            if first != number:
                fault = _fault("lists_repeated", where, code, f"与第 {first} 行重复。", f"Repeats row {first}.")
            elif other != name:
                fault = _fault(
                    "lists_contradictory", where, code, f"该代码已在 {other} 表。", f"The code is on {other} too."
                )
        if fault is not None:
            faults.append(fault)
            continue
        found.append((cells[0], cells[1], cells[2]))
    return tuple(found), tuple(faults)


_MAIN_RULES = (EditionList.NOT_MAIN.value, EditionList.CONSERVATIVE.value, EditionList.LIMITED_MAIN.value)


def _row_fault(number: int, cells: Sequence[str]) -> Refusal | None:
    if len(cells) != len(LIST_COLUMNS):
        return _fault("lists_row", f"row {number}", ",".join(cells)[:200], "每行三列。", "A row has three cells.")
    name, code, scope = cells
    if name not in {one.value for one in EditionList}:
        known = "、".join(EditionList)
        return _fault(
            "lists_name", f"row {number} list", name, f"附表须为 {known} 之一。", f"One of {', '.join(EditionList)}."
        )
    diagnosis = name == EditionList.PRINCIPAL
    if not (has_diagnosis_shape(code, Granularity.FULL) if diagnosis else is_procedure_code(code)):
        return _fault("lists_code", f"row {number} code", code, "代码格式不符。", "Not a full code of its kind.")
    if name == EditionList.LIMITED_MAIN:
        try:
            expanded_keys(tuple(scope.split("/")))
        except ValueError:
            return _fault(
                "lists_scope",
                f"row {number} scope",
                scope,
                "须列出允许的诊断。",
                "List the diagnoses allowed, with / between.",
            )
    elif name == EditionList.EXTENSION:
        if not is_procedure_code(scope) or scope == code:
            return _fault("lists_scope", f"row {number} scope", scope, "须为基本码。", "The base code is wanted.")
    elif scope:
        return _fault("lists_scope", f"row {number} scope", scope, "该表不填范围。", "This list has no scope.")
    return None


def _fault(code: str, where: str, saw: str, zh: str, en: str) -> Refusal:
    return Refusal(code, where, saw[:200], zh, en, "核对附表后重新上传。", "Correct the list and upload it again.")

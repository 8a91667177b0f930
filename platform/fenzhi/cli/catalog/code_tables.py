"""Code tables from CSV files (代码表): `code`, and where the file has them `is_gray` and a class of procedures.

Any table with a column `code` will do; other columns are passed over. A class that the file does not give is never guessed.
"""

from __future__ import annotations

import csv
import gzip
import io
from collections.abc import Iterator
from enum import StrEnum
from pathlib import Path

from fenzhi.rules.catalog.disease_group import ProcedureClass
from fenzhi.rules.catalog.edition import CodeTables, ProcedureEntry
from fenzhi.rules.refusals import DataRefused, Refusal


class Interventions(StrEnum):
    """What an interventional procedure counts as (介入治疗归类): contested between sources, so it is named."""

    SURGICAL = "surgical"  # 按手术
    THERAPEUTIC = "therapeutic"  # 按治疗性操作


_CLASSES = {
    "": None,
    "diagnostic": ProcedureClass.DIAGNOSTIC,
    "therapeutic": ProcedureClass.THERAPEUTIC,
    "surgical": ProcedureClass.SURGICAL,
    "诊断性操作": ProcedureClass.DIAGNOSTIC,
    "治疗性操作": ProcedureClass.THERAPEUTIC,
    "手术": ProcedureClass.SURGICAL,
}
_INTERVENTION = "介入治疗"
CLASS_COLUMNS = ("procedure_class", "type_proxy", "类别")


def read_diagnoses(path: Path) -> dict[str, bool]:
    """Full diagnosis codes with their gray flag (诊断代码表). Raises: DataRefused."""
    return {row["code"]: row.get("is_gray", "") == "1" for _, row in _rows(path)}


def read_procedures(path: Path, interventions: Interventions = Interventions.SURGICAL) -> dict[str, ProcedureEntry]:
    """Procedure codes with class and gray flag (手术操作代码表). Raises: DataRefused for a class nobody knows."""
    found: dict[str, ProcedureEntry] = {}
    faults: list[Refusal] = []
    for number, row in _rows(path):
        text = next((row[name] or "" for name in CLASS_COLUMNS if name in row), "")
        if text == _INTERVENTION:
            text = interventions.value
        if text not in _CLASSES:
            faults.append(
                Refusal(
                    "code_class",
                    f"{path.name} row {number}",
                    text[:40],
                    "未知的手术操作类别。",
                    "An unknown class of procedures.",
                    f"使用 {'、'.join(name for name in _CLASSES if name)} 或留空。",
                    f"Use {', '.join(name for name in _CLASSES if name)}, or leave it blank.",
                )
            )
            continue
        found[row["code"]] = ProcedureEntry(_CLASSES[text], row.get("is_gray", "") == "1")
    if faults:
        raise DataRefused(tuple(faults[:100]))
    return found


def read_code_tables(
    diagnoses: Path | None, procedures: Path | None, interventions: Interventions = Interventions.SURGICAL
) -> CodeTables:
    """The tables given, empty where none is (代码表). Raises: DataRefused."""
    return CodeTables(
        read_diagnoses(diagnoses) if diagnoses else {},
        read_procedures(procedures, interventions) if procedures else {},
    )


def _rows(path: Path) -> Iterator[tuple[int, dict[str, str]]]:
    try:
        content = path.read_bytes()
        text = (gzip.decompress(content) if content[:2] == b"\x1f\x8b" else content).decode("utf-8-sig")
    except (OSError, EOFError, UnicodeDecodeError) as error:
        raise DataRefused((_broken(path, str(error)),)) from error
    reader = csv.DictReader(io.StringIO(text, newline=""))
    if "code" not in (reader.fieldnames or ()):
        raise DataRefused((_broken(path, ",".join(reader.fieldnames or ())[:200]),))
    for number, row in enumerate(reader, start=2):
        if row["code"]:
            yield number, row


def _broken(path: Path, saw: str) -> Refusal:
    return Refusal(
        "code_table_unreadable",
        path.name,
        saw,
        "代码表须为含 code 列的 UTF-8 CSV(可 gzip 压缩)。",
        "A code table is a UTF-8 CSV with a column `code`, gzipped or not.",
        "核对文件与表头。",
        "Check the file and its header.",
    )

"""The workbook bench (目录工作簿压测): a workbook of so many groups × 12 columns → cells, rows, every one against the draft.

The floor is the same file read by a library that keeps values only (no formulas, no raw text of numbers), in the same run.
"""

from __future__ import annotations

import hashlib
import random
import resource
import time
from dataclasses import replace
from decimal import Decimal
from io import BytesIO

import python_calamine
import xlsxwriter  # type: ignore[import-untyped]

from fenzhi.rules.catalog.disease_group import DiseaseGroup, Granularity
from fenzhi.rules.catalog.edition import CodeTables
from fenzhi.rules.refusals import InvariantBroken
from fenzhi.services.catalog.groups_workbook import group_cells
from fenzhi.services.catalog.workbook_columns import COLUMNS, SHEET
from fenzhi.services.catalog.workbook_reading import judge_rows, read_table

_COLUMNS = (
    "row_version",
    "dip_code",
    "dx_code",
    "dx_name",
    "dx_granularity",
    "main_ops",
    "main_op_names",
    "other_ops",
    "other_op_names",
    "kind",
    "level",
    "score",
)
_EDITED_EVERY = 100


def bench_workbook(cases: int, seed: int) -> dict[str, object]:
    """Read a workbook of so many groups of 12 cells against a draft (目录工作簿读取压测); one score in a hundred is edited.

    Answers cases (rows), seed, seconds, per_s, peak_rss_mb, result_sha256, floors, ratios, includes.
    Raises: InvariantBroken when an edit is lost or one is found that nobody made.
    """
    held = _groups(cases, seed)
    wanted = {
        one.group_code: one.score + Decimal("0.25") for place, one in enumerate(held) if place % _EDITED_EVERY == 0
    }
    content = _workbook([replace(one, score=wanted.get(one.group_code, one.score)) for one in held], held)
    began = time.perf_counter()
    python_calamine.CalamineWorkbook.from_filelike(BytesIO(content)).get_sheet_by_name(SHEET).to_python()
    floor_s = time.perf_counter() - began
    tables = CodeTables({one.diagnosis + "00": False for one in held}, {})
    began = time.perf_counter()
    table = read_table(content)
    read_s = time.perf_counter() - began
    edits = judge_rows(table, held, tables, score_places=2)
    seconds = time.perf_counter() - began
    found = {code: group.score for code, group in edits.changed.items()}
    if found != wanted or edits.faults or edits.stale or edits.unchanged != cases - len(wanted):
        raise InvariantBroken("edits read = edits made", detail=f"{len(found)} of {len(wanted)}, {edits.faults[:2]}")
    digest = hashlib.sha256("\n".join(f"{code} {score}" for code, score in sorted(found.items())).encode())
    return {
        "cases": cases,
        "seed": seed,
        "seconds": round(seconds, 3),
        "per_s": int(cases / seconds),
        "peak_rss_mb": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024,
        "result_sha256": digest.hexdigest(),
        "floors": {"calamine_values_s": round(floor_s, 3)},
        "ratios": {"calamine_values": round(floor_s / seconds, 3)},
        "includes": {
            "timed": "xlsx bytes → archive checks, cells with their kinds, rows against the draft, edits",
            "read_cells_s": round(read_s, 3),
            "columns": len(_COLUMNS),
            "cells": cases * len(_COLUMNS),
            "edited": len(found),
            "file_mb": round(len(content) / 1e6, 1),
            "data": "synthetic",
        },
    }


def _groups(count: int, seed: int) -> list[DiseaseGroup]:
    chance = random.Random(seed)
    found = []
    for place in range(count):
        diagnosis = f"{'ABCDEFGHIJKLMNOPQRSTUVWZ'[place % 24]}{place // 24 % 100:02d}.{place // 2400 % 10}"
        procedure = f"{place // 24000 % 90 + 1:02d}.{chance.randrange(10_000):04d}"
        other = f"{chance.randrange(1, 87):02d}.{chance.randrange(10_000):04d}"
        found.append(
            DiseaseGroup(
                group_code=f"{diagnosis}:{procedure}_{other}-{place}",
                diagnosis=diagnosis,
                granularity=Granularity.SUBCATEGORY,
                score=Decimal(chance.randrange(5_000, 500_000)).scaleb(-2),
                main_procedures=((procedure,),),
                related_procedures=((other,),),
                sequence=str(place + 1),
                diagnosis_name=f"病种名称{place % 5_000}",
                main_procedure_names="腹腔镜下阑尾切除术",
                related_procedure_names="腹腔镜检查",
            )
        )
    return found


def _workbook(said: list[DiseaseGroup], held: list[DiseaseGroup]) -> bytes:
    out = BytesIO()
    book = xlsxwriter.Workbook(out, {"constant_memory": True, "strings_to_numbers": False})
    sheet = book.add_worksheet(SHEET)
    headers = {column.name: column.header for column in COLUMNS}
    for at, name in enumerate(_COLUMNS):
        sheet.write_string(0, at, headers[name])
    for number, (one, before) in enumerate(zip(said, held, strict=True), start=1):
        cells = group_cells(one) | {"row_version": group_cells(before)["row_version"]}
        for at, name in enumerate(_COLUMNS):
            sheet.write_string(number, at, cells[name])
    book.close()
    return out.getvalue()

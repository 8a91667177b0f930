"""`fenzhi generate`: write a synthetic province to a folder (生成合成省数据).

Everything written is invented and says so. The same seed and number of cases write the same bytes.
"""

from __future__ import annotations

import csv
import datetime as dt
import json
import sys
from collections import Counter
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Annotated, BinaryIO

import typer

from fenzhi.cli.synthetic.lists import history, labelled_lists
from fenzhi.cli.synthetic.plan import ProvincePlan, plan_json
from fenzhi.cli.synthetic.province import synthetic_province

DONE, REFUSED = 0, 2
_README = """合成数据 SYNTHETIC DATA

本目录全部内容由 fenzhi generate 生成：省、市、县、机构、患者、病例与金额均为虚构，编码类别与灰码为构造。
Everything here was written by `fenzhi generate`: province, hospitals, patients, cases and amounts are invented.

plan.json                省、市、县、机构、系数、协议、政策参数 / tenants, coefficients, agreements, policy values
diagnosis_codes.csv      诊断编码表 / diagnosis codes
procedure_codes.csv      手术操作编码表 / procedure codes
history.ndjson           前三年出院病例，每行一例 / discharges of three years, one a line
lists/<机构编号>.ndjson  结算年度清单，每行一份 / settlement lists of the year, one a line, by hospital
wanted_faults.json       预设差错数 / how many lists carry which wanted fault
"""


def generate(
    out: Annotated[Path, typer.Option("--out", help="Folder to write to (输出目录).", file_okay=False)],
    cases: Annotated[int, typer.Option("--cases", help="Discharges of each year (每年病例数).")],
    seed: Annotated[int, typer.Option("--seed", help="The same seed writes the same bytes (随机种子).")] = 1,
    as_json: Annotated[bool, typer.Option("--json", help="Print a summary as JSON and nothing else.")] = False,
) -> int:
    """Write a province with `cases` discharges a year, three years of history and a settlement year (生成合成数据).

    Exit code 0, or 2 when `cases` is below 1 or `out` holds something else already. Memory: constant.
    """
    if cases < 1:
        return _refuse("病例数至少为 1。", "At least one case is needed.", as_json)
    if out.exists() and (not out.is_dir() or (any(out.iterdir()) and not (out / "plan.json").is_file())):
        return _refuse(f"{out} 已有其他内容。", f"{out} already holds something else.", as_json)
    plan = synthetic_province(seed)
    out.mkdir(parents=True, exist_ok=True)
    (out / "README.txt").write_text(_README, encoding="utf-8")
    (out / "plan.json").write_text(plan_json(plan), encoding="utf-8")
    _write_codes(out, plan)
    past = _write_history(out / "history.ndjson", plan, cases)
    faults, lines = _write_lists(out / "lists", plan, cases)
    (out / "wanted_faults.json").write_text(
        json.dumps(dict(sorted(faults.items())), ensure_ascii=False, indent=1) + "\n", encoding="utf-8"
    )
    summary = {
        "synthetic": True,
        "notice": plan.notice,
        "out": str(out),
        "seed": seed,
        "cases": cases,
        "history": past,
        "lines": lines,
        "hospitals": len(plan.hospitals),
        "wanted_faults": dict(sorted(faults.items())),
    }
    if as_json:
        print(json.dumps(summary, ensure_ascii=False))
    else:
        print(
            f"{plan.notice}\n{out}: {past} 例历史 history, {lines} 行清单 lists, {len(plan.hospitals)} 家机构 hospitals"
        )
    return DONE


def _refuse(zh: str, en: str, as_json: bool) -> int:
    if as_json:
        print(json.dumps({"error": {"code": "GENERATE_REFUSED", "zh": zh, "en": en}}, ensure_ascii=False))
    print(f"{zh} {en}", file=sys.stderr)
    return REFUSED


def _write_codes(out: Path, plan: ProvincePlan) -> None:
    with (out / "diagnosis_codes.csv").open("w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(("code", "name", "is_gray"))
        writer.writerows((row.code, row.name, int(row.is_gray)) for row in plan.diagnoses)
    with (out / "procedure_codes.csv").open("w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(("code", "name", "procedure_class", "is_gray"))
        writer.writerows((row.code, row.name, row.procedure_class, int(row.is_gray)) for row in plan.procedures)


def _write_history(path: Path, plan: ProvincePlan, cases: int) -> int:
    count = 0
    with path.open("w", encoding="utf-8", newline="") as file:
        for row in history(plan, cases):
            file.write(json.dumps(row, ensure_ascii=False, separators=(",", ":")) + "\n")
            count += 1
    return count


def _write_lists(folder: Path, plan: ProvincePlan, cases: int) -> tuple[Counter[str], int]:
    """One file a hospital; lines keep the order of days (按机构写出清单)."""
    folder.mkdir(exist_ok=True)
    first, last = dt.date(plan.settlement_year, 1, 1), dt.date(plan.settlement_year, 12, 31)
    faults: Counter[str] = Counter()
    lines = 0
    with ExitStack() as stack:
        files = dict(_opened(stack, folder, plan))
        for made in labelled_lists(plan, cases, first, last):
            files[made.hospital_code].write(made.line + b"\n")
            lines += 1
            if made.fault:
                faults[made.fault] += 1
    return faults, lines


def _opened(stack: ExitStack, folder: Path, plan: ProvincePlan) -> Iterator[tuple[str, BinaryIO]]:
    for hospital in plan.hospitals:
        yield hospital.code, stack.enter_context((folder / f"{hospital.code}.ndjson").open("wb"))

"""`fenzhi explain`: the path of one case into its group and points, and why no other group took it (病例解释)."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated, Any

import typer

from fenzhi.cli.catalog.column_map import read_column_map
from fenzhi.cli.group import (
    Catalog,
    Choices,
    Coefficient,
    Diagnoses,
    Dialect,
    Hospitals,
    Level,
    Lists,
    Procedures,
    Provisional,
    References,
    Subtypes,
    group_lines,
)
from fenzhi.cli.offline import OfflineCase, OfflineRules, read_cases, read_rules
from fenzhi.rules.quantities import fen_from_yuan
from fenzhi.rules.refusals import NotFound

OK, PARTLY = 0, 1


def explain(
    catalog: Catalog,
    file: Annotated[Path | None, typer.Option("--file", help="A file of cases; with --case.", exists=True)] = None,
    case: Annotated[str, typer.Option("--case", help="The case of the file, by its id.")] = "",
    columns: Annotated[Path | None, typer.Option("--columns", help="Column map of a CSV file.", exists=True)] = None,
    dx: Annotated[str, typer.Option("--dx", help="Principal diagnosis, where no file is given.")] = "",
    px: Annotated[list[str] | None, typer.Option("--px", help="A procedure; repeat it, the main one first.")] = None,
    cost: Annotated[str, typer.Option("--cost", help="Total cost in yuan.")] = "0.00",
    dialect: Dialect = "auto",
    diagnoses: Diagnoses = None,
    procedures: Procedures = None,
    references: References = None,
    hospitals: Hospitals = None,
    choices: Choices = None,
    lists: Lists = None,
    subtypes: Subtypes = None,
    provisional: Provisional = None,
    level: Level = "",
    coefficient: Coefficient = "1",
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON to standard output and nothing else.")] = False,
) -> int:
    """Print how one case finds its group and points, step by step, in Chinese and English (病例解释). Exit 1: ungrouped."""
    rules = read_rules(
        catalog,
        dialect=dialect,
        diagnoses=diagnoses,
        procedures=procedures,
        references=references,
        hospitals=hospitals,
        choices=choices,
        level=level,
        coefficient=coefficient,
        lists=lists,
        subtypes=subtypes,
        provisional=provisional,
    )
    wanted = _wanted(rules, file, case, columns, dx, px or [], cost)
    line = next(iter(group_lines([wanted], rules, explain=True)))
    if as_json:
        print(json.dumps(line, ensure_ascii=False, indent=2))
    else:
        print("\n".join(told(line)))
    return OK if line.get("group_code") else PARTLY


def told(line: dict[str, Any]) -> list[str]:
    """A result line as text for people (病例解释文本), Chinese first."""
    if "refused" in line:
        return [f"病例 {line['case_id']} 不能入组 cannot be grouped:"] + [
            f"  [{one['code']}] {one['where']} {one['saw']} {one['zh']} {one['en']}" for one in line["refused"]
        ]
    lines = [
        f"病例 case {line['case_id'] or line['row']}: {line['group_code'] or '未入组 ungrouped'}",
        f"  {line['reason_zh']} {line['reason_en']} [{line['reason']}]",
    ]
    if line["group_code"] is None and "points" in line:
        lines.append(f"  空白病种 blank group，病例分值 points {line['points']}")
        lines.append(f"  {line['chosen_zh']} {line['chosen_en']}")
    if line["group_code"]:
        lines.append(
            f"  分值 score {line['score']}，系数 coefficient {line['coefficient']}，费用区间 band {line['band']}，病例分值 points {line['points']}"
        )
        lines.append(f"  {line['chosen_zh']} {line['chosen_en']}")
        lines += [f"  候选分值 candidate {one['name']}: {one['points']}" for one in line["candidates"]]
    if "payment_mode" in line:
        lines.append(_paid(line["payment_mode"]))
    lines.append("步骤 steps:")
    for number, step in enumerate(line["steps"], start=1):
        lines.append(f"  {number}. [{step['rule']}] {step['zh']} {step['en']}")
        lines += [f"       依据 document: {step['document']}"] if step["document"] else []
        lines += [f"       {name} = {value}" for name, value in step["values"].items() if value != ""]
    lines.append(f"落选候选 rejected candidates ({len(line['rejected'])}):")
    for one in line["rejected"]:
        lines.append(f"  - {one['group_code']} [{one['cause']}] {one['zh']} {one['en']}")
    return lines


def _paid(mode: dict[str, Any]) -> str:
    """How it is paid (支付方式), and whether by the points above."""
    said = f"  支付方式 payment mode [{mode['rests_on']}]：{mode['zh']} {mode['en']}"
    beside = "；不以上列分值支付 not by the points above"
    return said + beside if mode["by_points"] is False else said


def _wanted(
    rules: OfflineRules, file: Path | None, case: str, columns: Path | None, dx: str, px: list[str], cost: str
) -> OfflineCase:
    if file is None:
        try:
            fen = fen_from_yuan(cost)
        except ValueError as error:
            raise typer.BadParameter(f"--cost: {error}") from error
        return OfflineCase(1, "", dx or None, tuple(px), fen, factor=rules.otherwise)
    mapped = read_column_map(columns.read_text(encoding="utf-8-sig")) if columns else None
    for found in read_cases(file, mapped, rules):
        if found.case_id == case:
            return found
    raise NotFound(
        f"文件中没有病例 {case}。",
        f"The file has no case {case}.",
        hint="核对 --case 与列映射的 case_id。 Check --case and the map's case_id.",
    )

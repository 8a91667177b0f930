"""`fenzhi catalog build`: the groups of any discharge file (由病案文件建组), exact, with every row accounted for."""

from __future__ import annotations

import csv
import io
import json
import time
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from decimal import Decimal
from fractions import Fraction
from pathlib import Path
from typing import Annotated

import typer

from fenzhi.cli.catalog.code_tables import read_diagnoses, read_procedures
from fenzhi.cli.catalog.column_map import ColumnMap, read_column_map
from fenzhi.cli.catalog.discharges import Discharges, answer_sums, sizes_of, sum_discharges
from fenzhi.cli.catalog.formed_build import Formed, form_catalog
from fenzhi.cli.catalog.formed_output import (
    adequacy_json,
    adequacy_of_formed,
    catalog_file,
    coefficients_csv,
    formed_csv,
    formed_json,
    subtypes_csv,
)
from fenzhi.cli.catalog.method_file import BuildMethod, read_method
from fenzhi.rules.catalog.adequacy import adequacy_page
from fenzhi.rules.catalog.groups_from_sums import Deviation, GroupBySet, SetMethod, coverage_threshold, group_by_set
from fenzhi.rules.catalog.score_derivation import WeightingBasis, cv_text
from fenzhi.rules.quantities import decimal_places
from fenzhi.rules.refusals import DataRefused, Refusal

OUT_COLUMNS = ("dx_cat4", "ops", "n", "mean_total", "cv", "mean_los", "relative_weight", "score")
THRESHOLD = 15
"""Cases of a core group in a city (核心病种例数阈值), unless the command names another or a coverage."""


@dataclass(frozen=True, slots=True)
class BuiltCatalog:
    """What a discharge file gave (建组结果)."""

    discharges: Discharges
    groups: tuple[GroupBySet, ...]
    threshold: int
    overall_mean_fen: Fraction
    combinations: int
    chapters: Mapping[str, tuple[int, int, int]]

    @property
    def grouped_rows(self) -> int:
        """Used rows that are in a group (入组行数)."""
        return sum(group.n for group in self.groups)


def build_catalog(
    path: Path,
    columns: ColumnMap,
    method: SetMethod,
    *,
    threshold: int | None = None,
    coverage: Fraction | None = None,
    gray: Mapping[str, bool] | None = None,
) -> BuiltCatalog:
    """Groups by diagnosis key and exact procedure set (建组). Raises: DataRefused."""
    years = tuple(sorted(method.weights)) if method.weights is not None else None
    found = sum_discharges(path, columns, years=years, gray=gray)
    if found.used == 0:
        raise DataRefused((_nothing_used(path, found),))
    least = threshold or THRESHOLD
    if coverage is not None:
        least = coverage_threshold(sizes_of(found), coverage)
    answer = answer_sums(found, least)
    overall = method.mean(answer.years)
    groups = tuple(group_by_set(one, overall, method) for one in answer.sets)
    return BuiltCatalog(found, groups, least, overall, sum(count for _, count in answer.sizes), answer.chapters)


def groups_csv(groups: tuple[GroupBySet, ...]) -> bytes:
    """The groups as CSV (病种表): money with two decimals, CV and weight with four, rounded half up for display."""
    text = io.StringIO(newline="")
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(OUT_COLUMNS)
    for one in groups:
        writer.writerow(
            (
                one.diagnosis,
                "+".join(one.procedures),
                one.n,
                decimal_places(one.mean_fen / 100, 2),
                "" if one.cv_squared is None else cv_text(one.cv_squared),
                "" if one.mean_los is None else decimal_places(one.mean_los, 2),
                decimal_places(one.weight, 4),
                format(one.score, "f"),
            )
        )
    return text.getvalue().encode()


def adequacy(built: BuiltCatalog) -> dict[str, object]:
    """What the edition cannot say well (充分性报告): shares outside any group, newborns, groups that scatter too widely."""
    used = built.discharges.used
    chapters = {
        letter: {"rows": rows, "in_groups": grouped, "groups": groups, "ungrouped_share": _share(rows - grouped, rows)}
        for letter, (rows, grouped, groups) in sorted(built.chapters.items())
    }
    wide = [one for one in built.groups if one.cv_squared is not None and one.cv_squared > 1]
    return {
        "ungrouped_share": _share(used - built.grouped_rows, used),
        "newborn_ungrouped_share": chapters["P"]["ungrouped_share"] if "P" in chapters else None,
        "cv_above_1": {"groups": len(wide), "rows": sum(one.n for one in wide)},
        "chapters": chapters,
    }


def build(
    file: Annotated[
        Path,
        typer.Argument(
            help="A discharge file: CSV, TSV or any delimiter, gzipped or not.", exists=True, dir_okay=False
        ),
    ],
    columns: Annotated[
        Path,
        typer.Option("--columns", help="Column map (YAML or JSON), see docs/catalog.md.", exists=True, dir_okay=False),
    ],
    out: Annotated[Path | None, typer.Option("--out", help="Write the groups here, as CSV.")] = None,
    threshold: Annotated[int, typer.Option("--threshold", min=1, help="Cases that make a core group.")] = THRESHOLD,
    coverage: Annotated[
        str, typer.Option("--coverage", help="Instead of a threshold: share of the cases, such as 0.95.")
    ] = "",
    weights: Annotated[
        str, typer.Option("--weights", help="Yearly weights, such as 2022=1,2023=2,2024=7; none: every case alike.")
    ] = "",
    basis: Annotated[
        WeightingBasis, typer.Option("--basis", help="What yearly weights weigh.")
    ] = WeightingBasis.YEARLY_MEANS,
    deviation: Annotated[
        Deviation, typer.Option("--deviation", help="Standard deviation of the CV.")
    ] = Deviation.POPULATION,
    scale: Annotated[int, typer.Option("--scale", min=1, help="Score of the mean case.")] = 1000,
    score_places: Annotated[int, typer.Option("--score-places", min=0, max=6, help="Decimals of a score.")] = 2,
    diagnoses: Annotated[
        Path | None,
        typer.Option("--diagnoses", help="Code table; what it lacks or marks gray is set aside.", exists=True),
    ] = None,
    method_file: Annotated[
        Path | None,
        typer.Option(
            "--method", help="A method file (docs/catalog.md): all of the rest by name.", exists=True, dir_okay=False
        ),
    ] = None,
    procedures: Annotated[
        Path | None,
        typer.Option("--procedures", help="Procedure table with classes, for comprehensive groups.", exists=True),
    ] = None,
    before: Annotated[
        Path | None, typer.Option("--before", help="--out file of an earlier build: what moved and why.", exists=True)
    ] = None,
    into: Annotated[
        Path | None,
        typer.Option("--into", help="Folder for catalog.csv, subtypes.csv, coefficients.csv and adequacy.md."),
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON to standard output and nothing else.")] = False,
) -> int:
    """Groups of 4-character diagnosis × exact procedure set from any discharge file (由病案文件建组)."""
    began = time.perf_counter()
    if method_file is not None:
        built = form_catalog(
            file,
            read_column_map(columns.read_text(encoding="utf-8-sig")),
            (chosen := read_method(method_file.read_text(encoding="utf-8-sig"))),
            gray=read_diagnoses(diagnoses) if diagnoses else None,
            classes={code: one.procedure_class for code, one in read_procedures(procedures).items()}
            if procedures
            else None,
        )
        return _tell_formed(file, built, chosen, out, into, before, began, as_json=as_json)
    method = SetMethod(scale, score_places, _weights(weights) if weights else None, basis, deviation)
    found = build_catalog(
        file,
        read_column_map(columns.read_text(encoding="utf-8-sig")),
        method,
        threshold=threshold,
        coverage=_coverage(coverage) if coverage else None,
        gray=read_diagnoses(diagnoses) if diagnoses else None,
    )
    if out is not None:
        out.write_bytes(groups_csv(found.groups))
    report = {
        "file": file.name,
        "rows": found.discharges.rows,
        "used": found.discharges.used,
        "set_aside": dict(found.discharges.set_aside),
        "threshold": found.threshold,
        "groups": len(found.groups),
        "grouped_rows": found.grouped_rows,
        "below_threshold": {
            "combinations": found.combinations - len(found.groups),
            "rows": found.discharges.used - found.grouped_rows,
        },
        "overall_mean": decimal_places(found.overall_mean_fen / 100, 2),
        "method": {
            "weights": {str(year): weight for year, weight in (method.weights or {}).items()} or "every case alike",
            "basis": method.basis.value if method.weights else "pooled",
            "deviation": deviation.value,
            "scale": scale,
            "score_places": score_places,
        },
        "adequacy": adequacy(found),
        "broken_rows": [asdict(one) for one in found.discharges.broken],
        "out": str(out) if out is not None else None,
        "seconds": round(time.perf_counter() - began, 3),
    }
    if as_json:
        print(json.dumps(report, ensure_ascii=False, indent=2))
        return 0
    print(
        f"行 rows {report['rows']}，使用 used {report['used']}，剔除 set aside {found.discharges.rows - found.discharges.used}"
    )
    for reason, count in found.discharges.set_aside.items():
        print(f"  {reason} {count}")
    print(f"病种 groups {len(found.groups)}（阈值 threshold {found.threshold}），含病例 rows {found.grouped_rows}")
    return 0


def _tell_formed(
    file: Path,
    formed: Formed,
    method: BuildMethod,
    out: Path | None,
    into: Path | None,
    before: Path | None,
    began: float,
    *,
    as_json: bool,
) -> int:
    report = adequacy_of_formed(formed, method, before)
    if out is not None:
        out.write_bytes(formed_csv(formed, method.score.scale))
    if into is not None:
        into.mkdir(parents=True, exist_ok=True)
        (into / "catalog.csv").write_bytes(catalog_file(formed))
        (into / "subtypes.csv").write_bytes(subtypes_csv(formed))
        (into / "coefficients.csv").write_bytes(coefficients_csv(formed))
        (into / "adequacy.md").write_text(adequacy_page(report, file.name), encoding="utf-8")
    told = {"file": file.name} | formed_json(formed, method) | {"adequacy": adequacy_json(report)}
    told["seconds"] = round(time.perf_counter() - began, 3)
    if as_json:
        print(json.dumps(told, ensure_ascii=False, indent=2))
        return 0
    aside = formed.rows - formed.used
    print(f"行 rows {formed.rows}，使用 used {formed.used}，剔除 set aside {aside}")
    for reason, count in formed.set_aside.items():
        print(f"  {reason} {count}")
    print(f"病种 groups {len(formed.groups)}，含病例 rows {formed.grouped_rows}")
    for reason, count in formed.ungrouped.items():
        print(f"  {reason} {count}")
    print(f"辅助分型 subtypes {len(formed.subtypes)}，变异系数超限病种 wide groups {len(report.wide)}")
    return 0


def _share(part: int, whole: int) -> str:
    return decimal_places(Fraction(part, whole), 4) if whole else "0.0000"


def _weights(text: str) -> dict[int, int]:
    found: dict[int, int] = {}
    for part in text.split(","):
        year, equals, weight = part.strip().partition("=")
        if not equals or not year.isdecimal() or not weight.isdecimal() or int(weight) == 0:
            raise typer.BadParameter("--weights takes YEAR=WEIGHT pairs such as 2022=1,2023=2,2024=7")
        found[int(year)] = int(weight)
    return found


def _coverage(text: str) -> Fraction:
    try:
        share = Fraction(Decimal(text))
    except ArithmeticError:
        share = Fraction(0)
    if not 0 < share <= 1:
        raise typer.BadParameter("--coverage takes a share above 0 and at most 1, such as 0.95")
    return share


def _nothing_used(path: Path, found: Discharges) -> Refusal:
    return Refusal(
        "nothing_used",
        path.name,
        json.dumps(dict(found.set_aside), ensure_ascii=False),
        "没有一行可用于建组。",
        "Not one row of the file could be used.",
        "核对列映射中的列、日期格式、金额单位与缺失标记。",
        "Check columns, date formats, unit of amounts and missing marks in the column map.",
    )

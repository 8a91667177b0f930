"""What `fenzhi catalog build --method` writes (按办法建组的输出): groups, subtypes, coefficients, catalog file, report."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict
from decimal import Decimal
from fractions import Fraction
from pathlib import Path

from fenzhi.cli.catalog.formed_build import Formed, FormedGroup
from fenzhi.cli.catalog.method_file import BuildMethod
from fenzhi.rules.catalog.adequacy import Adequacy, GroupFigures, adequacy_of, percent
from fenzhi.rules.catalog.catalog_text import CLASS_COLUMN, COLUMNS, CatalogDialect, write_catalog
from fenzhi.rules.catalog.conjunctions import conjunction_text
from fenzhi.rules.catalog.score_derivation import cv_text
from fenzhi.rules.quantities import decimal_places
from fenzhi.rules.refusals import DataRefused, Refusal

GROUP_COLUMNS = (
    "group_code", "kind", "dx", "main_ops", "other_ops", "n", "mean_total", "cv", "mean_los", "relative_weight", "score",
    "drug_score", "consumable_score", "grassroots", "lists", "merged_sets", "missing_years",
)  # fmt: skip


def formed_csv(formed: Formed, scale: int) -> bytes:
    """The groups as CSV (病种表): money with two decimals, ratios with four; drug and consumable scores on the scale."""
    return _csv(GROUP_COLUMNS, (_row(one, scale) for one in formed.groups))


def _row(one: FormedGroup, scale: int) -> tuple[object, ...]:
    group = one.group
    return (
        group.group_code,
        group.kind.value,
        group.diagnosis,
        conjunction_text(group.main_procedures),
        conjunction_text(group.related_procedures),
        one.n,
        decimal_places(one.mean_fen / 100, 2),
        "" if one.cv_squared is None else cv_text(one.cv_squared),
        "" if one.mean_los is None else decimal_places(one.mean_los, 2),
        decimal_places(one.weight, 4),
        format(group.score, "f"),
        "" if one.drug_weight is None else decimal_places(one.drug_weight * scale, 2),
        "" if one.consumable_weight is None else decimal_places(one.consumable_weight * scale, 2),
        int(group.grassroots),
        "+".join(one.lists),
        one.merged_sets,
        "+".join(map(str, one.missing_years)),
    )


def subtypes_csv(formed: Formed) -> bytes:
    """The subtypes that passed as CSV (辅助分型表): `taken` counts the cases that take it, the highest one only."""
    columns = ("group_code", "subtype", "dimension", "n", "coefficient", "cv_before", "cv_after", "taken")
    return _csv(
        columns,
        (
            (
                one.group_code,
                one.name,
                one.dimension,
                one.cases,
                decimal_places(one.coefficient, 4),
                cv_text(one.cv_before),
                cv_text(one.cv_after),
                one.taken,
            )
            for one in formed.subtypes
        ),
    )


def coefficients_csv(formed: Formed) -> bytes:
    """Hospital coefficients as CSV (机构系数表): a blank group is the coefficient of the level for every other group."""
    rows = [("", level, decimal_places(value, 4)) for level, value in formed.level_coefficients.items()]
    for code, own in sorted(formed.own_coefficients.items()):
        rows += [(code, level, decimal_places(value, 4)) for level, value in own.items()]
    return _csv(("group_code", "level", "coefficient"), rows)


def catalog_file(formed: Formed) -> bytes:
    """The groups as a catalog file (目录文本), ready to be imported."""
    groups = [one.group for one in formed.groups]
    return write_catalog(groups, CatalogDialect(columns=(*COLUMNS, CLASS_COLUMN)))


def adequacy_of_formed(formed: Formed, method: BuildMethod, before: Path | None) -> Adequacy:
    """The report, against an earlier `--out` file where one is given (充分性报告). Raises: DataRefused."""
    figures = [
        GroupFigures(one.group.group_code, one.n, one.mean_fen, one.cv_squared, one.weight) for one in formed.groups
    ]
    old = read_figures(before) if before is not None else None
    return adequacy_of(figures, formed.chapters, cv_limit=method.adequacy_cv, before=old)


def read_figures(path: Path) -> list[GroupFigures]:
    """The figures of an earlier `--out` file (上一版病种表). Raises: DataRefused."""
    found = []
    try:
        with path.open(encoding="utf-8-sig", newline="") as file:
            for row in csv.DictReader(file):
                cv = Fraction(Decimal(row["cv"])) ** 2 if row["cv"] else None
                mean = Fraction(Decimal(row["mean_total"])) * 100
                found.append(
                    GroupFigures(row["group_code"], int(row["n"]), mean, cv, Fraction(Decimal(row["relative_weight"])))
                )
                if mean <= 0 or found[-1].weight <= 0:
                    raise ValueError("a mean or weight at or below zero")
    except (KeyError, ValueError, ArithmeticError, UnicodeDecodeError) as error:
        raise DataRefused(
            (
                Refusal(
                    "earlier_groups",
                    f"{path.name} row {len(found) + 2}",
                    str(error)[:200],
                    "不是按办法建组输出的病种表。",
                    "Not a groups file written by a build with a method.",
                    "给出上一次 --method 建组的 --out 文件。",
                    "Give the --out file of an earlier build with --method.",
                ),
            )
        ) from error
    return found


def adequacy_json(report: Adequacy, most: int = 50) -> dict[str, object]:
    """The report as JSON values (充分性报告): the widest and most moved groups, every specialty."""
    newborns = report.newborns
    return {
        "cases": report.cases,
        "grouped": report.grouped,
        "ungrouped_share": decimal_places(report.ungrouped_share, 4),
        "newborn_ungrouped_share": decimal_places(newborns.ungrouped_share, 4) if newborns else None,
        "specialties": {
            one.chapter: {
                "cases": one.cases,
                "grouped": one.grouped,
                "groups": one.groups,
                "ungrouped_share": decimal_places(one.ungrouped_share, 4),
            }
            for one in report.specialties
        },
        "cv_above": decimal_places(report.cv_limit, 2),
        "wide_groups": len(report.wide),
        "wide_cases": sum(one.cases for one in report.wide),
        "widest": [
            {"group": one.group_code, "cv": cv_text(one.cv_squared or Fraction(0))} for one in report.wide[:most]
        ],
        "moved_groups": None if report.moved is None else len(report.moved),
        "moved": None
        if report.moved is None
        else [
            {
                "group": one.group_code,
                "before": None if one.before is None else decimal_places(one.before, 4),
                "after": None if one.after is None else decimal_places(one.after, 4),
                "why": one.why,
            }
            for one in report.moved[:most]
        ],
    }


def formed_json(formed: Formed, method: BuildMethod) -> dict[str, object]:
    """The build in figures (建组统计), for `--json`: rows = used + set aside, used = grouped + ungrouped."""
    without: Mapping[str, int] = formed.without_own
    years = formed.overall_by_year
    return {
        "rows": formed.rows,
        "used": formed.used,
        "set_aside": dict(formed.set_aside),
        "threshold": formed.threshold,
        "groups": len(formed.groups),
        "core_groups": sum(one.group.kind == "core" for one in formed.groups),
        "comprehensive_groups": sum(one.group.kind == "comprehensive" for one in formed.groups),
        "grouped_rows": formed.grouped_rows,
        "ungrouped": dict(formed.ungrouped),
        "grouped_share": percent(Fraction(formed.grouped_rows, formed.used)),
        "related_sets_merged": formed.merged_sets,
        "comprehensive_groups_dropped": formed.dropped_comprehensive,
        "grassroots_groups": sum(one.group.grassroots for one in formed.groups),
        "overall_mean": decimal_places(formed.overall_mean_fen / 100, 2),
        "years": {
            str(year): {"cases": n, "mean": decimal_places(Fraction(total, n * 100), 2)}
            for year, (total, n) in years.items()
        },
        "missing_years": {
            "in_file": [year for year in method.weights or () if year not in years],
            "groups_lacking_a_year": sum(bool(one.missing_years) for one in formed.groups),
        },
        "method": {
            "score": method.score.method.value,
            "scale": method.score.scale,
            "basis": method.basis.value,
            "deviation": method.deviation.value,
            "weights": {str(year): weight for year, weight in (method.weights or {}).items()} or "every case alike",
        },
        "auxiliary": {
            "year": formed.subtype_year,
            "held_against_the_gate": formed.gated,
            "passed": len(formed.subtypes),
            "cases_taking_one": sum(one.taken for one in formed.subtypes),
        },
        "coefficients": {
            "levels": {level: decimal_places(value, 4) for level, value in formed.level_coefficients.items()},
            "groups_of_their_own": len(formed.own_coefficients),
            "groups_without": dict(without),
        },
        "broken_rows": [asdict(one) for one in formed.broken],
    }


def _csv(columns: Sequence[str], rows: Iterable[Sequence[object]]) -> bytes:
    text = io.StringIO(newline="")
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(columns)
    writer.writerows(rows)
    return text.getvalue().encode()

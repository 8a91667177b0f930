"""`fenzhi catalog import|lint|export|diff`: catalog files in the dialects in which they are published (目录文件)."""

from __future__ import annotations

import hashlib
import json
import sys
from collections import Counter
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Annotated, Any

import typer
import yaml

from fenzhi.cli.catalog.code_tables import Interventions, read_code_tables
from fenzhi.rules.catalog.catalog_text import write_catalog
from fenzhi.rules.catalog.dialect_faults import CatalogFault, Severity
from fenzhi.rules.catalog.dialect_text import CatalogDocument, read_dialect
from fenzhi.rules.catalog.dialect_writing import write_dialect
from fenzhi.rules.catalog.dialects import DIALECTS, Dialect
from fenzhi.rules.catalog.disease_group import DiseaseGroup
from fenzhi.rules.catalog.edition import CodeTables
from fenzhi.rules.catalog.edition_diff import diff_editions
from fenzhi.rules.catalog.lint import LintFinding, lint_groups
from fenzhi.rules.grouping.grouping_method import GroupingMethod, TieBreak
from fenzhi.rules.refusals import DataRefused, Refusal

OK, REFUSED = 0, 2
AUTO = "auto"

File = Annotated[Path, typer.Argument(help="A catalog file: CSV, UTF-8 or GB18030.", exists=True, dir_okay=False)]
DialectName = Annotated[
    str,
    typer.Option("--dialect", help=f"auto, {', '.join(DIALECTS)}, or a YAML file of your own, see docs/catalog.md."),
]
Diagnoses = Annotated[Path | None, typer.Option("--diagnoses", help="Code table of diagnoses (CSV).", exists=True)]
Procedures = Annotated[Path | None, typer.Option("--procedures", help="Code table of procedures (CSV).", exists=True)]
Places = Annotated[int, typer.Option("--score-places", help="Declared decimals of a score; -1: any.")]
Most = Annotated[int, typer.Option("--most", min=0, help="Faults or findings listed in full; all are counted.")]
Json = Annotated[bool, typer.Option("--json", help="Print JSON to standard output and nothing else.")]


SAME, PLATFORM = "same", "fenzhi"


def dialect_named(name: str) -> Dialect | None:
    """A dialect by name, or from a YAML file with the fields of `Dialect`; None for auto (方言). Raises: DataRefused."""
    if name == AUTO:
        return None
    if name in DIALECTS:
        return DIALECTS[name]
    path = Path(name)
    if path.suffix not in (".yaml", ".yml", ".json") or not path.is_file():
        raise _unknown_dialect(name, "")
    given = yaml.load(path.read_text(encoding="utf-8"), Loader=yaml.BaseLoader)
    base = asdict(DIALECTS["slash_plus"]) | {"name": path.stem, "zh": path.stem, "en": path.stem}
    if not isinstance(given, dict) or set(given) - set(base):
        raise _unknown_dialect(name, ", ".join(sorted(set(given) - set(base))) if isinstance(given, dict) else "")
    fields: dict[str, Any] = base | given
    for field in ("any_of", "all_of", "kind_words"):
        fields[field] = (fields[field],) if isinstance(fields[field], str) else tuple(fields[field])
        if not fields[field] or not all(fields[field]):
            raise _unknown_dialect(name, field)
    for field in ("restores_zeros", "fills_down"):
        fields[field] = fields[field] in (True, "true")
    if len(fields["kind_words"]) != 2 or set(fields["any_of"]) & set(fields["all_of"]):
        raise _unknown_dialect(name, "kind_words, any_of, all_of")
    return Dialect(**fields)


def read_file(path: Path, dialect: str, tables: CodeTables, places: int = -1) -> CatalogDocument:
    """A catalog file in a dialect (读取目录文件). Raises: DataRefused for an unknown dialect only."""
    return read_dialect(path.read_bytes(), dialect_named(dialect), tables, score_places=places if places >= 0 else None)


def import_catalog(
    file: File,
    dialect: DialectName = AUTO,
    diagnoses: Diagnoses = None,
    procedures: Procedures = None,
    interventions: Annotated[
        Interventions, typer.Option("--interventions", help="What 介入治疗 counts as.")
    ] = Interventions.SURGICAL,
    score_places: Places = -1,
    most: Most = 200,
    as_json: Json = False,
) -> int:
    """Read a catalog file and name every fault with its place (导入检查). Exit: 0 no error, 2 with errors."""
    tables = read_code_tables(diagnoses, procedures, interventions)
    document = read_file(file, dialect, tables, score_places)
    report = _summary(file, document) | {"faults": [_fault(one) for one in document.faults[:most]]}
    report["faults_listed"] = min(most, len(document.faults))
    if as_json:
        _print(report)
    else:
        _tell(document, most)
    return REFUSED if document.counts(Severity.ERROR) else OK


def export(
    file: File,
    dialect: DialectName = AUTO,
    out: Annotated[
        Path | None, typer.Option("--out", help="Write here; without it and --json, to standard output.")
    ] = None,
    to: Annotated[
        str, typer.Option("--to", help="same: the very bytes; fenzhi: the platform's own form; or a dialect.")
    ] = SAME,
    diagnoses: Diagnoses = None,
    procedures: Procedures = None,
    as_json: Json = False,
) -> int:
    """Write what was imported (导出目录): in its own dialect the very bytes, or in the platform's form. Exit 2 with errors."""
    document = read_file(file, dialect, read_code_tables(diagnoses, procedures))
    source = file.read_bytes()
    content = _written(document, to)
    if document.faults and not document.header:
        content = source
    if out is not None:
        out.write_bytes(content)
    if as_json:
        _print(
            _summary(file, document)
            | {
                "out": str(out) if out is not None else None,
                "to": to,
                "bytes": len(content),
                "sha256": hashlib.sha256(content).hexdigest(),
                "equals_import": content == source,
            }
        )
    elif out is None:
        sys.stdout.buffer.write(content)
        sys.stdout.buffer.flush()
    return REFUSED if document.counts(Severity.ERROR) else OK


def lint(
    file: File,
    dialect: DialectName = AUTO,
    diagnoses: Diagnoses = None,
    procedures: Procedures = None,
    tie_break: Annotated[str, typer.Option("--tie-break", help="Comparators in order, as policy lists them.")] = "",
    score_places: Places = -1,
    most: Most = 200,
    as_json: Json = False,
) -> int:
    """Groups no case can reach, groups that contend for one case, unknown codes, wrong scores (目录检查). Exit 2 with errors."""
    tables = read_code_tables(diagnoses, procedures)
    document = read_file(file, dialect, tables, score_places)
    findings = lint_groups(document.groups, tables, grouping_method(tie_break))
    report = _summary(file, document)
    counts = Counter(one.code for one in findings)
    report["warnings"] = dict(sorted((Counter(report["warnings"]) + counts).items()))
    rows = _row_of(document)
    report["findings"] = [_finding(one, rows) for one in findings[:most]]
    report["faults"] = [_fault(one) for one in document.faults[:most]]
    if as_json:
        _print(report)
    else:
        _tell(document, most)
        for one in findings[:most]:
            print(f"{file.name}:{rows.get(one.group_code, 0)} {one.code} {one.group_code} {one.zh} {one.en}")
        print(f"检查发现 findings: {dict(counts)}")
    return REFUSED if document.counts(Severity.ERROR) else OK


def diff(
    before: File,
    after: Annotated[Path, typer.Argument(help="The later edition.", exists=True, dir_okay=False)],
    dialect: DialectName = AUTO,
    after_dialect: Annotated[
        str, typer.Option("--after-dialect", help="Dialect of the later edition, if another.")
    ] = "",
    diagnoses: Diagnoses = None,
    procedures: Procedures = None,
    as_json: Json = False,
) -> int:
    """What changed between two editions, with scores (版本差异). Exit 2 when either has errors: its faulty rows are left out."""
    tables = read_code_tables(diagnoses, procedures)
    old, new = read_file(before, dialect, tables), read_file(after, after_dialect or dialect, tables)
    found = diff_editions(_unique(old.groups), _unique(new.groups))
    report = {
        "before": _summary(before, old),
        "after": _summary(after, new),
        "counts": {
            "added": len(found.added),
            "removed": len(found.removed),
            "changed": len(found.changed),
            "score_changed": sum(1 for one in found.changed if one.score_change is not None),
            "recoded": sum(1 for one in found.changed if one.before_code != one.group_code),
            "unchanged": found.unchanged,
        },
        "added": [_group(one) for one in found.added],
        "removed": [_group(one) for one in found.removed],
        "changed": [asdict(one) for one in found.changed],
    }
    if as_json:
        _print(report)
    else:
        for group in found.added:
            print(f"+ {group.group_code} {group.score:f}")
        for group in found.removed:
            print(f"- {group.group_code} {group.score:f}")
        for one in found.changed:
            told = "; ".join(f"{change.field} {change.before} → {change.after}" for change in one.changes)
            print(f"~ {one.group_code} {told}" + (f" ({one.score_change} %)" if one.score_change else ""))
        print(f"差异 {report['counts']}")
    errors = old.counts(Severity.ERROR) or new.counts(Severity.ERROR)
    return REFUSED if errors else OK


def grouping_method(tie_break: str) -> GroupingMethod:
    """The national grouping method, with the comparators given if any are (入组办法). Raises: typer.BadParameter."""
    if not tie_break:
        return GroupingMethod()
    try:
        return GroupingMethod(tuple(TieBreak(one.strip()) for one in tie_break.split(",")))
    except ValueError as error:
        raise typer.BadParameter(f"{error}; known: {', '.join(one.value for one in TieBreak)}") from error


def _written(document: CatalogDocument, to: str) -> bytes:
    if to == SAME:
        return document.content()
    target = dialect_named(to) if to != PLATFORM else None
    return write_catalog(document.groups) if target is None else write_dialect(document.groups, target)


def _summary(path: Path, document: CatalogDocument) -> dict[str, Any]:
    return {
        "file": path.name,
        "dialect": document.dialect.name,
        "encoding": document.encoding,
        "rows": sum(1 for row in document.rows if not row.blank),
        "groups": len(document.groups),
        "errors": document.counts(Severity.ERROR),
        "warnings": document.counts(Severity.WARNING),
    }


def _fault(fault: CatalogFault) -> dict[str, Any]:
    return {**asdict(fault), "severity": fault.severity.value}


def _finding(finding: LintFinding, rows: dict[str, int]) -> dict[str, Any]:
    return {"row": rows.get(finding.group_code), **asdict(finding)}


def _group(group: DiseaseGroup) -> dict[str, str]:
    return {"group_code": group.group_code, "diagnosis": group.diagnosis, "score": format(group.score, "f")}


def _row_of(document: CatalogDocument) -> dict[str, int]:
    return {group.group_code: row.number for row in document.rows for group in row.groups}


def _unique(groups: Sequence[DiseaseGroup]) -> list[DiseaseGroup]:
    return list({group.group_code: group for group in groups}.values())


def _tell(document: CatalogDocument, most: int) -> None:
    for one in document.faults[:most]:
        print(f"{one.row} {one.column} [{one.code}] {one.saw} {one.zh} {one.en}", file=sys.stderr)
    print(
        f"方言 dialect {document.dialect.name}，行 rows {sum(1 for row in document.rows if not row.blank)}，"
        f"病种 groups {len(document.groups)}，错误 errors {document.counts(Severity.ERROR)}，"
        f"提示 warnings {document.counts(Severity.WARNING)}"
    )


def _print(value: object) -> None:
    print(json.dumps(value, ensure_ascii=False, indent=2))


def _unknown_dialect(name: str, saw: str) -> DataRefused:
    return DataRefused(
        (
            Refusal(
                "dialect_unknown",
                name,
                saw,
                f"没有方言 {name}，或方言文件有误（{saw}）。" if saw else f"没有方言 {name}。",
                f"No such dialect, or a dialect file with faults: {name} {saw}".rstrip() + ".",
                f"使用 auto、{'、'.join(DIALECTS)}，或自备方言文件。",
                f"Use auto, {', '.join(DIALECTS)}, or a dialect file of your own.",
            ),
        )
    )

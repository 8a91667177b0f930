"""`fenzhi group`: cases of a file into groups and points, offline (离线入组计分), by the bulk engine the platform runs.

One JSON object a line, in the order of the file. A case that must not be grouped says why; none is silent, none is dropped.
"""

from __future__ import annotations

import itertools
import json
import random
import sys
import time
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from decimal import Decimal
from fractions import Fraction
from pathlib import Path
from typing import Annotated, Any, TextIO

import pyarrow as pa
import typer

from fenzhi.cli.catalog.code_tables import Interventions
from fenzhi.cli.catalog.column_map import read_column_map
from fenzhi.cli.offline import OfflineCase, OfflineRules, read_cases, read_rules
from fenzhi.cli.offline_mode import mode_line
from fenzhi.engine.compiled_book import CompiledBook, compile_book
from fenzhi.engine.engine import Engine
from fenzhi.engine.graded_editions import EditionPlan
from fenzhi.engine.scoring_plan import plan_scoring
from fenzhi.rules.catalog.dialect_text import KEY_MARK
from fenzhi.rules.catalog.group_conditions import GroupLayer
from fenzhi.rules.grouping.catalog_book import CatalogBook
from fenzhi.rules.grouping.group_case import group_case
from fenzhi.rules.grouping.outcome import GroupingOutcome, GroupingReason
from fenzhi.rules.grouping.provisional_groups import or_provisional, provisional_book
from fenzhi.rules.quantities import decimal_places
from fenzhi.rules.refusals import InvariantBroken, Refusal
from fenzhi.rules.scoring.case_adjustment import case_adjustment
from fenzhi.rules.scoring.score_case import ScoredCase, score_blank, score_case
from fenzhi.rules.working import Step
from fenzhi.services.scoring.assembly import facts_of
from fenzhi.services.scoring.provisional import provisional_plan

BATCH = 100_000
OK, PARTLY = 0, 1

Catalog = Annotated[Path, typer.Option("--catalog", help="Catalog file, in any dialect.", exists=True, dir_okay=False)]
Dialect = Annotated[str, typer.Option("--dialect", help="Dialect of the catalog, see fenzhi catalog import --help.")]
Diagnoses = Annotated[
    Path | None,
    typer.Option("--diagnoses", help="Code table of diagnoses; without it sound codes count as known.", exists=True),
]
Procedures = Annotated[
    Path | None, typer.Option("--procedures", help="Code table of procedures with their classes.", exists=True)
]
References = Annotated[
    Path | None,
    typer.Option(
        "--references", help="Reference costs: group_code,level,n,total (yuan); blank level: all levels.", exists=True
    ),
]
Hospitals = Annotated[
    Path | None, typer.Option("--hospitals", help="Hospitals: hospital,level,coefficient.", exists=True)
]
Choices = Annotated[
    Path | None, typer.Option("--choices", help="Choices of policy (YAML), see docs/catalog.md.", exists=True)
]
Lists = Annotated[Path | None, typer.Option("--lists", help="Lists of the edition: list,code,scope.", exists=True)]
Subtypes = Annotated[
    Path | None,
    typer.Option("--subtypes", help="Auxiliary subtypes: group_code,dimension,subtype,coefficient.", exists=True),
]
Provisional = Annotated[
    Path | None,
    typer.Option(
        "--provisional",
        help="Provisional groups: group_code,diagnosis,procedures,name,score,first,last,document.",
        exists=True,
    ),
]
Level = Annotated[str, typer.Option("--level", help="Level of hospitals that the file does not tell.")]
Coefficient = Annotated[
    str, typer.Option("--coefficient", help="Coefficient of hospitals that the file does not tell.")
]


def group(
    file: Annotated[
        Path, typer.Argument(help="Settlement lists (NDJSON), or with --columns any CSV.", exists=True, dir_okay=False)
    ],
    catalog: Catalog,
    columns: Annotated[Path | None, typer.Option("--columns", help="Column map of a CSV file.", exists=True)] = None,
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
    interventions: Annotated[
        Interventions, typer.Option("--interventions", help="What 介入治疗 counts as.")
    ] = Interventions.SURGICAL,
    explain: Annotated[
        bool, typer.Option("--explain", help="Every step and rejected candidate with each case.")
    ] = False,
    verify: Annotated[
        int,
        typer.Option("--verify", min=0, help="Work so many random cases of each batch by the one-case rules as well."),
    ] = 100,
    out: Annotated[Path | None, typer.Option("--out", help="Write the lines here instead of standard output.")] = None,
) -> int:
    """Group and score cases offline: one JSON line each (离线入组计分). Exit: 0 all grouped, 1 some refused or ungrouped."""
    began = time.perf_counter()
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
        interventions=interventions,
        lists=lists,
        subtypes=subtypes,
        provisional=provisional,
    )
    mapped = read_column_map(columns.read_text(encoding="utf-8-sig")) if columns else None
    cases = read_cases(file, mapped, rules)
    counts: Counter[str] = Counter()
    with out.open("w", encoding="utf-8") if out else _Standard() as target:
        for line in group_lines(cases, rules, explain=explain, verify=verify):
            counts["refused" if "refused" in line else line["reason"]] += 1
            target.write(json.dumps(line, ensure_ascii=False, separators=(",", ":")) + "\n")
    seconds = time.perf_counter() - began
    total = sum(counts.values())
    print(
        f"病例 cases {total}，{dict(counts)}，{seconds:.2f} s；政策参数 choices {dict(rules.choices)}", file=sys.stderr
    )
    grouped = sum(counts[one.value] for one in GroupingReason if one.grouped)
    return OK if grouped == total else PARTLY


def group_lines(
    cases: Iterable[OfflineCase], rules: OfflineRules, *, explain: bool = False, verify: int = 0, batch: int = BATCH
) -> Iterator[dict[str, Any]]:
    """One answer per case, in order (逐例结果). Raises: InvariantBroken when engine and one-case rules differ."""
    chance = random.Random(1)
    iterator = iter(cases)
    compiled: tuple[CatalogBook, CompiledBook] | None = None
    with Engine(memory_limit="2GB") as engine:
        while chunk := list(itertools.islice(iterator, batch)):
            sound = [case for case in chunk if not case.refusals]
            if compiled is None or not rules.judges_diagnoses:
                book = rules.book_for(sound)
                compiled = (book, compile_book(book, rules.method, rules.means))
            answers = _answers(engine, sound, compiled[1], rules)
            checked = range(len(sound)) if explain else chance.sample(range(len(sound)), min(verify, len(sound)))
            worked = {place: work_case(sound[place], compiled[0], rules) for place in checked}
            for place, found in worked.items():
                _must_agree(sound[place], answers[place], *found)
            place = 0
            for case in chunk:
                if case.refusals:
                    yield {
                        "row": case.row,
                        "case_id": case.case_id,
                        "refused": [_refusal(one) for one in case.refusals],
                    }
                    continue
                yield line_of(case, answers[place], compiled[0], worked.get(place) if explain else None, rules)
                place += 1


def work_case(case: OfflineCase, book: CatalogBook, rules: OfflineRules) -> tuple[GroupingOutcome, ScoredCase | None]:
    """One case by the one-case rules (逐例规则计算)."""
    outcome = group_case(case.as_grouped, book, rules.method, rules.means)
    edition = book.edition
    groups = rules.provisional_on(case.discharge_date)
    beside = provisional_book(edition, groups) if outcome.reason.is_uncovered else None
    outcome = or_provisional(outcome, case.as_grouped, beside, rules.method, groups)
    if outcome.group is None:
        if rules.blank is None or not outcome.reason.is_uncovered:
            return outcome, None
        blank = score_blank(case.case_id, case.cost_fen, edition.scale, rules.blank, edition.points_decimals)
        return outcome, blank
    adjustment = case_adjustment(
        outcome.group,
        facts_of(case.as_grouped, edition.tables, case.discharge_way),
        case.cost_fen,
        case.discharge_date,
        rules.adjustments,
    )
    scored = score_case(
        outcome.group,
        case_id=case.case_id,
        cost_fen=case.cost_fen,
        factor=case.factor,
        references=rules.references,
        lines=rules.lines,
        points_decimals=edition.points_decimals,
        adjustment=adjustment,
    )
    return outcome, scored


def line_of(
    case: OfflineCase,
    answer: dict[str, Any],
    book: CatalogBook,
    worked: tuple[GroupingOutcome, ScoredCase | None] | None,
    rules: OfflineRules,
) -> dict[str, Any]:
    """One answer as a JSON object (结果行). Points are decimal text with the places of the edition."""
    reason = GroupingReason(answer["reason"])
    line: dict[str, Any] = {
        "row": case.row,
        "case_id": case.case_id,
        "group_code": _published(answer["group_code"]),
        "reason": reason.value,
        "reason_zh": reason.zh,
        "reason_en": reason.en,
    }
    code = answer["group_code"]
    if code is not None:
        found = book.by_code[code] if reason is not GroupingReason.PROVISIONAL_MATCHED else rules.provisional[code]
        places = book.edition.points_decimals
        line |= {
            "diagnosis": found.diagnosis,
            "kind": found.kind.value,
            "score": format(found.score, "f"),
            "level": case.factor.level,
            "coefficient": format(case.factor.coefficient if not found.grassroots else Decimal(1), "f"),
            "band": answer["band"],
            "reference_source": answer["reference_source"],
            "points": decimal_places(Fraction(answer["points"], 10**places), places),
        }
        if found.layer is not GroupLayer.BASIC:
            line["layer"] = found.layer.value
    elif answer["points"] is not None:
        places = book.edition.points_decimals
        line |= {
            "band": answer["band"],
            "reference_source": answer["reference_source"],
            "points": decimal_places(Fraction(answer["points"], 10**places), places),
        }
    if worked is not None:
        outcome, scored = worked
        if scored is not None:
            line["candidates"] = [
                {
                    "name": one.name,
                    "points": decimal_places(
                        Fraction(one.points, 10**book.edition.points_decimals), book.edition.points_decimals
                    ),
                }
                for one in scored.candidates
            ]
            line |= {
                "chosen": scored.chosen,
                "chosen_zh": scored.zh,
                "chosen_en": scored.en,
                "provisional": scored.provisional,
            }
        line["steps"] = [_step(one) for one in (*outcome.working, *(scored.working if scored else ()))]
        line["rejected"] = [
            {
                "group_code": _published(one.group.group_code),
                "cause": one.cause.value,
                "zh": one.zh,
                "en": one.en,
                "missing": [list(part) for part in one.missing],
            }
            for one in outcome.rejected
        ]
        if rules.mode_rules:
            day = case.discharge_date
            line["payment_mode"] = mode_line(rules.mode_rules, code, case.factor.level, day, case.principal)
    return line


def _answers(
    engine: Engine, cases: Sequence[OfflineCase], book: CompiledBook, rules: OfflineRules
) -> list[dict[str, Any]]:
    if not cases:
        return []
    factors = list(dict.fromkeys(case.factor for case in cases))
    place = {factor: number for number, factor in enumerate(factors)}
    plan = plan_scoring(book, factors=factors, references=rules.references, lines=rules.lines, blank=rules.blank)
    table = case_table(cases).append_column("factor", pa.array([place[case.factor] for case in cases], pa.int32()))
    beside = [rules.provisional_on(case.discharge_date) for case in cases]
    names = {groups: " ".join(one.group_code for one in groups) for groups in beside}
    table = table.append_column("edition_id", pa.array([names[groups] for groups in beside], pa.string()))
    plans = {
        name: EditionPlan(
            plan,
            rules.adjustments,
            provisional_plan(book.edition, groups, rules.method, factors=factors, lines=rules.lines),
        )
        for groups, name in names.items()
    }
    answers: list[dict[str, Any]] = engine.grade(table, plans).to_pylist()
    return answers


def case_table(cases: Sequence[OfflineCase]) -> pa.Table:
    """Cases as the engine takes them (病例表)."""
    return pa.table(
        {
            "principal_diagnosis": pa.array([case.principal for case in cases], pa.string()),
            "procedures": pa.array([list(case.procedures) for case in cases], pa.list_(pa.string())),
            "other_diagnoses": pa.array([list(case.others) for case in cases], pa.list_(pa.string())),
            "age_days": pa.array([case.age_days for case in cases], pa.int64()),
            "los_days": pa.array([case.los_days for case in cases], pa.int64()),
            "birth_weight_g": pa.array([case.birth_weight_g for case in cases], pa.int64()),
            "discharge_way": pa.array([case.discharge_way for case in cases], pa.string()),
            "discharge_date": pa.array([case.discharge_date for case in cases], pa.date32()),
            "cost_fen": pa.array([case.cost_fen for case in cases], pa.int64()),
        }
    )


def _must_agree(case: OfflineCase, answer: dict[str, Any], outcome: GroupingOutcome, scored: ScoredCase | None) -> None:
    expected = (
        outcome.group.group_code if outcome.group else None,
        outcome.reason.value,
        scored.band.value if scored else None,
        scored.points if scored else None,
    )
    found = tuple(answer[name] for name in ("group_code", "reason", "band", "points"))
    if found != expected:
        raise InvariantBroken(
            "engine equals rules", account=case.case_id, detail=f"row {case.row}: {found} != {expected}"
        )


def _published(code: str | None) -> str | None:
    return None if code is None else code.partition(KEY_MARK)[0]


def _step(step: Step) -> dict[str, Any]:
    return {"rule": step.rule, "zh": step.zh, "en": step.en, "document": step.document, "values": dict(step.values)}


def _refusal(one: Refusal) -> dict[str, str]:
    return {
        "code": one.code,
        "where": one.where,
        "saw": one.saw,
        "zh": one.zh,
        "en": one.en,
        "remedy_zh": one.remedy_zh,
        "remedy_en": one.remedy_en,
    }


class _Standard:
    """Standard output that a `with` leaves open (标准输出)."""

    def __enter__(self) -> TextIO:
        return sys.stdout

    def __exit__(self, *_: object) -> None:
        sys.stdout.flush()

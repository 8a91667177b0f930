"""`fenzhi vectors write|check FILE` (一致性向量): expected answers of the slow reference against the platform's engines.

A vectors file is NDJSON, gzipped where its name ends in .gz: worlds (catalog, tables, hospitals, references, choices, all as text)
and cases with the answer the reference gives.
"""

from __future__ import annotations

import gzip
import io
import json
import random
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace
from datetime import date, timedelta
from enum import StrEnum
from fractions import Fraction
from pathlib import Path
from typing import IO, Annotated, Any

import pyarrow as pa
import typer
import yaml

from fenzhi.cli.group import case_table, group_lines
from fenzhi.cli.offline import OfflineCase, OfflineRules, read_cases, read_rules
from fenzhi.cli.vectors.invent import invent_cases, invent_world
from fenzhi.cli.vectors.reference import World
from fenzhi.engine.compiled_book import compile_book
from fenzhi.engine.engine import Engine
from fenzhi.engine.scoring_plan import plan_scoring, with_adjustments
from fenzhi.rules.catalog.catalog_text import read_catalog
from fenzhi.rules.grouping.catalog_book import CatalogBook
from fenzhi.rules.quantities import decimal_places, fen_from_yuan
from fenzhi.rules.refusals import DataRefused, Refusal

OK, DISAGREES = 0, 2
WORLDS = 16
BY_HAND = Path(__file__).with_name("by_hand.yaml")
ANSWER = ("group_code", "reason", "band", "reference_source", "points")
_FILES = ("catalog", "diagnoses", "procedures", "hospitals", "references", "lists", "subtypes")
_EMPTY = {"lists": "list,code,scope\n", "subtypes": "group_code,dimension,subtype,coefficient\n"}
FACTS = ("others", "age", "los", "weight", "way")
"""What a case may tell beside diagnosis, procedures and cost (病例事实)."""
DISCHARGE = date(2026, 3, 1)
_SHOWN = 20

File = Annotated[
    Path, typer.Argument(help="A vectors file (.ndjson or .ndjson.gz), or a YAML file of cases made by hand.")
]


class EngineName(StrEnum):
    """What is checked (被核对的引擎)."""

    BULK = "bulk"  # 批量引擎
    OFFLINE = "offline"  # fenzhi group 全程：文件读入、方言、结算清单
    API = "api"  # 入组预检接口，经 HTTP 逐页询问


def write(
    file: File,
    cases: Annotated[
        int, typer.Option("--cases", min=0, help="Cases made from the seed, beside those made by hand.")
    ] = 100_000,
    seed: Annotated[int, typer.Option("--seed", min=0, help="The same seed writes the same bytes.")] = 1,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON to standard output and nothing else.")] = False,
) -> int:
    """Write worlds, cases and the answers of the independent reference (生成一致性向量)."""
    began = time.perf_counter()
    counts: Counter[str] = Counter()
    with _written(file) as target:
        for record in by_hand(BY_HAND):
            counts[f"{record['kind']}s by hand"] += 1
            _put(target, record)
        for record in invented(cases, seed):
            counts[record["kind"] + "s"] += 1
            if record["kind"] == "case":
                counts[record["expect"]["reason"]] += 1
                counts[f"band {record['expect']['band'] or 'none'}"] += 1
            _put(target, record)
    report = {
        "file": str(file),
        "seed": seed,
        "counts": dict(sorted(counts.items())),
        "seconds": round(time.perf_counter() - began, 2),
    }
    print(json.dumps(report, ensure_ascii=False, indent=2) if as_json else f"已写入 written {report['counts']}")
    return OK


def check(
    file: File,
    engine: Annotated[
        EngineName,
        typer.Option(
            "--engine", help="bulk; offline: the whole of fenzhi group; api: the preview query over HTTP, page by page."
        ),
    ] = EngineName.BULK,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON to standard output and nothing else.")] = False,
) -> int:
    """Compare an engine with the expected answers (核对一致性向量). Exit 2 when any case disagrees."""
    began = time.perf_counter()
    cases = disagreements = 0
    shown: list[dict[str, Any]] = []
    with _answering(engine) as answers_of:
        for world, listed in worlds_of(file):
            for case, answer in zip(listed, answers_of(world, listed), strict=True):
                cases += 1
                if answer != case["expect"]:
                    disagreements += 1
                    if len(shown) < _SHOWN:
                        shown.append({"world": world["world"], "case": case, "got": answer})
    seconds = time.perf_counter() - began
    report = {
        "file": str(file),
        "engine": engine.value,
        "cases": cases,
        "disagreements": disagreements,
        "shown": shown,
        "seconds": round(seconds, 2),
        "per_s": int(cases / seconds) if seconds else 0,
    }
    if as_json:
        print(json.dumps(report, ensure_ascii=False, indent=2))
    else:
        print(f"向量 cases {cases}，不一致 disagreements {disagreements}（{engine.value}，{seconds:.1f} s）")
        for one in shown:
            print(f"  {one['world']} {one['case']['id']}: 应为 expected {one['case']['expect']}，实为 got {one['got']}")
    return DISAGREES if disagreements or not cases else OK


def invented(cases: int, seed: int) -> Iterator[dict[str, Any]]:
    """Worlds and cases of a seed with the reference's answers (生成的向量)."""
    for number in range(WORLDS):
        mine = cases // WORLDS + (number < cases % WORLDS)
        if not mine:
            return
        chance = random.Random(f"{seed}/{number}")
        made = invent_world(number, chance)
        name = f"seed-{seed}-{number:02d}"
        yield {"kind": "world", "world": name, **made.texts}
        reference = World(made.texts)
        for case in invent_cases(made, mine, chance):
            answer = reference.answer(case["principal"], case["procedures"], case["cost"], case["hospital"], case)
            yield {"kind": "case", "world": name, **case, "expect": answer}


def by_hand(path: Path) -> Iterator[dict[str, Any]]:
    """Worlds and cases of a YAML file made by hand (手工向量): a case is [id, dx, procedures, cost, hospital, group, reason, band,
    reference, points], its procedures with blanks between them. Raises: DataRefused for a case of another length."""
    document = yaml.load(path.read_text(encoding="utf-8"), Loader=yaml.BaseLoader)
    for layer in document["layers"]:
        texts = {**document["world"], **layer.get("world", {})}
        texts["choices"] = {**document["world"]["choices"], **layer.get("choices", {})}
        yield {"kind": "world", "world": layer["layer"], **texts}
        for row in layer["cases"]:
            if len(row) not in (10, 11):
                raise DataRefused(
                    (
                        Refusal(
                            "vector_row",
                            f"{path.name} {layer['layer']}",
                            str(row),
                            "手工向量须有十项，可加事实一项。",
                            "A vector made by hand has ten items, and facts where it tells any.",
                            "补齐各项。",
                            "Give all ten.",
                        ),
                    )
                )
            yield {
                "kind": "case",
                "world": layer["layer"],
                "id": row[0],
                "principal": row[1],
                "procedures": row[2].split(),
                "cost": row[3],
                "hospital": row[4],
                **_told(row[10] if len(row) == 11 else {}),
                "expect": dict(zip(ANSWER, row[5:10], strict=True)),
            }


def _told(facts: Mapping[str, str]) -> dict[str, Any]:
    """Facts of a case made by hand: numbers as numbers, other diagnoses with blanks between them."""
    told: dict[str, Any] = {name: int(facts[name]) for name in ("age", "los", "weight") if name in facts}
    if "others" in facts:
        told["others"] = facts["others"].split()
    return told | ({"way": facts["way"]} if "way" in facts else {})


def worlds_of(path: Path) -> Iterator[tuple[dict[str, Any], list[dict[str, Any]]]]:
    """Each world of a file with its cases (按世界读取), one world in memory at a time."""
    world: dict[str, Any] | None = None
    listed: list[dict[str, Any]] = []
    for record in by_hand(path) if path.suffix in (".yaml", ".yml") else _records(path):
        if record["kind"] == "world":
            if world is not None:
                yield world, listed
            world, listed = record, []
        else:
            listed.append(record)
    if world is not None:
        yield world, listed


def answers_bulk(world: Mapping[str, Any], cases: Sequence[Mapping[str, Any]]) -> list[dict[str, str]]:
    """The bulk engine over the strict catalog reader, one table (批量引擎的答案)."""
    with tempfile.TemporaryDirectory() as folder:
        rules = _rules(Path(folder), world)
    reading = read_catalog(world["catalog"].encode(), rules.edition.tables, score_places=rules.edition.score_places)
    if reading.refusals:
        raise DataRefused(reading.refusals)
    read = rules.edition
    edition = replace(read, groups=reading.groups)
    codes = list(rules.hospitals)
    compiled = compile_book(CatalogBook(edition), rules.method, rules.means)
    plan = plan_scoring(
        compiled,
        factors=[rules.hospitals[code] for code in codes],
        references=rules.references,
        lines=rules.lines,
        blank=rules.blank,
    )
    place = {code: number for number, code in enumerate(codes)}
    listed = [
        OfflineCase(
            number,
            case["id"],
            case["principal"],
            tuple(case["procedures"]),
            fen_from_yuan(case["cost"]),
            others=tuple(case.get("others", ())),
            age_days=case.get("age"),
            los_days=case.get("los"),
            birth_weight_g=case.get("weight"),
            discharge_way=case.get("way"),
            discharge_date=DISCHARGE,
        )
        for number, case in enumerate(cases)
    ]
    table = case_table(listed).append_column(
        "factor", pa.array([place[case["hospital"]] for case in cases], pa.int32())
    )
    with Engine() as engine:
        if not rules.adjustments.empty:
            found, index = engine.adjust(engine.group(table, compiled), table, edition, rules.adjustments)
            plan, table = with_adjustments(plan, found), table.append_column("auxiliary", index)
        rows = engine.group_and_score(table, plan).to_pylist()
    places = edition.points_decimals
    return [
        {name: row[name] or "" for name in ANSWER[:4]}
        | {"points": "" if row["points"] is None else decimal_places(Fraction(row["points"], 10**places), places)}
        for row in rows
    ]


def answers_offline(world: Mapping[str, Any], cases: Sequence[Mapping[str, Any]]) -> list[dict[str, str]]:
    """The whole way of `fenzhi group`: files, dialect, settlement lists, engine (离线命令的答案)."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        rules = _rules(folder, world)
        lists = folder / "lists.ndjson"
        lists.write_text("".join(json.dumps(_list(case)) + "\n" for case in cases), encoding="utf-8")
        lines = list(group_lines(read_cases(lists, None, rules), rules))
    return [
        {name: str(line.get(name) or "") for name in ANSWER}
        if "refused" not in line
        else {"refused": line["refused"][0]["code"]}
        for line in lines
    ]


_BY_ENGINE = {EngineName.BULK: answers_bulk, EngineName.OFFLINE: answers_offline}
Answers = Callable[[Mapping[str, Any], Sequence[Mapping[str, Any]]], list[dict[str, str]]]


@contextmanager
def _answering(engine: EngineName) -> Iterator[Answers]:
    """Who answers for the cases of a world (作答引擎); of the API with a platform of its own, for as long as it is asked."""
    if engine is not EngineName.API:
        yield _BY_ENGINE[engine]
        return
    # Only here: the other engines need no server, and start without one.
    from fenzhi.cli.vectors.through_api import api_worlds

    with api_worlds() as worlds:

        def answers(world: Mapping[str, Any], cases: Sequence[Mapping[str, Any]]) -> list[dict[str, str]]:
            with tempfile.TemporaryDirectory() as folder:
                rules = _rules(Path(folder), world)
            return worlds.answers(rules, world, cases, DISCHARGE)

        yield answers


def _rules(folder: Path, world: Mapping[str, Any]) -> OfflineRules:
    for name in _FILES:
        (folder / f"{name}.csv").write_text(world.get(name) or _EMPTY[name], encoding="utf-8")
    (folder / "choices.yaml").write_text(json.dumps(world["choices"]), encoding="utf-8")
    return read_rules(
        folder / "catalog.csv",
        dialect="slash_plus",
        diagnoses=folder / "diagnoses.csv",
        procedures=folder / "procedures.csv",
        references=folder / "references.csv",
        hospitals=folder / "hospitals.csv",
        choices=folder / "choices.yaml",
        lists=folder / "lists.csv",
        subtypes=folder / "subtypes.csv",
    )


def _list(case: Mapping[str, Any]) -> dict[str, Any]:
    """A settlement list that says the case; procedures after the main one keep their order."""
    principal = [{"diag_code": case["principal"], "maindiag_flag": "1"}] if case["principal"] else []
    principal += [{"diag_code": code, "maindiag_flag": "0"} for code in case.get("others", ())]
    told: dict[str, Any] = {"dscg_time": DISCHARGE.isoformat()}
    if "age" in case:
        told["brdy"] = (DISCHARGE - timedelta(days=case["age"])).isoformat()
    if "los" in case:
        told["adm_time"] = (DISCHARGE - timedelta(days=case["los"])).isoformat()
    if "weight" in case:
        told["nwb_bir_wt"] = str(case["weight"])
    if "way" in case:
        told["dscg_way"] = case["way"]
    done = [
        {"oprn_oprt_code": code, "main_oprn_flag": "1" if place == 0 else "0"}
        for place, code in enumerate(case["procedures"])
    ]
    return {
        "setl_id": case["id"],
        "fixmedins_code": case["hospital"],
        "diseinfo": principal,
        "oprninfo": done,
        "medfee_sumamt": case["cost"],
        **told,
    }


@contextmanager
def _written(path: Path) -> Iterator[IO[str]]:
    """No time and no name in a gzip header: the same seed writes the same bytes."""
    with path.open("wb") as raw:
        packed = gzip.GzipFile(filename="", mode="wb", fileobj=raw, mtime=0) if path.suffix == ".gz" else raw
        with io.TextIOWrapper(packed, encoding="utf-8") as text:
            yield text


def _put(target: IO[str], record: Mapping[str, Any]) -> None:
    target.write(json.dumps(record, ensure_ascii=False, separators=(",", ":")) + "\n")


def _records(path: Path) -> Iterator[dict[str, Any]]:
    with gzip.open(path, "rt", encoding="utf-8") if path.suffix == ".gz" else path.open(encoding="utf-8") as file:
        for line in file:
            record: dict[str, Any] = json.loads(line)
            yield record

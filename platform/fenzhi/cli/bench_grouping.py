"""The grouping bench (入组计分压测): codes in memory → group, band, points, on a synthetic catalog and synthetic cases.

Everything is made from the seed, says so, and is the same on every machine; only the seconds differ. The floor is what plain
Python needs for one dictionary look-up per case, measured in the same run, so that ratios can be compared across machines.
"""

from __future__ import annotations

import hashlib
import random
import resource
import time
from array import array
from collections import Counter
from dataclasses import dataclass
from datetime import date
from decimal import Decimal

import pyarrow as pa
import pyarrow.compute as pc

from fenzhi.engine.compiled_book import CompiledBook, compile_book
from fenzhi.engine.engine import Engine
from fenzhi.engine.scoring_plan import ScoringPlan, plan_scoring
from fenzhi.rules.catalog.conjunctions import Conjunction
from fenzhi.rules.catalog.disease_group import CLASS_ORDER, DiseaseGroup, Granularity, GroupKind, ProcedureClass
from fenzhi.rules.catalog.edition import CodeTables, Edition, ProcedureEntry
from fenzhi.rules.catalog.reference_costs import MeanCost, ReferenceCosts
from fenzhi.rules.grouping.catalog_book import CatalogBook
from fenzhi.rules.grouping.group_case import InpatientCase, group_case
from fenzhi.rules.grouping.grouping_method import GroupingMethod, TieBreak
from fenzhi.rules.refusals import InvariantBroken
from fenzhi.rules.scoring.cost_outliers import OutlierLines
from fenzhi.rules.scoring.score_case import HospitalFactor, score_case

METHOD = GroupingMethod((TieBreak.MOST_PARTS, TieBreak.MOST_MATCHED, TieBreak.HIGHER_SCORE))
LINES = OutlierLines(Decimal("0.5"), Decimal(2), Decimal(5))
LEVELS = ("1", "2", "3")
SAMPLE = 2_000
ROUNDS = 3
AREA_CASES = 1_000_000
"""Beyond so many cases the bench goes area by area, and no process holds more than one of them."""


@dataclass(frozen=True)
class SyntheticWorld:
    """A synthetic catalog with its hospitals and references (合成目录与医院)."""

    book: CatalogBook
    factors: tuple[HospitalFactor, ...]
    references: ReferenceCosts


def bench_grouping(cases: int, seed: int, verify: int = SAMPLE) -> dict[str, object]:
    """Group and score synthetic cases and report the speed (入组计分压测).

    Answers cases, seed, seconds, per_s, peak_rss_mb, result_sha256 (same for the same cases and seed), floors, ratios,
    includes. Raises: InvariantBroken when a sampled case differs from the rules.
    """
    world = synthetic_world(random.Random(seed))
    began = time.perf_counter()
    compiled = compile_book(world.book, METHOD)
    plan = plan_scoring(compiled, factors=world.factors, references=world.references, lines=LINES)
    compile_s = time.perf_counter() - began
    rounds, compared, floor_s = 0.0, 0, 0.0
    every: list[list[float]] = []
    digests, reasons, bands = [], Counter[str](), Counter[str]()
    with Engine(memory_limit="1GB") as engine:
        for place, first in enumerate(range(0, cases, AREA_CASES)):
            # One area at a time: made, measured, compared and let go.
            table = synthetic_cases(min(AREA_CASES, cases - first), world, compiled, random.Random(seed + 1 + place))
            floor_s += _dict_floor(table, compiled)
            engine.group_and_score(table.slice(0, 1), plan)
            taken: list[float] = []
            for _ in range(ROUNDS if cases <= AREA_CASES else 1):
                began = time.perf_counter()
                scored = engine.group_and_score(table, plan)
                taken.append(time.perf_counter() - began)
            every.append(taken)
            rounds += sorted(taken)[len(taken) // 2]
            share = -(-verify * table.num_rows // cases)
            compared += _check_sample(table, scored, world, plan, random.Random(seed + 2 + place), share)
            digests.append(result_sha256(scored))
            for counts, name in ((reasons, "reason"), (bands, "band")):
                found = pc.value_counts(pc.cast(scored[name], pa.string())).to_pylist()
                counts.update({one["values"] or "ungrouped": one["counts"] for one in found})
    seconds = rounds
    return {
        "cases": cases,
        "seed": seed,
        "seconds": round(seconds, 4),
        "per_s": int(cases / seconds),
        "peak_rss_mb": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024,
        "result_sha256": digests[0] if len(digests) == 1 else hashlib.sha256("".join(digests).encode()).hexdigest(),
        "floors": {"dict_lookup_s": round(floor_s, 4), "dict_lookup_per_s": int(cases / floor_s)},
        "ratios": {"dict_lookup": round(floor_s / seconds, 3)},
        "includes": {
            "timed": "coded cases in Arrow memory → group, reason, band, reference, points, in row order",
            "not_timed": "making the cases, compiling the catalog",
            "seconds": "median of the rounds" if cases <= AREA_CASES else "sum over the areas, one round each",
            "areas": len(every),
            "rounds_s": [round(one, 4) for one in every[0]],
            "compile_s": round(compile_s, 4),
            "groups": len(world.book.edition.groups),
            "checked_against_rules": compared,
            "data": "synthetic",
            "reasons": dict(sorted(reasons.items())),
            "bands": dict(sorted(bands.items())),
        },
    }


def synthetic_world(chance: random.Random) -> SyntheticWorld:
    """Some 10,000 groups over 18,000 diagnoses and 6,000 procedures (合成目录), from one source of chance."""
    categories = [f"{letter}{number:02d}" for letter in "ABCDEFGHIJKL" for number in range(100)]
    diagnoses = {
        f"{category}.{place}{leaf:02d}": chance.random() < 0.02
        for category in categories
        for place in range(5)
        for leaf in range(3)
    }
    classes = CLASS_ORDER[1:]
    procedures = {
        f"{chapter:02d}.{number:04d}": ProcedureEntry(chance.choice(classes))
        for chapter in range(1, 61)
        for number in range(100)
    }
    codes = list(procedures)
    groups: list[DiseaseGroup] = []
    for category in categories:
        for place in range(5):
            if chance.random() < 0.45:
                groups.extend(_core_groups(f"{category}.{place}", codes, chance))
        if chance.random() < 0.5:
            groups.extend(_comprehensive_groups(category, chance))
    edition = Edition("synthetic", 1000, 1, tuple(groups), CodeTables(diagnoses, procedures), date(2025, 1, 1))
    factors = tuple(
        HospitalFactor(chance.choice(LEVELS), Decimal(chance.randint(600, 1200)).scaleb(-3)) for _ in range(500)
    )
    by_level: dict[tuple[str, str], MeanCost] = {}
    overall: dict[str, MeanCost] = {}
    for group in groups:
        for level in LEVELS:
            if chance.random() < 0.9:
                n = chance.randint(1, 4000)
                by_level[group.group_code, level] = MeanCost(int(group.score * 1000) * n + chance.randint(0, n), n)
        if chance.random() < 0.95:
            overall[group.group_code] = MeanCost(int(group.score * 1000) * 1000 + chance.randint(0, 999), 1000)
    return SyntheticWorld(CatalogBook(edition), factors, ReferenceCosts(by_level, overall))


def _core_groups(key: str, codes: list[str], chance: random.Random) -> list[DiseaseGroup]:
    found = [_group(key, key, (), (), chance)]
    seen: set[frozenset[frozenset[str]]] = set()
    for place in range(chance.randint(0, 5)):
        main = (tuple(chance.sample(codes, chance.randint(1, 6))),)
        related = tuple(
            tuple(chance.sample(codes, chance.randint(1, 4))) for _ in range(chance.choice((0, 0, 0, 1, 2)))
        )
        asked = frozenset(frozenset(part) for part in main + related)
        if asked not in seen:
            seen.add(asked)
            found.append(_group(f"{key}:{place}", key, main, related, chance))
    return found


def _group(code: str, key: str, main: Conjunction, related: Conjunction, chance: random.Random) -> DiseaseGroup:
    return DiseaseGroup(
        code,
        key,
        Granularity.SUBCATEGORY,
        Decimal(chance.randint(500, 60000)).scaleb(-1),
        main,
        related,
        grassroots=not main and chance.random() < 0.1,
    )


def _comprehensive_groups(category: str, chance: random.Random) -> list[DiseaseGroup]:
    return [
        DiseaseGroup(
            f"{category}:{one.value}",
            category,
            Granularity.CATEGORY,
            Decimal(chance.randint(500, 30000)).scaleb(-1),
            kind=GroupKind.COMPREHENSIVE,
            procedure_class=one,
        )
        for one in ProcedureClass
    ]


def synthetic_cases(count: int, world: SyntheticWorld, compiled: CompiledBook, chance: random.Random) -> pa.Table:
    """Synthetic cases in engine numbers (合成病例): near half without procedures, one in ten outside the cost lines."""
    diagnosis_codes = compiled.diagnosis_codes.to_pylist()
    procedure_number = {code: place for place, code in enumerate(compiled.procedure_codes.to_pylist())}
    leaves: dict[str, list[int]] = {}
    for place, code in enumerate(diagnosis_codes):
        leaves.setdefault(code[:5], []).append(place)
        leaves.setdefault(code[:3], []).append(place)
    shapes = [
        (
            leaves[group.diagnosis],
            [[procedure_number[code] for code in part] for part in group.parts],
            int(group.score * 1000),
        )
        for group in world.book.edition.groups
    ]
    any_procedure = len(procedure_number)
    principal, flat, offsets, cost, factor = array("i"), array("i"), array("i", [0]), array("q"), array("i")
    uniform = chance.random
    for _ in range(count):
        ways, parts, mean = shapes[int(uniform() * len(shapes))]
        principal.append(ways[int(uniform() * len(ways))] if uniform() > 0.01 else -1)
        for part in parts:
            flat.append(part[int(uniform() * len(part))])
        if uniform() < 0.2:
            flat.append(int(uniform() * any_procedure))
        offsets.append(len(flat))
        spread = uniform()
        cost.append(
            int(
                mean
                * (
                    0.2 + 0.3 * uniform()
                    if spread < 0.05
                    else 0.5 + 1.4 * uniform()
                    if spread < 0.95
                    else 2 + 4 * uniform()
                )
            )
        )
        factor.append(int(uniform() * len(world.factors)))
    return pa.table(
        {
            "principal_diagnosis": _column(principal, pa.int32()),
            "procedures": pa.ListArray.from_arrays(_column(offsets, pa.int32()), _column(flat, pa.int32())),
            "cost_fen": _column(cost, pa.int64()),
            "factor": _column(factor, pa.int32()),
        }
    )


def _column(values: array[int], kind: pa.DataType) -> pa.Array:
    return pa.Array.from_buffers(kind, len(values), [None, pa.py_buffer(values)])


def _dict_floor(table: pa.Table, compiled: CompiledBook) -> float:
    """Seconds of one dictionary look-up per case in plain Python (字典查找下限)."""
    codes = compiled.diagnosis_codes.to_pylist()
    wanted = [codes[place] for place in table["principal_diagnosis"].to_pylist()]
    place_of = {code: place for place, code in enumerate(codes)}
    began = time.perf_counter()
    for code in wanted:
        place_of.get(code)
    return max(time.perf_counter() - began, 1e-9)


def _check_sample(
    table: pa.Table, scored: pa.Table, world: SyntheticWorld, plan: ScoringPlan, chance: random.Random, wanted: int
) -> int:
    """How many random rows were worked again by the rules (抽行复核数)."""
    diagnoses = plan.book.diagnosis_codes
    procedures = plan.book.procedure_codes
    rows = sorted(chance.sample(range(table.num_rows), min(wanted, table.num_rows)))
    for case, answer in zip(table.take(rows).to_pylist(), scored.take(rows).to_pylist(), strict=True):
        known = case["principal_diagnosis"] >= 0
        code = diagnoses[case["principal_diagnosis"]].as_py() if known else "unknown"
        named = tuple(procedures[one].as_py() for one in case["procedures"])
        outcome = group_case(InpatientCase(str(answer["ordinal"]), code, named), world.book, METHOD)
        expected: tuple[object, ...] = (None, outcome.reason.value, None, None)
        if outcome.group is not None:
            one = score_case(
                outcome.group,
                case_id=outcome.case_id,
                cost_fen=case["cost_fen"],
                factor=world.factors[case["factor"]],
                references=world.references,
                lines=LINES,
                points_decimals=world.book.edition.points_decimals,
            )
            expected = (outcome.group.group_code, outcome.reason.value, one.band.value, one.points)
        found = tuple(answer[name] for name in ("group_code", "reason", "band", "points"))
        if found != expected:
            raise InvariantBroken("engine equals rules", account=outcome.case_id, detail=f"{found} != {expected}")
    return len(rows)


def result_sha256(scored: pa.Table) -> str:
    """Digest of a scored table (结果摘要), of the words and numbers it says, whatever its encoding."""
    digest = hashlib.sha256()
    for name in scored.column_names:
        column = scored[name].combine_chunks()
        if pa.types.is_dictionary(column.type):
            column = pc.cast(column, pa.string())
        text = pc.fill_null(pc.cast(column, pa.string()), "~")
        digest.update(name.encode())
        joined = pc.binary_join(pa.ListArray.from_arrays(pa.array([0, len(text)], pa.int32()), text), "\n")
        digest.update(joined[0].as_buffer())
    return digest.hexdigest()

from __future__ import annotations

import csv
import gzip
import os
import random
from collections.abc import Iterator
from datetime import date
from decimal import Decimal
from itertools import product
from pathlib import Path

import pyarrow as pa
import pytest

from fenzhi.engine.compiled_book import compile_book
from fenzhi.engine.engine import Engine
from fenzhi.engine.scoring_plan import cost_lines, plan_scoring
from fenzhi.rules.catalog.catalog_text import read_catalog
from fenzhi.rules.catalog.disease_group import CLASS_ORDER, DiseaseGroup, Granularity, GroupKind, ProcedureClass
from fenzhi.rules.catalog.edition import CodeTables, Edition, ProcedureEntry, check_edition
from fenzhi.rules.catalog.reference_costs import MeanCost, ReferenceCosts
from fenzhi.rules.grouping.catalog_book import CatalogBook
from fenzhi.rules.grouping.group_case import InpatientCase, group_case
from fenzhi.rules.grouping.grouping_method import (
    ComprehensiveClass,
    ConservativeMatch,
    GrayPrincipal,
    GroupingMethod,
    TieBreak,
)
from fenzhi.rules.scoring.cost_outliers import OutlierLines, OutlierMethod
from fenzhi.rules.scoring.score_case import HospitalFactor, score_case

METHODS = [
    GroupingMethod(tie_break, conservative, comprehensive, gray)
    for tie_break, (conservative, comprehensive, gray) in zip(
        (
            (TieBreak.MOST_PARTS, TieBreak.MOST_MATCHED),
            (),
            (TieBreak.MOST_MATCHED, TieBreak.MAIN_MATCHED, TieBreak.HIGHER_SCORE),
            (TieBreak.HIGHER_SCORE,),
            (TieBreak.MAIN_MATCHED, TieBreak.MOST_PARTS, TieBreak.CORE_FIRST),
            (TieBreak.CORE_FIRST, TieBreak.HIGHER_SCORE, TieBreak.MOST_MATCHED, TieBreak.MOST_PARTS),
            (TieBreak.MOST_PARTS, TieBreak.MOST_MATCHED, TieBreak.HIGHER_SCORE, TieBreak.MAIN_MATCHED),
            (TieBreak.MOST_PARTS,),
        ),
        product(ConservativeMatch, ComprehensiveClass, GrayPrincipal),
        strict=True,
    )
]
LINES = [
    OutlierLines(Decimal("0.5"), Decimal(2), Decimal(5)),
    OutlierLines(Decimal("0.5"), Decimal(2), Decimal(5), low_inclusive=True, method=OutlierMethod.COEFFICIENT_INSIDE),
    OutlierLines(Decimal("0.35"), Decimal("2.5"), None, high_inclusive=True),
    OutlierLines(
        Decimal("0.4"), Decimal("1.05"), Decimal(3), True, True, True, method=OutlierMethod.COEFFICIENT_INSIDE
    ),
]
LEVELS = ("1", "2", "3")


class World:
    """A small crowded catalog: few codes, so that ties, fallbacks and misses are common."""

    def __init__(self, seed: int) -> None:
        chance = self.chance = random.Random(seed)
        self.diagnoses = {
            f"{category}.{place}{leaf}{tail}": chance.random() < 0.1
            for category in ("A00", "A01", "B02")
            for place in "0x1"
            for leaf in ("00", "01")
            for tail in ("", "x001", "x002+G01*")
        }
        self.procedures = {
            f"{number:02d}.1000": ProcedureEntry(chance.choice((None, *CLASS_ORDER[1:]))) for number in range(1, 13)
        }
        codes = [*self.procedures, "99.9999"]
        keys = sorted({cut for code in self.diagnoses for cut in (code[:3], code[:5], code[:7], code)})
        groups: dict[object, DiseaseGroup] = {}
        for number in range(60):
            key = chance.choice(keys)
            parts = tuple(
                tuple(chance.choices(codes, k=chance.randint(1, 3))) for _ in range(chance.choice((0, 1, 1, 2, 3)))
            )
            cut = chance.randint(0, len(parts))
            group = DiseaseGroup(
                f"病{number * 7919 % 100}" if number % 3 else f"g{number}",
                key,
                {3: Granularity.CATEGORY, 5: Granularity.SUBCATEGORY}.get(len(key), Granularity.FULL),
                Decimal(chance.choice((1, 7, 7, 500, 123456))).scaleb(-1),
                parts[:cut],
                parts[cut:],
                grassroots=chance.random() < 0.3,
            )
            asked = frozenset(frozenset(part) for part in group.main_procedures)
            groups.setdefault((key, asked, frozenset(frozenset(part) for part in group.related_procedures)), group)
        for category, procedure_class in product(("A00", "B02"), ProcedureClass):
            if chance.random() < 0.7:
                code = f"{category}:{procedure_class.value}"
                groups[code] = DiseaseGroup(
                    code,
                    category,
                    Granularity.CATEGORY,
                    Decimal(33),
                    kind=GroupKind.COMPREHENSIVE,
                    procedure_class=procedure_class,
                )
        unique = {group.group_code: group for group in groups.values()}
        tables = CodeTables(self.diagnoses, self.procedures)
        scale = chance.choice((1000, 500, 1))
        self.edition = Edition("e", scale, 1, tuple(unique.values()), tables, date(2025, 1, 1))
        assert check_edition(self.edition) == ()
        self.book = CatalogBook(self.edition)
        self.factors = tuple(
            HospitalFactor(chance.choice(LEVELS), Decimal(text))
            for text in ("1", "0.95", "1.2345", "0", "0.3333333", "3")
        )
        self.auxiliaries = (Decimal(1), Decimal("1.4"), Decimal("0.777"))
        by_level: dict[tuple[str, str], MeanCost] = {}
        overall: dict[str, MeanCost] = {}
        for code, level in product(unique, LEVELS):
            if chance.random() < 0.7:
                by_level[code, level] = MeanCost(
                    chance.choice((0, -7, 999_983, 10**6, 10**10 + 1)), chance.randint(0, 7)
                )
            if chance.random() < 0.7:
                overall[code] = MeanCost(chance.choice((0, chance.randint(10**5, 10**7))), chance.randint(0, 9))
        self.references = ReferenceCosts(by_level, overall)

    def cases(self, count: int, lines: OutlierLines) -> pa.Table:
        chance = self.chance
        known = list(self.diagnoses)
        codes = [*self.procedures, "99.9999", "no such code", ""]
        means = [
            mean for mean in (*self.references.by_level.values(), *self.references.overall.values()) if mean.usable
        ]
        edges = [
            edge + step for mean in means for edge in cost_lines(mean.n, mean.total_fen, lines) for step in (-1, 0, 1)
        ]
        costs = [edge for edge in edges if 0 <= edge < 10**13] + [0, 1, 10**10, 123_456_789]
        return pa.table(
            {
                "principal_diagnosis": pa.array(
                    [chance.choice([*known, *known, None, "", "Z00.000", "A00.0"]) for _ in range(count)], pa.string()
                ),
                "procedures": pa.array(
                    [chance.choices(codes, k=chance.choice((0, 1, 1, 2, 3, 5))) for _ in range(count)],
                    pa.list_(pa.string()),
                ),
                "cost_fen": pa.array([chance.choice(costs) for _ in range(count)], pa.int64()),
                "factor": pa.array([chance.randrange(len(self.factors)) for _ in range(count)], pa.int32()),
                "auxiliary": pa.array([chance.randrange(len(self.auxiliaries)) for _ in range(count)], pa.int32()),
            }
        )

    def expected(self, cases: pa.Table, method: GroupingMethod, lines: OutlierLines) -> Iterator[dict[str, object]]:
        for ordinal, case in enumerate(cases.to_pylist()):
            outcome = group_case(
                InpatientCase(str(ordinal), case["principal_diagnosis"], tuple(case["procedures"])), self.book, method
            )
            row: dict[str, object] = {"ordinal": ordinal, "group_code": None, "reason": outcome.reason.value}
            row |= {"band": None, "reference_source": None, "points": None}
            if outcome.group is not None:
                one = score_case(
                    outcome.group,
                    case_id=outcome.case_id,
                    cost_fen=case["cost_fen"],
                    factor=self.factors[case["factor"]],
                    references=self.references,
                    lines=lines,
                    points_decimals=self.edition.points_decimals,
                    auxiliary=self.auxiliaries[case["auxiliary"]],
                )
                row |= {"group_code": one.group_code, "band": one.band.value, "points": one.points}
                row["reference_source"] = one.reference_source.value
            yield row


@pytest.fixture(scope="module")
def engine() -> Iterator[Engine]:
    with Engine(memory_limit="1GB", batch_rows=300) as opened:
        yield opened


@pytest.mark.parametrize("number", range(len(METHODS)))
def test_every_case_is_grouped_and_scored_byte_for_byte_as_the_rules_say(engine: Engine, number: int) -> None:
    seen: set[object] = set()
    for turn, lines in enumerate(LINES):
        world = World(100 * number + turn)
        cases = world.cases(400, lines)
        compiled = compile_book(world.book, METHODS[number])
        plan = plan_scoring(
            compiled, factors=world.factors, references=world.references, lines=lines, auxiliaries=world.auxiliaries
        )
        found = engine.group_and_score(cases, plan).to_pylist()
        expected = list(world.expected(cases, METHODS[number], lines))
        assert [pair for pair in zip(found, expected, strict=True) if pair[0] != pair[1]] == []
        coded = compiled.encode(cases["principal_diagnosis"], cases["procedures"])
        grouped = engine.group(coded.rename_columns(["principal_diagnosis", "procedures"]), compiled).to_pylist()
        names = ("ordinal", "group_code", "reason")
        assert grouped == [{name: row[name] for name in names} for row in expected]
        seen |= {row["reason"] for row in found} | {row["band"] for row in found}
    # The worlds are crowded enough for every path to have been walked.
    fallback = METHODS[number].conservative_match is ConservativeMatch.FALLBACK
    gray = METHODS[number].gray_principal is GrayPrincipal.UNGROUPED
    assert {"core_matched", "conservative_matched", "comprehensive_matched"} <= seen
    assert {"principal_diagnosis_missing", "principal_diagnosis_unknown", "no_group_for_procedures"} <= seen
    assert ("conservative_fallback" in seen, "principal_diagnosis_gray" in seen) == (fallback, gray)
    assert {"low", "normal", "high", "extreme", "cannot_judge", None} <= seen


def test_the_real_excerpt_groups_the_sample_of_real_cases_as_the_rules_do(engine: Engine) -> None:
    classes = {
        "手术": ProcedureClass.SURGICAL,
        "介入治疗": ProcedureClass.SURGICAL,
        "治疗性操作": ProcedureClass.THERAPEUTIC,
        "诊断性操作": ProcedureClass.DIAGNOSTIC,
    }
    tables = CodeTables(
        {row["code"]: row["is_gray"] == "1" for row in _rows("icd10_yb_diagnosis.csv.gz")},
        {
            row["code"]: ProcedureEntry(classes[row["type_proxy"]], row["is_gray"] == "1")
            for row in _rows("icd9cm3_yb_procedure.csv.gz")
        },
    )
    reading = read_catalog(_shared("dip_catalog_excerpt_dev.csv").read_bytes(), tables, score_places=0)
    assert reading.refusals == ()
    assert {one.saw for one in reading.warnings if one.code == "procedure_unknown"} == {"06.3100x002"}
    assert [one for one in reading.warnings if one.code == "diagnosis_unknown"] == []
    book = CatalogBook(Edition("excerpt", 1000, 0, reading.groups, tables, date(2025, 1, 1)))
    sample = list(_rows("chs_cases_opendrg_sample.csv"))
    claims = [row for number, row in enumerate(_rows("discharges_desynpuf_dev.csv.gz")) if number % 10 == 0]
    principal = [row["dx_yb"].split("|")[0] for row in sample] + [row["main_dx_cn"] for row in claims]
    procedures = [[code for code in row["op_yb"].split("|") if code] for row in sample]
    procedures += [[code for code in row["px_cn"].split("|") if code] for row in claims]
    for group in reading.groups:
        diagnosis = next(code for code in tables.diagnoses if code.startswith(group.diagnosis))
        principal.append(diagnosis)
        procedures.append([part[-1] for part in group.parts])
    for method in METHODS[:3]:
        cases = pa.table(
            {
                "principal_diagnosis": pa.array(principal, pa.string()),
                "procedures": pa.array(procedures, pa.list_(pa.string())),
            }
        )
        found = engine.group(cases, compile_book(book, method)).to_pylist()
        expected = [
            group_case(InpatientCase("c", one, tuple(some)), book, method)
            for one, some in zip(principal, procedures, strict=True)
        ]
        assert [(row["group_code"], row["reason"]) for row in found] == [
            (one.group.group_code if one.group else None, one.reason.value) for one in expected
        ]
    sepsis = group_case(InpatientCase("c", "A41.900", ("96.7101", "39.9500")), book, METHODS[0])
    assert sepsis.group is not None
    assert sepsis.group.score == 5789


def _rows(name: str) -> Iterator[dict[str, str]]:
    path = _shared(name)
    opened = gzip.open(path, "rt", encoding="utf-8") if name.endswith(".gz") else path.open(encoding="utf-8")
    with opened as lines:
        yield from csv.DictReader(lines)


def _shared(name: str) -> Path:
    root = Path(__file__).resolve().parents[2]
    path = Path(os.environ.get("FENZHI_SHARED", str(root.parent / "shared"))) / "data" / name
    if not path.exists():
        reason = f"shared data absent: {name}"
        if os.environ.get("FENZHI_REQUIRE_SHARED") == "1":
            pytest.fail(reason)
        pytest.skip(reason)
    return path

from __future__ import annotations

import ast
import dataclasses
import re
from collections.abc import Iterator
from datetime import date
from decimal import Decimal
from pathlib import Path

import pyarrow as pa
import pytest

import fenzhi.engine
from fenzhi.cli.bench_grouping import bench_grouping
from fenzhi.engine.compiled_book import compile_book
from fenzhi.engine.engine import Engine
from fenzhi.engine.failures import EngineBoundsExceeded, EngineFailed, EngineInputRefused
from fenzhi.engine.scoring_plan import ScoringPlan, plan_scoring
from fenzhi.rules.catalog.disease_group import DiseaseGroup, Granularity, ProcedureClass
from fenzhi.rules.catalog.edition import CodeTables, Edition, ProcedureEntry
from fenzhi.rules.catalog.reference_costs import MeanCost, ReferenceCosts
from fenzhi.rules.grouping.catalog_book import CatalogBook
from fenzhi.rules.grouping.grouping_method import GroupingMethod, TieBreak
from fenzhi.rules.scoring.cost_outliers import OutlierLines
from fenzhi.rules.scoring.score_case import HospitalFactor

LINES = OutlierLines(Decimal("0.5"), Decimal(2), Decimal(5))
GROUPS = (
    DiseaseGroup("op", "H40", Granularity.CATEGORY, Decimal("1000.5"), (("13.7100",),)),
    DiseaseGroup("quiet", "H40", Granularity.CATEGORY, Decimal(200), grassroots=True),
)
TABLES = CodeTables({"H40.000": False}, {"13.7100": ProcedureEntry(ProcedureClass.SURGICAL)})
REFERENCES = ReferenceCosts({("op", "3"): MeanCost(1_000_000, 1)}, {})


def plan(
    score: str = "1000.5", coefficient: str = "0.95", lines: OutlierLines = LINES, auxiliaries: tuple[str, ...] = ("1",)
) -> ScoringPlan:
    groups = (dataclasses.replace(GROUPS[0], score=Decimal(score)), GROUPS[1])
    book = CatalogBook(Edition("e", 1000, 1, groups, TABLES, date(2025, 1, 1)))
    return plan_scoring(
        compile_book(book, GroupingMethod()),
        factors=(HospitalFactor("3", Decimal(coefficient)),),
        references=REFERENCES,
        lines=lines,
        auxiliaries=tuple(Decimal(one) for one in auxiliaries),
    )


def cases(*costs: int, procedures: tuple[str, ...] = ("13.7100",), **columns: pa.Array) -> pa.Table:
    given = {
        "principal_diagnosis": pa.array(["H40.000"] * len(costs), pa.string()),
        "procedures": pa.array([list(procedures)] * len(costs), pa.list_(pa.string())),
        "cost_fen": pa.array(costs, pa.int64()),
        "factor": pa.array([0] * len(costs), pa.int32()),
    }
    return pa.table({name: column for name, column in (given | columns).items() if column is not None})


@pytest.fixture(scope="module")
def engine() -> Iterator[Engine]:
    with Engine(memory_limit="512MB") as opened:
        yield opened


def test_points_of_a_normal_a_low_and_a_high_case(engine: Engine) -> None:
    found = engine.group_and_score(cases(1_000_000, 400_000, 2_500_000), plan()).to_pylist()
    assert [(row["band"], row["points"]) for row in found] == [
        ("normal", 9_504_750),
        ("low", 3_801_900),
        ("high", 14_257_125),
    ]
    quiet = engine.group_and_score(cases(5, procedures=()), plan()).to_pylist()
    assert quiet == [
        {
            "ordinal": 0,
            "group_code": "quiet",
            "reason": "conservative_matched",
            "band": "cannot_judge",
            "reference_source": "none",
            "points": 2_000_000,
        }
    ]


def test_no_cases_are_no_rows_of_the_same_shape(engine: Engine) -> None:
    found = engine.group_and_score(cases(), plan())
    assert found.num_rows == 0
    assert found.schema == engine.group_and_score(cases(1), plan()).schema


def test_batches_never_change_a_result(engine: Engine) -> None:
    table = cases(*range(0, 6_000_000, 99_991))
    whole = engine.group_and_score(table, plan())
    with Engine(memory_limit="512MB", threads=1, batch_rows=7) as small:
        assert small.group_and_score(table, plan()).to_pylist() == whole.to_pylist()
    sliced = engine.group_and_score(table.slice(10, 20), plan()).to_pylist()
    assert [row["points"] for row in sliced] == whole["points"].to_pylist()[10:30]


def test_a_procedure_listed_twice_counts_once_however_many_a_group_names(engine: Engine) -> None:
    codes = [f"{number:02d}.1000" for number in range(1, 91)]
    tables = CodeTables({"H40.000": False}, {code: ProcedureEntry() for code in codes})
    for wide in (("01.1000", "02.1000"), tuple(codes)):
        groups = (
            DiseaseGroup("a", "H40", Granularity.CATEGORY, Decimal(1), (("03.1000",),)),
            DiseaseGroup("b", "H40", Granularity.CATEGORY, Decimal(1), (wide,)),
            DiseaseGroup("c", "H40", Granularity.CATEGORY, Decimal(1), (("03.1000", "04.1000"),)),
        )
        book = compile_book(
            CatalogBook(Edition("e", 1000, 0, groups, tables, date(2025, 1, 1))),
            GroupingMethod((TieBreak.MOST_MATCHED,)),
        )
        repeated = engine.group(cases(1, procedures=("03.1000", "03.1000", "03.1000", "01.1000", "04.1000")), book)
        assert repeated["group_code"].to_pylist() == ["c" if len(wide) == 2 else "b"]
        alone = engine.group(cases(1, procedures=("03.1000", "03.1000", "77.7777")), book)
        assert alone["group_code"].to_pylist() == ["a"]


def test_each_case_is_scored_under_its_own_edition(engine: Engine) -> None:
    table = cases(1_000_000, 400_000, 1_000_000, edition_id=pa.array(["new", "old", "old"], pa.string()))
    plans = {"new": plan(score="1000.5"), "old": plan(score="2001"), "unused": plan()}
    found = engine.group_and_score_editions(table, plans)
    shown = found.select(["ordinal", "edition_id", "group_code", "band", "points"]).to_pylist()
    assert [tuple(row.values()) for row in shown] == [
        (0, "new", "op", "normal", 9_504_750),
        (1, "old", "op", "low", 7_603_800),
        (2, "old", "op", "normal", 19_009_500),
    ]
    assert engine.group_and_score_editions(table.slice(0, 0), plans).schema == found.schema
    with pytest.raises(EngineInputRefused, match="no plan"):
        engine.group_and_score_editions(table, {"new": plan()})


@pytest.mark.parametrize(
    "table",
    [
        cases(-1),
        cases(1, factor=pa.array([1], pa.int32())),
        cases(1, factor=pa.array([None], pa.int32())),
        cases(1, cost_fen=pa.array([1.0], pa.float64())),
        cases(1, cost_fen=None),
        cases(1).drop_columns(["procedures"]),
        cases(1, principal_diagnosis=pa.array([1], pa.int64())),
        cases(1, auxiliary=pa.array([1], pa.int32())),
        pa.table({
            "principal_diagnosis": pa.array([9], pa.int32()),
            "procedures": pa.array([[0]], pa.list_(pa.int32())),
            "cost_fen": pa.array([1], pa.int64()),
            "factor": pa.array([0], pa.int32()),
        }),
    ],
)  # fmt: skip
def test_a_table_that_is_not_what_the_engine_asks_for_is_refused_typed(engine: Engine, table: pa.Table) -> None:
    with pytest.raises(EngineInputRefused) as caught:
        engine.group_and_score(table, plan())
    assert caught.value.zh != "" and caught.value.code == "ENGINE_INPUT_REFUSED"


def test_several_auxiliary_coefficients_must_be_named_per_case(engine: Engine) -> None:
    two = plan(auxiliaries=("1", "1.4"))
    with pytest.raises(EngineInputRefused):
        engine.group_and_score(cases(1_000_000), two)
    named = cases(1_000_000, 1_000_000, auxiliary=pa.array([1, 0], pa.int32()))
    assert engine.group_and_score(named, two)["points"].to_pylist() == [13_306_650, 9_504_750]


def test_a_negative_coefficient_is_refused() -> None:
    with pytest.raises(EngineInputRefused):
        plan(coefficient="-0.1")


def test_what_does_not_fit_is_refused_typed_never_wrapped_around(engine: Engine) -> None:
    endless = OutlierLines(Decimal("0.5"), Decimal(2), None)
    with pytest.raises(EngineBoundsExceeded):
        engine.group_and_score(cases(2**62), plan(score="90000000000", lines=endless))
    with pytest.raises(EngineBoundsExceeded):
        plan(score="9000000000000000000")
    with pytest.raises(EngineBoundsExceeded):
        engine.group(cases(1, procedures=("13.7100",) * 256), plan().book)
    huge = engine.group_and_score(cases(10**13), plan(lines=endless))["points"].to_pylist()
    assert huge == [(10**7 - 1) * 9_504_750]


def test_any_database_exception_surfaces_typed() -> None:
    with pytest.raises(EngineFailed) as caught:
        Engine(memory_limit="nonsense")
    assert caught.value.details["kind"] != ""
    closed = Engine(memory_limit="512MB")
    closed.close()
    with pytest.raises(EngineFailed):
        closed.group_and_score(cases(1), plan())


def test_sums_per_hospital_and_reference_totals(engine: Engine) -> None:
    table = cases(1_000_000, 400_000, 9_000_000, 7)
    table = table.set_column(0, "principal_diagnosis", pa.array(["H40.000", "H40.000", "H40.000", None]))
    scored = engine.group_and_score(table, plan())
    beside = pa.table(
        {
            "hospital": pa.array(["b", "a", "b", "b"]),
            "level": pa.array(["3", "2", "3", "3"]),
            "cost_fen": table["cost_fen"],
            "booked_fen": pa.array([1, 2, 3, -4], pa.int64()),
            "patient_fen": pa.array([0, 0, 5, 6], pa.int64()),
        }
    )
    first, second = engine.aggregate_hospitals(scored, beside).to_pylist()
    assert (first["hospital"], first["cases"], first["grouped"], first["points"], first["band_low"]) == (
        "a", 1, 1, 3_801_900, 1,
    )  # fmt: skip
    assert {name: value for name, value in second.items() if value} == {
        "hospital": "b",
        "cases": 3,
        "grouped": 2,
        "points": 19_009_500,
        "cost_fen": 10_000_007,
        "patient_fen": 11,
        "band_normal": 1,
        "band_extreme": 1,
        "reason_core_matched": 2,
        "reason_principal_diagnosis_missing": 1,
    }
    references = engine.reference_costs(scored, beside)
    assert references == ReferenceCosts(
        {("op", "2"): MeanCost(400_000, 1), ("op", "3"): MeanCost(10_000_000, 2)}, {"op": MeanCost(10_400_000, 3)}
    )
    with pytest.raises(EngineInputRefused):
        engine.aggregate_hospitals(scored, beside.slice(1))


def test_money_statements_know_no_division_but_the_whole_one() -> None:
    forbidden = re.compile(
        r"(?<!/)/(?!/)|\bavg\b|\bmean\b|\bdouble\b|\bfloat\d?\b|\breal\b|\bdecimal\b|\bnumeric\b", re.I
    )
    folder = Path(fenzhi.engine.__file__).parent
    statements: list[tuple[str, str]] = []
    for path in sorted(folder.glob("*.py")):
        tree = ast.parse(path.read_text(encoding="utf-8"))
        docstrings = {
            id(node.value)
            for node in ast.walk(tree)
            if isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant)
        }
        for node in ast.walk(tree):
            if isinstance(node, ast.Constant) and isinstance(node.value, str) and id(node) not in docstrings:
                if re.search(r"\bSELECT\b|\bCASE\b|::|//", node.value):
                    statements.append((path.name, node.value))
    assert [(name, text) for name, text in statements if forbidden.search(text)] == []
    assert {name for name, _ in statements} == {
        "adjusting.py",
        "aggregates.py",
        "apportionment.py",
        "case_preparation.py",
        "grouping_sql.py",
    }


def test_the_bench_is_deterministic_by_seed_and_checks_itself_against_the_rules() -> None:
    one, again = bench_grouping(300, 7), bench_grouping(300, 7)
    assert one["result_sha256"] == again["result_sha256"]
    assert one["includes"]["checked_against_rules"] == 300  # type: ignore[index]
    assert list(one) == [
        "cases", "seed", "seconds", "per_s", "peak_rss_mb", "result_sha256", "floors", "ratios", "includes",
    ]  # fmt: skip

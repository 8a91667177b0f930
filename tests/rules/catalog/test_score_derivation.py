from __future__ import annotations

import csv
import gzip
import os
import random
from collections.abc import Iterator
from datetime import date
from decimal import Decimal
from fractions import Fraction
from pathlib import Path

import pytest

from fenzhi.rules.catalog.disease_group import ProcedureClass
from fenzhi.rules.catalog.edition import CodeTables, Edition, ProcedureEntry, check_edition
from fenzhi.rules.catalog.score_derivation import (
    DerivationMethod,
    HistoryCase,
    SetAside,
    WeightingBasis,
    cv_text,
    derive_catalog,
    weighted_mean,
)
from fenzhi.rules.grouping.catalog_book import CatalogBook
from fenzhi.rules.grouping.group_case import InpatientCase, group_case
from fenzhi.rules.grouping.grouping_method import GroupingMethod
from fenzhi.rules.quantities import decimal_places

TABLES = CodeTables(
    diagnoses={"K35.300": False, "K35.800": False, "K35.900": True},
    procedures={
        "47.0100": ProcedureEntry(ProcedureClass.SURGICAL),
        "47.0900": ProcedureEntry(ProcedureClass.SURGICAL),
        "54.2100": ProcedureEntry(ProcedureClass.DIAGNOSTIC),
        "99.9900": ProcedureEntry(None),
    },
)


def cases(
    prefix: str, count: int, year: int, diagnosis: str, procedures: tuple[str, ...], yuan: int
) -> list[HistoryCase]:
    return [HistoryCase(f"{prefix}{i}", year, diagnosis, procedures, yuan * 100) for i in range(count)]


def method(**changes: object) -> DerivationMethod:
    given: dict[str, object] = {
        "weights": {2022: 1, 2023: 2, 2024: 7},
        "scale": 1000,
        "score_places": 2,
        "core_threshold": 3,
    }
    return DerivationMethod(**(given | changes))  # type: ignore[arg-type]


def test_the_published_weighting_and_its_alternative() -> None:
    years = {2022: (80_000_000, 100), 2023: (170_000_000, 200), 2024: (360_000_000, 400)}
    weights = {2022: 1, 2023: 2, 2024: 7}
    assert weighted_mean(years, weights, WeightingBasis.YEARLY_MEANS) == 880_000  # WE-09
    assert weighted_mean(years, weights, WeightingBasis.POOLED) == Fraction(9_800_000_000, 11_000)  # not a year's mean
    del years[2023]
    assert weighted_mean(years, weights, WeightingBasis.YEARLY_MEANS) == Fraction(8000 * 100 + 7 * 9000 * 100, 8)
    with pytest.raises(ValueError, match="no year"):
        weighted_mean({2020: (1, 1)}, weights, WeightingBasis.POOLED)


def test_every_case_is_used_once_or_set_aside_by_a_reason() -> None:
    history = [
        *cases("lap", 3, 2024, "K35.300", ("47.0100", "54.2100"), 9000),
        *cases("lap-swapped", 1, 2023, "K35.300", ("54.2100", "47.0100"), 8000),
        *cases("cons", 4, 2022, "K35.800", (), 1000),
        *cases("rare", 2, 2024, "K35.800", ("47.0900",), 5000),
        *cases("rare-diag", 1, 2024, "K35.300", ("54.2100",), 2000),
        *cases("no-class", 1, 2024, "K35.300", ("99.9900",), 2000),
        *cases("gray", 1, 2024, "K35.900", (), 2000),
        *cases("unknown", 1, 2024, "K99.900", (), 2000),
        *cases("free", 1, 2024, "K35.300", (), 0),
        *cases("old", 1, 2019, "K35.300", (), 100),
    ]
    derived = derive_catalog(history, TABLES, method(comprehensive_threshold=2))
    assert [(one.group.group_code, one.statistics.n) for one in derived.groups] == [
        ("K35.3:47.0100_54.2100", 4),
        ("K35.8", 4),
        ("K35:surgical", 2),
    ]
    assert derived.set_aside == {
        "no-class0": SetAside.PROCEDURE_CLASS_UNKNOWN,
        "gray0": SetAside.PRINCIPAL_DIAGNOSIS_GRAY,
        "unknown0": SetAside.PRINCIPAL_DIAGNOSIS_UNKNOWN,
        "free0": SetAside.COST_NOT_POSITIVE,
        "old0": SetAside.YEAR_WITHOUT_WEIGHT,
        "rare-diag0": SetAside.BELOW_COMPREHENSIVE_THRESHOLD,
    }
    assert set(derived.assigned) | set(derived.set_aside) == {case.case_id for case in history}
    # laparoscopic: (2 × 8000 + 7 × 9000) / 9; all: (1 × 1000 + 2 × 8000 + 7 × 37000 / 5) / 10
    lap = derived.groups[0]
    assert lap.mean_fen == Fraction(7_900_000, 9)
    assert derived.overall_mean_fen == Fraction(100_000 * 1 + 800_000 * 2 + 740_000 * 7, 10)
    assert lap.group.score == Decimal("1275.84")  # 8777.777… / 6880 × 1000 = 1275.8397…
    shuffled = list(history)
    random.Random(1).shuffle(shuffled)
    assert derive_catalog(shuffled, TABLES, method(comprehensive_threshold=2)).groups == derived.groups


def test_a_built_catalog_can_be_published_and_groups_its_own_history() -> None:
    history = [
        *cases("a", 5, 2024, "K35.300", ("47.0100", "54.2100"), 9000),
        *cases("b", 5, 2024, "K35.300", ("47.0100",), 7000),
        *cases("c", 1, 2024, "K35.300", (), 900),
    ]
    derived = derive_catalog(history, TABLES, method())
    edition = Edition("built", 1000, 2, tuple(one.group for one in derived.groups), TABLES, date(2025, 1, 1))
    assert check_edition(edition) == ()
    book = CatalogBook(edition)
    for case in history:
        outcome = group_case(
            InpatientCase(case.case_id, case.principal_diagnosis, case.procedures), book, GroupingMethod()
        )
        assert outcome.group is not None
        assert outcome.group.group_code == derived.assigned[case.case_id]


def test_cv_is_exact_with_the_population_deviation_and_shown_with_four_places() -> None:
    derived = derive_catalog(
        [HistoryCase(str(yuan), 2024, "K35.300", (), yuan * 100) for yuan in (8000, 10000, 12000)], TABLES, method()
    )
    squared = derived.groups[0].statistics.cv_squared
    assert (squared, cv_text(squared)) == (Fraction(2, 75), "0.1633")  # WE-17
    assert [cv_text(Fraction(1, 4)), cv_text(Fraction(0)), cv_text(Fraction(9, 1), 0)] == ["0.5000", "0.0000", "3"]
    assert cv_text(Fraction("0.49999") ** 2, 4) == "0.5000"


def test_a_history_without_a_usable_case_has_no_catalog() -> None:
    with pytest.raises(ValueError, match="no case"):
        derive_catalog(cases("x", 1, 2024, "Z00.000", (), 1), TABLES, method())


def test_the_independent_oracle_agrees_group_by_group() -> None:
    tables = CodeTables(
        diagnoses={row["main_dx_cn"]: False for row in _claims() if row["main_dx_cn"]},
        procedures={
            code: ProcedureEntry(ProcedureClass.SURGICAL)
            for row in _claims()
            for code in row["px_cn"].split("|")
            if code
        },
    )
    history = [
        HistoryCase(
            f"{row['case_id']}.{row['segment']}.{row['sample']}",
            0,
            row["main_dx_cn"],
            tuple(code for code in row["px_cn"].split("|") if code),
            int(Decimal(row["total_amt"]) * 100),
        )
        for row in _claims()
    ]
    derived = derive_catalog(
        history, tables, DerivationMethod({0: 1}, scale=1, score_places=4, core_threshold=15, use_gray_principals=True)
    )
    core = {one.group.group_code: one for one in derived.groups if one.group.procedure_class is None}
    expected = [row for row in _rows("oracle_groups_desynpuf_dev.csv.gz") if int(row["n"]) >= 15]
    found = {
        (one.group.diagnosis, "+".join(sorted(code for part in one.group.parts for code in part))): (
            one.statistics.n,
            decimal_places(Fraction(one.statistics.total_fen, one.statistics.n) / 100, 2),
            cv_text(one.statistics.cv_squared),
            format(one.group.score, "f"),
        )
        for one in core.values()
    }
    assert len(found) == len(expected)
    differing = [
        (row, found.get((row["dx_cat4"], row["ops"])))
        for row in expected
        if found.get((row["dx_cat4"], row["ops"]))
        != (int(row["n"]), row["mean_total"], row["cv"], row["relative_weight"])
    ]
    # The oracle rounds through floats: a difference may only be a tie in the last place.
    assert [row for row, ours in differing if ours is None or ours[0] != int(row["n"])] == []
    assert all(
        abs(Decimal(ours[i]) - Decimal(row[name])) <= Decimal(1).scaleb(-places)
        for row, ours in differing
        if ours is not None
        for i, name, places in ((1, "mean_total", 2), (2, "cv", 4), (3, "relative_weight", 4))
    )
    assert len(differing) <= len(expected) // 100


def _claims() -> Iterator[dict[str, str]]:
    return _rows("discharges_desynpuf_dev.csv.gz")


def _rows(name: str) -> Iterator[dict[str, str]]:
    root = Path(__file__).resolve().parents[3]
    path = Path(os.environ.get("FENZHI_SHARED", str(root.parent / "shared"))) / "data" / name
    if not path.exists():
        reason = f"shared data absent: {name}"
        if os.environ.get("FENZHI_REQUIRE_SHARED") == "1":
            pytest.fail(reason)
        pytest.skip(reason)
    with gzip.open(path, "rt", encoding="utf-8", newline="") as lines:
        yield from csv.DictReader(lines)

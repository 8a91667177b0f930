"""Earlier years' discharges into groups (历史病例入组), in bulk, each area by its own grouping method."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import pyarrow as pa
from sqlalchemy import Row

from fenzhi.engine.compiled_book import CompiledBook, compile_book
from fenzhi.engine.engine import Engine
from fenzhi.rules.catalog.derivation_from_sums import HistorySum
from fenzhi.rules.grouping.catalog_book import CatalogBook
from fenzhi.rules.grouping.grouping_method import GroupingMethod
from fenzhi.rules.grouping.outcome import GroupingReason
from fenzhi.rules.grouping.provisional_groups import ProvisionalGroup, provisional_book, provisional_method


@dataclass(frozen=True, slots=True)
class EqualCases:
    """Discharges alike in area, diagnosis, procedures, year and level (同类历史病例), summed. Units: fen, days."""

    area_id: int
    principal_diagnosis: str
    procedures: tuple[str, ...]
    year: int
    level: str
    n: int
    total_fen: int
    los_days: int
    not_positive: int
    positive_fen: int
    positive_squares: int

    @property
    def key(self) -> tuple[str, tuple[str, ...]]:
        """What decides the group (入组条件)."""
        return self.principal_diagnosis, self.procedures

    def as_sum(self) -> HistorySum:
        """As the derivation reads it (测算用汇总)."""
        return HistorySum(
            self.principal_diagnosis,
            self.procedures,
            self.year,
            self.n,
            self.positive_fen,
            self.positive_squares,
            self.not_positive,
        )


def equal_cases(rows: Sequence[Row[Any]]) -> list[EqualCases]:
    """The rows of `catalog.history_sums` with their types (历史汇总)."""
    return [
        EqualCases(
            row.area_id,
            row.principal or "",
            tuple(row.procedures),
            row.year,
            row.level,
            int(row.n),
            int(row.total_fen),
            int(row.los_days),
            int(row.not_positive),
            int(row.positive_fen),
            int(row.positive_squares),
        )
        for row in rows
    ]


def group_equal_cases(
    cases: Sequence[EqualCases],
    book: CatalogBook,
    methods: Mapping[int, GroupingMethod],
    *,
    memory_limit_mb: int,
    beside: Mapping[int, Sequence[ProvisionalGroup]] | None = None,
) -> list[str | None]:
    """The group code of each, or None when ungrouped (病种编码), in the order given.

    `methods` by area; `beside` the provisional groups of an area, asked of the cases that the book does not cover. Runs in a thread of the caller's; takes as long as the bulk engine takes.
    """
    found: dict[int, str | None] = {}
    uncovered: dict[int, list[int]] = {}
    compiled: dict[GroupingMethod, CompiledBook] = {}
    with Engine(memory_limit=f"{memory_limit_mb}MB") as engine:
        for method in dict.fromkeys(methods[area] for area in sorted({one.area_id for one in cases})):
            places = [i for i, one in enumerate(cases) if methods[one.area_id] == method]
            if method not in compiled:
                compiled[method] = compile_book(book, method)
            answer = engine.group(_table(cases[i] for i in places), compiled[method])
            reasons = answer["reason"].to_pylist()
            for place, code, reason in zip(places, answer["group_code"].to_pylist(), reasons, strict=True):
                found[place] = code
                if GroupingReason(reason).is_uncovered:
                    uncovered.setdefault(cases[place].area_id, []).append(place)
        for area, groups in (beside or {}).items():
            of_area = provisional_book(book.edition, groups)
            if of_area is not None and area in uncovered:
                asked = compile_book(of_area, provisional_method(methods[area]))
                answer = engine.group(_table(cases[i] for i in uncovered[area]), asked)
                found_codes = answer["group_code"].to_pylist()
                found |= dict(zip(uncovered[area], found_codes, strict=True))
    return [found.get(place) for place in range(len(cases))]


def _table(cases: Iterable[EqualCases]) -> pa.Table:
    listed = list(cases)
    return pa.table(
        {
            "principal_diagnosis": pa.array([one.principal_diagnosis for one in listed], pa.string()),
            "procedures": pa.array([list(one.procedures) for one in listed], pa.list_(pa.string())),
        }
    )

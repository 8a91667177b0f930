"""Conditions of groups as tokens (分组条件编号): a case's class, age, weight, stay and other diagnoses beside its procedures.

A group of a layer above the basic one may ask for more than procedures. Whatever it asks for becomes a number behind those of the
procedures, so that one join answers for procedures and conditions alike: a part is met by any one of its tokens. The bands of a fact are
cut at every edge that any group names; a fact that a case lacks has a token of its own, which decides nothing.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

import pyarrow as pa
import pyarrow.compute as pc

from fenzhi.rules.catalog.disease_group import CLASS_RANK, diagnosis_keys
from fenzhi.rules.catalog.group_conditions import CaseFact, FactBand, GroupLayer
from fenzhi.rules.grouping.opened_book import AskedGroup, OpenedBook

_CLASSES = len(CLASS_RANK)


@dataclass(frozen=True)
class ConditionTokens:
    """The numbers of an edition's conditions (条件编号). `count`: procedures and conditions together."""

    used: bool
    first: int
    edges: Mapping[CaseFact, tuple[int, ...]]
    """Where the bands of a fact begin, ascending: a value below the first edge is in the first band."""
    fact_start: Mapping[CaseFact, int]
    """Token of a missing fact; its bands follow."""
    secondary_codes: pa.Array
    """Diagnosis codes that some group asks for beside the principal one."""
    secondary_start: int
    keys_of: tuple[frozenset[str], ...]
    count: int

    @property
    def always(self) -> int:
        """The token every case has (恒有标记)."""
        return self.first + _CLASSES

    def parts_of(self, asked: AskedGroup) -> Iterator[tuple[frozenset[int], int | None]]:
        """The conditions of a group as parts (条件项): tokens that satisfy each, and the one that leaves it undecided."""
        if asked.procedure_class is not None:
            yield frozenset((self.first + CLASS_RANK[asked.procedure_class],)), None
        for part in asked.secondary:
            yield (
                frozenset(self.secondary_start + place for place, keys in enumerate(self.keys_of) if keys & part),
                None,
            )
        for band in asked.facts:
            missing = self.fact_start[band.fact]
            yield frozenset(missing + 1 + place for place in self._bands(band)), missing
        nothing_asked = asked.procedure_class is None and not asked.secondary and not asked.facts and not asked.parts
        if nothing_asked and asked.group.layer is not GroupLayer.BASIC:
            yield frozenset((self.always,)), None

    def _bands(self, band: FactBand) -> Iterator[int]:
        edges = self.edges[band.fact]
        for place in range(len(edges) + 1):
            # Bands are cut at every edge, so one of their values speaks for all.
            value = edges[place - 1] if place else (edges[0] - 1 if edges else 0)
            if band.holds(value):
                yield place

    def encode_secondary(self, others: pa.ChunkedArray | pa.Array) -> pa.ChunkedArray:
        """Other diagnoses as tokens (其他诊断转编号): those that no group asks for become −1."""
        chunks = others.chunks if isinstance(others, pa.ChunkedArray) else [others]
        return pa.chunked_array([self._encoded(chunk) for chunk in chunks], type=pa.list_(pa.int32()))

    def _encoded(self, chunk: pa.ListArray) -> pa.ListArray:
        if chunk.null_count:
            chunk = pc.fill_null(chunk, pa.scalar([], chunk.type))
        found = pc.index_in(chunk.flatten(), value_set=self.secondary_codes)
        numbers = pc.cast(pc.fill_null(pc.add(found, self.secondary_start), -1), pa.int32())
        start = chunk.offsets[0]
        offsets = pc.subtract(chunk.offsets, start) if start.as_py() else chunk.offsets
        return pa.ListArray.from_arrays(offsets, numbers)


def condition_tokens(opened: OpenedBook, diagnosis_codes: Sequence[str], first: int) -> ConditionTokens:
    """Number the conditions of an edition (条件编号), from `first` on."""
    asked = [one for one in opened.asked_of.values() if one.group.layer is not GroupLayer.BASIC]
    starts: dict[CaseFact, set[int]] = {fact: set() for fact in CaseFact}
    wanted: set[str] = set()
    for one in asked:
        wanted.update(*one.secondary)
        for band in one.facts:
            if band.low is not None:
                starts[band.fact].add(band.low)
            if band.high is not None:
                starts[band.fact].add(band.high + 1)
    edges = {fact: tuple(sorted(found)) for fact, found in starts.items()}
    place = first + _CLASSES + 1
    fact_start: dict[CaseFact, int] = {}
    for fact in CaseFact:
        fact_start[fact] = place
        place += len(edges[fact]) + 2
    codes: list[str] = []
    keys_of: list[frozenset[str]] = []
    for code in diagnosis_codes if wanted else ():
        keys = frozenset(key for _, key in diagnosis_keys(code)) & wanted
        if keys:
            codes.append(code)
            keys_of.append(keys)
    return ConditionTokens(
        bool(asked), first, edges, fact_start, pa.array(codes, pa.string()), place, tuple(keys_of), place + len(codes)
    )

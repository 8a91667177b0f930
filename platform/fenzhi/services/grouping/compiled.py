"""Editions compiled for the engine (已编译目录), a few kept: a published edition never changes, so a process compiles it once."""

from __future__ import annotations

import uuid
from collections import OrderedDict
from collections.abc import Mapping
from dataclasses import replace
from decimal import Decimal
from typing import Any

from fenzhi.engine.compiled_book import CompiledBook, compile_book
from fenzhi.rules.grouping.catalog_book import CatalogBook
from fenzhi.rules.grouping.grouping_method import GroupingMethod

_ROOM = 4
_scored: OrderedDict[tuple[int, uuid.UUID | None], tuple[CatalogBook, CatalogBook]] = OrderedDict()
_held: OrderedDict[tuple[Any, ...], tuple[CatalogBook, CatalogBook, CompiledBook]] = OrderedDict()


def scored_book(book: CatalogBook, overlay: uuid.UUID | None, scores: Mapping[str, Decimal]) -> CatalogBook:
    """The book with an area's scores in it (装入市级分值). `scores` are those of the overlay named; none of them: the book itself."""
    if not scores:
        return book
    key = (id(book), overlay)
    held = _scored.get(key)
    # A book that was let go may have left its address to another one.
    if held is not None and held[0] is book:
        _scored.move_to_end(key)
        return held[1]
    groups = tuple(replace(one, score=scores.get(one.group_code, one.score)) for one in book.edition.groups)
    scored = CatalogBook(replace(book.edition, groups=groups))
    _scored[key] = (book, scored)
    while len(_scored) > _ROOM:
        _scored.popitem(last=False)
    return scored


def compiled_for(
    book: CatalogBook,
    overlay: uuid.UUID | None,
    scores: Mapping[str, Decimal],
    method: GroupingMethod,
    means: Mapping[str, int],
) -> tuple[CatalogBook, CompiledBook]:
    """The book with an area's scores in it, and the same compiled (装入市级分值并编译). `scores` are those of the overlay named."""
    key = (id(book), overlay, method, tuple(sorted(means.items())))
    held = _held.get(key)
    if held is not None and held[0] is book:
        _held.move_to_end(key)
        return held[1], held[2]
    scored = scored_book(book, overlay, scores)
    compiled = compile_book(scored, method, means)
    _held[key] = (book, scored, compiled)
    while len(_held) > _ROOM:
        _held.popitem(last=False)
    return scored, compiled

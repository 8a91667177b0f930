"""What an edition holds in the store (病种): groups, lists, auxiliary subtypes, scores and their edits."""

from __future__ import annotations

import uuid
from collections.abc import Iterable, Mapping, Sequence
from decimal import Decimal
from typing import Any

from sqlalchemy import Row, delete, or_, select, text

from fenzhi.store.session import UnitOfWork
from fenzhi.store.tables.catalog import (
    auxiliary_subtype,
    catalog_edition,
    disease_group,
    edition_list,
    score_edit,
)

GROUP_COLUMNS = (
    "group_code",
    "diagnosis",
    "diagnosis_name",
    "granularity",
    "main_procedures",
    "main_procedure_names",
    "related_procedures",
    "related_procedure_names",
    "kind",
    "sequence_text",
    "procedure_class",
    "level",
    "score",
    "cases",
    "is_grassroots",
    "source",
    "is_local_addition",
    "layer",
    "more_diagnoses",
    "secondary_diagnoses",
    "facts",
)

_GROUP_DEFAULTS = (False, "basic", "", "", "")
"""What the last columns hold where they are left out: no local addition, the basic layer, no conditions."""


async def groups(uow: UnitOfWork, edition_id: uuid.UUID) -> Sequence[Row[Any]]:
    """All groups of an edition in their order."""
    c = disease_group.c
    return await uow.rows(
        select(disease_group).where(c.province_id == uow.scope.province, c.edition_id == edition_id).order_by(c.ordinal)
    )


async def group_by_code(uow: UnitOfWork, edition_id: uuid.UUID, group_code: str) -> Row[Any] | None:
    c = disease_group.c
    return await uow.first(
        select(disease_group).where(
            c.province_id == uow.scope.province, c.edition_id == edition_id, c.group_code == group_code
        )
    )


async def groups_page(
    uow: UnitOfWork, edition_id: uuid.UUID, *, prefix: str, search: str, after: str, limit: int
) -> Sequence[Row[Any]]:
    """One page of groups in byte order of their codes, whose code begins or whose words contain something."""
    c = disease_group.c
    query = select(disease_group).where(
        c.province_id == uow.scope.province, c.edition_id == edition_id, c.group_code > after
    )
    if prefix:
        query = query.where(c.group_code.startswith(prefix, autoescape=True))
    if search:
        query = query.where(
            or_(
                c.group_code.contains(search, autoescape=True),
                c.diagnosis_name.contains(search, autoescape=True),
                c.main_procedure_names.contains(search, autoescape=True),
            )
        )
    return await uow.rows(query.order_by(c.group_code).limit(limit))


async def add_groups(
    uow: UnitOfWork, edition_id: uuid.UUID, first_ordinal: int, rows: Iterable[tuple[Any, ...]]
) -> int:
    """Add groups given in the order of `GROUP_COLUMNS`, whose last columns may be left out; the number added."""
    province = uow.scope.province
    return await uow.copy_in(
        disease_group,
        ("province_id", "edition_id", "ordinal", *GROUP_COLUMNS),
        (
            (
                province,
                edition_id,
                first_ordinal + i,
                *row,
                *_GROUP_DEFAULTS[len(_GROUP_DEFAULTS) - len(GROUP_COLUMNS) + len(row) :],
            )
            for i, row in enumerate(rows)
        ),
    )


async def replace_groups(
    uow: UnitOfWork, edition_id: uuid.UUID, gone: Sequence[str], rows: Iterable[tuple[int, tuple[Any, ...]]]
) -> int:
    """Take groups out of a draft, and put groups in at their places; the number put in.

    `rows` are (ordinal, values in the order of `GROUP_COLUMNS`); a changed group is among both.
    """
    c = disease_group.c
    province = uow.scope.province
    if gone:
        await uow.execute(
            delete(disease_group).where(
                c.province_id == province, c.edition_id == edition_id, c.group_code.in_(list(gone))
            )
        )
    return await uow.copy_in(
        disease_group,
        ("province_id", "edition_id", "ordinal", *GROUP_COLUMNS),
        ((province, edition_id, ordinal, *row) for ordinal, row in rows),
    )


async def lists_of(uow: UnitOfWork, edition_id: uuid.UUID) -> Sequence[Row[Any]]:
    """The rows of an edition's lists, by list and code."""
    c = edition_list.c
    return await uow.rows(
        select(c.list, c.code, c.scope)
        .where(c.province_id == uow.scope.province, c.edition_id == edition_id)
        .order_by(c.list, c.code)
    )


async def replace_lists(uow: UnitOfWork, edition_id: uuid.UUID, rows: Iterable[tuple[str, str, str]]) -> int:
    """The lists of a draft anew, the old ones gone; the number of rows."""
    c = edition_list.c
    province = uow.scope.province
    await uow.execute(delete(edition_list).where(c.province_id == province, c.edition_id == edition_id))
    return await uow.copy_in(
        edition_list,
        ("province_id", "edition_id", "list", "code", "scope"),
        ((province, edition_id, *row) for row in rows),
    )


async def subtypes_of(uow: UnitOfWork, edition_id: uuid.UUID) -> Sequence[Row[Any]]:
    """The auxiliary subtypes of an edition."""
    c = auxiliary_subtype.c
    return await uow.rows(
        select(c.group_code, c.dimension, c.subtype, c.coefficient)
        .where(c.province_id == uow.scope.province, c.edition_id == edition_id)
        .order_by(c.group_code, c.dimension, c.subtype)
    )


async def replace_subtypes(
    uow: UnitOfWork, edition_id: uuid.UUID, rows: Iterable[tuple[str, str, str, Decimal]]
) -> int:
    """The auxiliary subtypes of a draft anew; the number of rows."""
    c = auxiliary_subtype.c
    province = uow.scope.province
    await uow.execute(delete(auxiliary_subtype).where(c.province_id == province, c.edition_id == edition_id))
    return await uow.copy_in(
        auxiliary_subtype,
        ("province_id", "edition_id", "group_code", "dimension", "subtype", "coefficient"),
        ((province, edition_id, *row) for row in rows),
    )


async def asks_for_others(uow: UnitOfWork) -> bool:
    """Does any published edition of the province look at more than principal diagnosis and procedures?

    An edition of standard 3.0 may, and one with auxiliary subtypes.
    """
    c = catalog_edition.c
    with_subtypes = select(auxiliary_subtype.c.edition_id).where(auxiliary_subtype.c.province_id == uow.scope.province)
    found = await uow.first(
        select(c.edition_id)
        .where(
            c.province_id == uow.scope.province,
            c.state == "published",
            or_(c.standard == "3.0", c.edition_id.in_(with_subtypes)),
        )
        .limit(1)
    )
    return found is not None


async def drop_groups(uow: UnitOfWork, edition_id: uuid.UUID) -> int:
    """Empty a draft of its groups."""
    c = disease_group.c
    return await uow.execute(
        delete(disease_group).where(c.province_id == uow.scope.province, c.edition_id == edition_id)
    )


async def set_scores(
    uow: UnitOfWork, edition_id: uuid.UUID, scores: Mapping[str, Decimal], *, source: str | None = None
) -> int:
    """New scores of a draft's groups, in one statement; `source` marks where they come from."""
    if not scores:
        return 0
    statement = (
        "update disease_group g set score = v.score"
        + (", source = :source" if source else "")
        + " from (select * from unnest(cast(:codes as text[]), cast(:scores as numeric[])) as t(code, score)) v"
        " where g.province_id = :province and g.edition_id = :edition and g.group_code = v.code"
    )
    values: dict[str, Any] = {
        "codes": list(scores),
        "scores": list(scores.values()),
        "province": uow.scope.province,
        "edition": edition_id,
    }
    return await uow.execute(text(statement), values | ({"source": source} if source else {}))


async def set_cases(uow: UnitOfWork, edition_id: uuid.UUID, cases: Mapping[str, int]) -> None:
    """How many of last year's cases each group of a draft takes; groups not named take none."""
    await uow.execute(
        text(
            "update disease_group g set cases = coalesce(v.n, 0) from disease_group o"
            " left join (select * from unnest(cast(:codes as text[]), cast(:counts as int[])) as t(code, n)) v"
            " on v.code = o.group_code"
            " where g.province_id = :province and g.edition_id = :edition"
            " and o.edition_id = g.edition_id and o.group_code = g.group_code"
        ),
        {
            "codes": list(cases),
            "counts": list(cases.values()),
            "province": uow.scope.province,
            "edition": edition_id,
        },
    )


async def add_score_edits(uow: UnitOfWork, rows: Sequence[Mapping[str, Any]]) -> None:
    await uow.insert(score_edit, [{**row, "province_id": uow.scope.province} for row in rows])


async def score_edits(uow: UnitOfWork, edition_id: uuid.UUID, group_code: str | None = None) -> Sequence[Row[Any]]:
    """The edits of an edition, or of one group, oldest first."""
    c = score_edit.c
    query = select(score_edit).where(c.province_id == uow.scope.province, c.edition_id == edition_id)
    if group_code is not None:
        query = query.where(c.group_code == group_code)
    return await uow.rows(query.order_by(c.edit_id))

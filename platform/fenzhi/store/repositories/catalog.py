"""Catalogs in the store (目录): code tables, editions, groups, overlays, reference costs, history for building."""

from __future__ import annotations

import uuid
from collections.abc import Iterable, Mapping, Sequence
from datetime import date
from decimal import Decimal
from fractions import Fraction
from typing import Any

from sqlalchemy import Numeric, Row, cast, delete, func, or_, select, text, update

from fenzhi.store.session import UnitOfWork
from fenzhi.store.tables.catalog import (
    area_overlay,
    area_overlay_score,
    auxiliary_subtype,
    catalog_edition,
    code_entry,
    code_table,
    crosswalk_entry,
    disease_group,
    edition_list,
    reference_cost,
    score_edit,
)
from fenzhi.store.tables.submission import history_discharge

_VISIBLE_BELOW = ("published", "withdrawn")


# Code tables


async def code_table_named(uow: UnitOfWork, kind: str, version: str) -> Row[Any] | None:
    c = code_table.c
    return await uow.first(
        select(code_table).where(c.province_id == uow.scope.province, c.kind == kind, c.version == version)
    )


async def code_table_by_id(uow: UnitOfWork, code_table_id: uuid.UUID) -> Row[Any] | None:
    c = code_table.c
    return await uow.first(
        select(code_table).where(c.province_id == uow.scope.province, c.code_table_id == code_table_id)
    )


async def code_tables(uow: UnitOfWork) -> Sequence[Row[Any]]:
    """The code tables of the scope's province, newest first."""
    c = code_table.c
    return await uow.rows(
        select(code_table).where(c.province_id == uow.scope.province).order_by(c.code_table_id.desc()).limit(1000)
    )


async def add_code_table(uow: UnitOfWork, row: Mapping[str, Any], entries: Iterable[tuple[Any, ...]]) -> None:
    """A code table with its entries, given as (code, name, is_gray, procedure_class)."""
    province, table_id = uow.scope.province, row["code_table_id"]
    await uow.insert(code_table, [{**row, "province_id": province}])
    await uow.copy_in(
        code_entry,
        ("province_id", "code_table_id", "code", "name", "is_gray", "procedure_class"),
        ((province, table_id, *entry) for entry in entries),
    )


async def add_crosswalk(uow: UnitOfWork, row: Mapping[str, Any], entries: Iterable[tuple[str, str, str]]) -> None:
    """A crosswalk with its entries, given as (kind, source, target)."""
    province, table_id = uow.scope.province, row["code_table_id"]
    await uow.insert(code_table, [{**row, "province_id": province}])
    await uow.copy_in(
        crosswalk_entry,
        ("province_id", "code_table_id", "kind", "source_code", "target_code"),
        ((province, table_id, *entry) for entry in entries),
    )


async def crosswalk_entries(uow: UnitOfWork, code_table_id: uuid.UUID) -> Sequence[Row[Any]]:
    """All entries of a crosswalk."""
    c = crosswalk_entry.c
    return await uow.rows(
        select(c.kind, c.source_code, c.target_code).where(
            c.province_id == uow.scope.province, c.code_table_id == code_table_id
        )
    )


async def code_entries(uow: UnitOfWork, code_table_id: uuid.UUID) -> Sequence[Row[Any]]:
    """All entries of a code table."""
    c = code_entry.c
    return await uow.rows(
        select(c.code, c.name, c.is_gray, c.procedure_class)
        .where(c.province_id == uow.scope.province, c.code_table_id == code_table_id)
        .order_by(c.code)
    )


async def code_entries_page(
    uow: UnitOfWork, code_table_id: uuid.UUID, prefix: str, after: str, limit: int
) -> Sequence[Row[Any]]:
    """One page of a code table's entries in byte order of the code."""
    c = code_entry.c
    query = select(code_entry).where(
        c.province_id == uow.scope.province, c.code_table_id == code_table_id, c.code > after
    )
    if prefix:
        query = query.where(c.code.startswith(prefix, autoescape=True))
    return await uow.rows(query.order_by(c.code).limit(limit))


# Editions


async def add_edition(uow: UnitOfWork, row: Mapping[str, Any]) -> None:
    await uow.insert(catalog_edition, [{**row, "province_id": uow.scope.province}])


async def edition_by_id(uow: UnitOfWork, edition_id: uuid.UUID, *, lock: bool = False) -> Row[Any] | None:
    c = catalog_edition.c
    query = select(catalog_edition).where(c.province_id == uow.scope.province, c.edition_id == edition_id)
    return await uow.first(query.with_for_update() if lock else query)


async def edition_by_code(uow: UnitOfWork, code: str) -> Row[Any] | None:
    c = catalog_edition.c
    return await uow.first(select(catalog_edition).where(c.province_id == uow.scope.province, c.code == code))


async def edition_in_force(uow: UnitOfWork, on: date) -> Row[Any] | None:
    """The published edition of the scope's province whose range holds a day."""
    c = catalog_edition.c
    return await uow.first(
        select(catalog_edition).where(
            c.province_id == uow.scope.province,
            c.state == "published",
            c.effective_from <= on,
            or_(c.effective_to.is_(None), c.effective_to >= on),
        )
    )


async def editions(uow: UnitOfWork, *, drafts: bool, after: uuid.UUID | None, limit: int) -> Sequence[Row[Any]]:
    """One page of editions, newest first; drafts only where asked for."""
    c = catalog_edition.c
    query = select(catalog_edition).where(c.province_id == uow.scope.province)
    if not drafts:
        query = query.where(c.state.in_(_VISIBLE_BELOW))
    if after is not None:
        query = query.where(c.edition_id < after)
    return await uow.rows(query.order_by(c.edition_id.desc()).limit(limit))


async def lock_publishing(uow: UnitOfWork) -> Sequence[Row[Any]]:
    """The province's published editions in order of their first day, locked against another publication."""
    await uow.scalar(
        text("select pg_advisory_xact_lock(hashtextextended(:name, 0))"),
        {"name": f"catalog.publish\x1f{uow.scope.province}"},
    )
    c = catalog_edition.c
    return await uow.rows(
        select(c.edition_id, c.code, c.effective_from, c.effective_to)
        .where(c.province_id == uow.scope.province, c.state == "published")
        .order_by(c.effective_from)
        .with_for_update()
    )


async def change_edition(uow: UnitOfWork, edition_id: uuid.UUID, from_state: str, values: Mapping[str, Any]) -> int:
    """Change an edition that is in a state; 0 when it is not."""
    c = catalog_edition.c
    return await uow.execute(
        update(catalog_edition)
        .where(c.province_id == uow.scope.province, c.edition_id == edition_id, c.state == from_state)
        .values(**values)
    )


# Groups

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


# History


_TRIMMED = """
with used as (
  select area_id, diagnoses[1] as principal, procedures, year, level, los_days, total_fen,
         left(diagnoses[1], 5) || chr(31) || coalesce((select string_agg(distinct one, '+' order by one) from unnest(procedures) one), '') as key
  from history_discharge where area_id = any(:areas) and year = any(:years) and set_aside = ''
), bounds as (
  select key, (array_agg(total_fen order by total_fen))[count(*) * :low_n / :low_d + 1] as low,
         (array_agg(total_fen order by total_fen))[(count(*) * :high_n + :high_d - 1) / :high_d] as high
  from used where total_fen > 0 group by key
), judged as (
  select used.*, case when used.total_fen <= 0 then 'stays' when used.total_fen < bounds.low then 'low'
                      when used.total_fen > bounds.high then 'high' else 'stays' end as trimmed
  from used left join bounds using (key)
)
select area_id, principal, procedures, year, level, trimmed, count(*) as n, sum(total_fen) as total_fen, sum(los_days) as los_days,
       count(*) filter (where total_fen <= 0) as not_positive,
       coalesce(sum(total_fen) filter (where total_fen > 0), 0) as positive_fen,
       coalesce(sum(total_fen::numeric * total_fen) filter (where total_fen > 0), 0) as positive_squares
from judged group by area_id, principal, procedures, year, level, trimmed
"""


async def trimmed_history_sums(
    uow: UnitOfWork, area_ids: Sequence[int], years: Sequence[int], low: Fraction, high: Fraction
) -> Sequence[Row[Any]]:
    """As `history_sums`, with `trimmed` (low, high or stays): costs outside the quantiles of their combination (裁剪).

    A combination is the 4-character diagnosis with its set of procedures, over all areas and years; ranks are those of
    `rules.catalog.formation.trim_ranks`.
    """
    return await uow.rows(
        text(_TRIMMED),
        {
            "areas": list(area_ids),
            "years": list(years),
            "low_n": low.numerator,
            "low_d": low.denominator,
            "high_n": high.numerator,
            "high_d": high.denominator,
        },
    )


async def history_sums(uow: UnitOfWork, area_ids: Sequence[int], years: Sequence[int]) -> Sequence[Row[Any]]:
    """The usable history of areas, summed over equal cases (同诊断同手术合并), exact.

    One row per area, principal diagnosis, procedures in their order, year and level: n, total_fen, los_days; and of the cases with a cost above zero
    positive_fen and positive_squares, the others counted in not_positive.
    """
    c = history_discharge.c
    keys = (c.area_id, c.diagnoses[1].label("principal"), c.procedures, c.year, c.level)
    return await uow.rows(
        select(
            *keys,
            func.count().label("n"),
            func.sum(c.total_fen).label("total_fen"),
            func.sum(c.los_days).label("los_days"),
            func.count().filter(c.total_fen <= 0).label("not_positive"),
            func.coalesce(func.sum(c.total_fen).filter(c.total_fen > 0), 0).label("positive_fen"),
            func.coalesce(func.sum(cast(c.total_fen, Numeric) * c.total_fen).filter(c.total_fen > 0), 0).label(
                "positive_squares"
            ),
        )
        .where(c.area_id.in_(area_ids), c.year.in_(years), c.set_aside == "")
        .group_by(*keys)
    )


async def history_set_aside(uow: UnitOfWork, area_ids: Sequence[int], years: Sequence[int]) -> Mapping[str, int]:
    """History cases that intake set aside, by reason."""
    c = history_discharge.c
    rows = await uow.rows(
        select(c.set_aside, func.count().label("n"))
        .where(c.area_id.in_(area_ids), c.year.in_(years), c.set_aside != "")
        .group_by(c.set_aside)
        .order_by(c.set_aside)
    )
    return {row.set_aside: int(row.n) for row in rows}


# Reference costs


async def has_reference_costs(uow: UnitOfWork, edition_id: uuid.UUID, year: int) -> bool:
    c = reference_cost.c
    found = await uow.first(
        select(c.year).where(c.area_id == uow.scope.area, c.edition_id == edition_id, c.year == year).limit(1)
    )
    return found is not None


async def add_reference_costs(uow: UnitOfWork, rows: Iterable[tuple[Any, ...]]) -> int:
    """Add reference costs given as (edition_id, year, group_code, level, cases, total_fen, los_days)."""
    area = uow.scope.area
    columns = ("area_id", "edition_id", "year", "group_code", "level", "cases", "total_fen", "los_days")
    return await uow.copy_in(reference_cost, columns, ((area, *row) for row in rows))


async def reference_costs(
    uow: UnitOfWork, area_id: int, edition_id: uuid.UUID, year: int, group: str | None = None
) -> Sequence[Row[Any]]:
    """The reference costs of an area for an edition and year, of one group where it is named."""
    c = reference_cost.c
    query = select(reference_cost).where(c.area_id == area_id, c.edition_id == edition_id, c.year == year)
    if group is not None:
        query = query.where(c.group_code == group)
    return await uow.rows(query.order_by(c.group_code, c.level))


async def reference_costs_page(
    uow: UnitOfWork, edition_id: uuid.UUID, year: int, after: tuple[str, str], limit: int
) -> Sequence[Row[Any]]:
    """One page of the acting area's reference costs, in order of group and level."""
    c = reference_cost.c
    group, level = after
    return await uow.rows(
        select(reference_cost)
        .where(
            c.area_id == uow.scope.area,
            c.edition_id == edition_id,
            c.year == year,
            or_(c.group_code > group, (c.group_code == group) & (c.level > level)),
        )
        .order_by(c.group_code, c.level)
        .limit(limit)
    )


# Overlays


async def add_overlay(uow: UnitOfWork, row: Mapping[str, Any], scores: Iterable[tuple[str, Decimal, Decimal]]) -> None:
    """An overlay with its scores, given as (group_code, province_score, score)."""
    area, overlay_id = uow.scope.area, row["overlay_id"]
    await uow.insert(area_overlay, [{**row, "area_id": area}])
    await uow.copy_in(
        area_overlay_score,
        ("area_id", "overlay_id", "group_code", "province_score", "score"),
        ((area, overlay_id, *score) for score in scores),
    )


async def overlay_by_id(uow: UnitOfWork, overlay_id: uuid.UUID) -> Row[Any] | None:
    c = area_overlay.c
    return await uow.first(select(area_overlay).where(c.area_id == uow.scope.area, c.overlay_id == overlay_id))


async def overlays(uow: UnitOfWork, edition_id: uuid.UUID | None) -> Sequence[Row[Any]]:
    """The overlays of the acting area, newest first."""
    c = area_overlay.c
    query = select(area_overlay).where(c.area_id == uow.scope.area)
    if edition_id is not None:
        query = query.where(c.edition_id == edition_id)
    return await uow.rows(query.order_by(c.overlay_id.desc()).limit(200))


async def overlay_in_force(uow: UnitOfWork, area_id: int, edition_id: uuid.UUID, on: date) -> Row[Any] | None:
    """The overlay an area has published for an edition by a day; the later publication wins."""
    c = area_overlay.c
    return await uow.first(
        select(area_overlay)
        .where(c.area_id == area_id, c.edition_id == edition_id, c.state == "published", c.effective_from <= on)
        .order_by(c.effective_from.desc(), c.published_at.desc(), c.overlay_id.desc())
        .limit(1)
    )


async def overlay_scores(uow: UnitOfWork, area_id: int, overlay_id: uuid.UUID) -> Sequence[Row[Any]]:
    c = area_overlay_score.c
    return await uow.rows(
        select(area_overlay_score).where(c.area_id == area_id, c.overlay_id == overlay_id).order_by(c.group_code)
    )


async def overlay_scores_page(uow: UnitOfWork, overlay_id: uuid.UUID, after: str, limit: int) -> Sequence[Row[Any]]:
    c = area_overlay_score.c
    return await uow.rows(
        select(area_overlay_score)
        .where(c.area_id == uow.scope.area, c.overlay_id == overlay_id, c.group_code > after)
        .order_by(c.group_code)
        .limit(limit)
    )


async def publish_overlay(uow: UnitOfWork, overlay_id: uuid.UUID) -> int:
    """Put a drafted overlay in force; 0 when it is no draft any more."""
    c = area_overlay.c
    return await uow.execute(
        update(area_overlay)
        .where(c.area_id == uow.scope.area, c.overlay_id == overlay_id, c.state == "draft")
        .values(
            state="published",
            published_by=uuid.UUID(uow.scope.account_id),
            published_by_person=uuid.UUID(uow.scope.person_id),
            published_at=func.now(),
        )
    )

"""History as a catalog is built from (建组用历史病例): sums over equal cases."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from fractions import Fraction
from typing import Any

from sqlalchemy import Numeric, Row, cast, func, select, text

from fenzhi.store.session import UnitOfWork
from fenzhi.store.tables.submission import history_discharge

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

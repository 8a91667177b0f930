"""The rows of every tenant as one number each (租户状态摘要), to see that a stranger's attempt changed nothing."""

from __future__ import annotations

from typing import Any

import asyncpg

from fenzhi.store.tables import TableClass, metadata

State = dict[tuple[str, str, int | None, int | None, int | None], tuple[int, str]]
"""(table, level, province or area, county, hospital) → (rows, digest)."""


async def state_of(app_dsn: str) -> State:
    """A digest of every tenant table, by province, area, county and hospital (全库摘要)."""
    connection = await asyncpg.connect(app_dsn)
    try:
        async with connection.transaction():
            await connection.execute("set local role fenzhi_operator")
            provinces = [r["province_id"] for r in await connection.fetch("select province_id from province")]
            areas = [
                (r["area_id"], r["province_id"])
                for r in await connection.fetch("select area_id, province_id from pooling_area")
            ]
        state: State = {}
        for province in provinces:
            async with connection.transaction():
                await _enter(connection, "fenzhi_province", province, None)
                await _province_rows(connection, province, state)
        for area, province in areas:
            async with connection.transaction():
                await _enter(connection, "fenzhi_worker", province, area)
                await _area_rows(connection, area, state)
        return state
    finally:
        await connection.close()


async def _enter(connection: Any, role: str, province: int, area: int | None) -> None:
    await connection.execute(f"set local role {role}")
    await connection.execute("select set_config('fenzhi.province_id', $1, true)", str(province))
    await connection.execute("select set_config('fenzhi.area_id', $1, true)", "" if area is None else str(area))


async def _province_rows(connection: Any, province: int, state: State) -> None:
    for table in metadata.sorted_tables:
        if table.info["table_class"] != TableClass.PROVINCE.value:
            continue
        row = await connection.fetchrow(
            f"select count(*) as n, coalesce(sum(hashtextextended(t::text, 0)::numeric), 0)::text as digest "
            f"from {table.name} t where province_id = $1",
            province,
        )
        state[table.name, "province", province, None, None] = (row["n"], row["digest"])


async def _area_rows(connection: Any, area: int, state: State) -> None:
    for table in metadata.sorted_tables:
        table_class = table.info["table_class"]
        if "area_id" not in table.columns or table_class == TableClass.PROVINCE.value:
            continue
        is_hospital = table_class == TableClass.HOSPITAL.value
        county = "county_id" if is_hospital and "county_id" in table.columns else "null::int"
        hospital = "hospital_id" if is_hospital else "null::int"
        try:
            async with connection.transaction():
                rows = await connection.fetch(
                    f"select {county} as county, {hospital} as hospital, count(*) as n, "
                    f"coalesce(sum(hashtextextended(t::text, 0)::numeric), 0)::text as digest "
                    f"from {table.name} t where area_id = $1 group by 1, 2",
                    area,
                )
        except asyncpg.InsufficientPrivilegeError:
            continue
        for row in rows:
            state[table.name, "area", area, row["county"], row["hospital"]] = (row["n"], row["digest"])


def changed(before: State, after: State) -> list[tuple[str, str, int | None, int | None, int | None]]:
    """Where rows differ (变动处)."""
    return sorted(
        (place for place in before.keys() | after.keys() if before.get(place) != after.get(place)),
        key=lambda p: tuple(map(str, p)),
    )

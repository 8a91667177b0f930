"""What a hospital and a county see of the database does not move when siblings and strangers appear beside them."""

from __future__ import annotations

from sqlalchemy import text

from builders.world import World
from fenzhi.access.scope import DatabaseRole, Scope
from fenzhi.store.tables import metadata


async def rows_seen(world: World, scope: Scope) -> dict[str, str]:
    """A digest of every row of every table that a scope sees."""
    found = {}
    for table in metadata.sorted_tables:
        query = f"select count(*) || ' ' || coalesce(sum(hashtextextended(t::text, 0)::numeric), 0) from {table.name} t"
        try:
            async with world.platform.database.unit_of_work(scope) as uow:
                found[table.name] = str(await uow.scalar(text(query)))
        except Exception as exc:  # Not granted at all.
            found[table.name] = getattr(exc, "code", type(exc).__name__)
    return found


async def test_no_row_of_a_sibling_or_a_stranger_is_seen_below(world: World) -> None:
    """The database alone: new hospitals, counties and cities beside them move nothing that a hospital or county sees."""
    async with world.platform.database.unit_of_work(Scope(DatabaseRole.OPERATOR, "operator")) as uow:
        mine = await uow.first(text("select * from hospital where code = 'H41012201'"))
    assert mine is not None
    place = {"province_id": mine.province_id, "area_id": mine.area_id, "county_id": mine.county_id}
    scopes = [
        Scope(DatabaseRole.HOSPITAL, "H41012201", **place, hospital_id=mine.hospital_id),
        Scope(DatabaseRole.COUNTY, "410122", **place),
    ]
    before = [await rows_seen(world, scope) for scope in scopes]
    assert all(seen["hospital"].startswith("1 ") for seen in before)
    await world.open_tenants(
        [
            ("county", "410199", "410100"),
            ("hospital", "H41019901", "410199"),
            ("hospital", "H41010099", "410100"),
            ("city", "410900", "410000"),
            ("hospital", "H41090001", "410900"),
        ]
    )
    assert [await rows_seen(world, scope) for scope in scopes] == before

"""A province that acts in one of its areas for a few statements: in whose name, for how long, and what is left when it breaks."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from sqlalchemy import text

from fenzhi.access.scope import DatabaseRole, Scope
from fenzhi.cli.servers import ServerAddresses
from fenzhi.store.session import Database, UnitOfWork

PROVINCE = Scope(role=DatabaseRole.PROVINCE, tenant="410000", province_id=1, area_ids=(2, 3))


async def name_of(uow: UnitOfWork) -> tuple[str, str, str]:
    """The role, the area and the areas that the database goes by."""
    row = await uow.first(
        text("select current_user::text, current_setting('fenzhi.area_id'), current_setting('fenzhi.area_ids')")
    )
    assert row is not None
    return row[0], row[1], row[2]


async def test_a_province_acts_in_its_areas_and_comes_back(new_database: Callable[..., ServerAddresses]) -> None:
    database = Database(new_database(migrated=True).app_dsn, pool_size=2, application="fenzhi-test")
    try:
        async with database.unit_of_work(PROVINCE) as uow:
            for area in (2, 3):
                async with uow.in_area(area):
                    assert await name_of(uow) == ("fenzhi_worker", str(area), "")
                    assert (uow.scope.area, uow.scope.area_ids) == (area, ())
                assert await name_of(uow) == ("fenzhi_province", "", "{2,3}")
                assert uow.scope == PROVINCE
            with pytest.raises(ValueError, match="not of this province"):
                async with uow.in_area(4):
                    pytest.fail("an area of another province was entered")
            assert await name_of(uow) == ("fenzhi_province", "", "{2,3}")
            # A fault that somebody swallows: what the code believes and what the database enforces are still the same.
            with pytest.raises(KeyError):
                async with uow.in_area(2):
                    raise KeyError("broken inside")
            assert (await name_of(uow))[:2] == (uow.scope.role.value, str(uow.scope.area_id))
    finally:
        await database.close()

"""The scope as a predicate (数据范围条件): the first of the two locks, repeated by every repository."""

from __future__ import annotations

from sqlalchemy import ColumnElement, Table, and_

from fenzhi.access.scope import DatabaseRole, Scope


def within(table: Table, scope: Scope) -> ColumnElement[bool]:
    """The rows of an area's or hospital's table that lie in a scope (范围内的行).

    A province sees its areas; a county and a hospital see their own rows where the table carries their column. Row level security
    says the same again. Raises: ValueError for a scope without an area of its own.
    """
    if scope.role is DatabaseRole.PROVINCE:
        return table.c.area_id.in_(scope.area_ids)
    parts: list[ColumnElement[bool]] = [table.c.area_id == scope.area]
    if scope.role is DatabaseRole.COUNTY and "county_id" in table.c:
        parts.append(table.c.county_id == scope.county_id)
    if scope.role is DatabaseRole.HOSPITAL and "hospital_id" in table.c:
        parts.append(table.c.hospital_id == scope.hospital_id)
    return and_(*parts)

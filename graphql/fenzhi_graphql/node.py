"""Relay's `node` (按标识查询): one id, one object, and only of the type the id was made for."""

from __future__ import annotations

from collections.abc import Awaitable, Callable

import strawberry

from fenzhi.rules.refusals import DataRefused, Forbidden
from fenzhi_graphql.context import Info
from fenzhi_graphql.paging import key_of, type_of

Finder = Callable[[Info, str], Awaitable["Node | None"]]


@strawberry.interface(description="An object with a global id (全局对象).")
class Node:
    id: strawberry.ID = strawberry.field(description="Opaque id (全局标识).")


FINDERS: dict[str, Finder] = {}
"""Type name → how to find one in the caller's scope; each noun registers its own."""


def finds(type_name: str) -> Callable[[Finder], Finder]:
    """Register the finder of a node type (登记查找方法)."""

    def register(finder: Finder) -> Finder:
        FINDERS[type_name] = finder
        return finder

    return register


@strawberry.type
class NodeQuery:
    @strawberry.field(description="Any object by id, or null when it is not in your scope (按标识查询).")
    async def node(self, info: Info, id: strawberry.ID) -> Node | None:
        type_name = type_of(id)
        finder = FINDERS.get(type_name)
        if finder is None:
            return None
        try:
            key = key_of(id, type_name)
        except DataRefused:
            return None
        try:
            return await finder(info, key)
        except Forbidden:
            return None

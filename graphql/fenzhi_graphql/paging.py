"""Keyset connections (分页) and opaque ids (标识). A cursor is signed and bound to the tenant, the role and the list it came from."""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac
from collections.abc import Callable, Sequence
from typing import Generic, TypeVar

import msgspec
import strawberry

from fenzhi.rules.refusals import DataRefused, Refusal
from fenzhi.services.audit.sight import Sight
from fenzhi_graphql.context import Context
from fenzhi_graphql.sight import EndsWith, Shows

T = TypeVar("T")
S = TypeVar("S")
PAGE_MOST = 100


@strawberry.type(description="Where a page stands in its list (分页信息).")
class PageInfo(EndsWith):
    has_next_page: bool = strawberry.field(description="Whether more follow (是否有下一页).")
    end_cursor: str | None = strawberry.field(description="Give it as `after` for the next page (下一页游标).")
    last: strawberry.Private[object] = None


@strawberry.type(description="One entry of a list with its cursor (列表项).")
class Edge(Shows, Generic[T]):
    node: T = strawberry.field(description="The entry itself.")
    cursor: str = strawberry.field(description="Give it as `after` to go on from here.")

    def show(self, sight: Sight) -> None:
        """Whom its entry shows: a cursor holds the entry's key."""
        if isinstance(self.node, Shows):
            self.node.show(sight)


@strawberry.type(description="One page of a list (列表页).")
class Connection(Generic[T]):
    edges: list[Edge[T]] = strawberry.field(description="The entries with their cursors.")
    nodes: list[T] = strawberry.field(description="The entries themselves.")
    page_info: PageInfo = strawberry.field(description="Where this page stands.")


def _refused(code: str, where: str, saw: str, zh: str, en: str, remedy_zh: str, remedy_en: str) -> DataRefused:
    return DataRefused((Refusal(code, where, saw, zh, en, remedy_zh, remedy_en),))


def page_size(first: int) -> int:
    """`first`, which must be 1 to 100. Raises: DataRefused."""
    if not 1 <= first <= PAGE_MOST:
        raise _refused(
            "PAGE_SIZE", "first", str(first), "每页条数须为 1 至 100。", "A page has 1 to 100 entries.",
            "调整 first 后按游标翻页。", "Set first within range and page by cursor.",
        )  # fmt: skip
    return first


def _signature(context: Context, place: str, body: bytes) -> bytes:
    bound = f"{context.subject.tenant}\x00{context.subject.role}\x00{place}\x00".encode()
    return hmac.new(context.cursor_key, bound + body, hashlib.sha256).digest()[:12]


def cursor_of(context: Context, place: str, keys: Sequence[object]) -> str:
    """An opaque cursor of the sort keys of one entry, for one list (`place` names list and filter)."""
    body = msgspec.json.encode(list(keys))
    return base64.urlsafe_b64encode(_signature(context, place, body) + body).decode()


def keys_of(context: Context, place: str, cursor: str | None) -> list[object] | None:
    """The sort keys of a cursor, or none for the first page. Raises: DataRefused for a cursor of another list or tenant."""
    if not cursor:
        return None
    try:
        raw = base64.urlsafe_b64decode(cursor.encode())
    except (binascii.Error, ValueError, UnicodeEncodeError):
        raw = b""
    body = raw[12:]
    if len(raw) < 13 or not hmac.compare_digest(raw[:12], _signature(context, place, body)):
        raise _refused(
            "CURSOR_FOREIGN", "after", cursor[:40], "游标不属于此列表。", "The cursor does not belong to this list.",
            "使用同一查询返回的 endCursor。", "Use the endCursor of the same query.",
        )  # fmt: skip
    return msgspec.json.decode(body, type=list[object])


def connection(
    context: Context,
    place: str,
    rows: Sequence[S],
    first: int,
    to_node: Callable[[S], T],
    keys: Callable[[S], Sequence[object]],
) -> Connection[T]:
    """A page of up to `first` entries out of rows fetched with one more than `first`."""
    shown = rows[:first]
    edges = [Edge(node=to_node(row), cursor=cursor_of(context, place, keys(row))) for row in shown]
    return Connection(
        edges=edges,
        nodes=[edge.node for edge in edges],
        page_info=PageInfo(
            has_next_page=len(rows) > first,
            end_cursor=edges[-1].cursor if edges else None,
            last=edges[-1].node if edges else None,
        ),
    )


def global_id(type_name: str, key: object) -> strawberry.ID:
    """The opaque id of an object: its type and its key (全局标识)."""
    return strawberry.ID(base64.urlsafe_b64encode(f"{type_name}:{key}".encode()).decode().rstrip("="))


def key_of(global_id_: str, type_name: str, where: str = "id") -> str:
    """The key inside an id of the expected type. Raises: DataRefused for another type or a malformed id."""
    try:
        padded = global_id_ + "=" * (-len(global_id_) % 4)
        found, _, key = base64.urlsafe_b64decode(padded.encode()).decode().partition(":")
    except (binascii.Error, ValueError, UnicodeError):
        found, key = "", ""
    if found != type_name or not key:
        raise _refused(
            "ID_MALFORMED", where, global_id_[:60], "标识格式不正确或类型不符。", "Not a well-formed id of this type.",
            "使用查询返回的标识。", "Use an id that a query returned.",
        )  # fmt: skip
    return key


def type_of(global_id_: str) -> str:
    """The type name inside an id, or blank."""
    try:
        padded = global_id_ + "=" * (-len(global_id_) % 4)
        return base64.urlsafe_b64decode(padded.encode()).decode().partition(":")[0]
    except (binascii.Error, ValueError, UnicodeError):
        return ""

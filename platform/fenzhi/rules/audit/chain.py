"""The audit chain (审计链): canonical bytes, link digests, and the check that names the first bad place.

Bytes, all integers big-endian. A field is `00` when it is null, else `01`, its length in four bytes, and its bytes: text as UTF-8, a number
as decimal text, a UUID as its 16 bytes, a list of UUIDs as their bytes one after another, a moment as its microseconds since 1970-01-01 UTC in
decimal text, a document as JSON with sorted keys and no spaces. An event is `fenzhi/audit/event/1` and its fields in the order of `EVENT_FIELDS`; a
link is `fenzhi/audit/link/1`, its number in eight bytes, the digest of the link before and the digest of its event. Before link 1
stands the digest of `fenzhi/audit/genesis/1`. An anchor is `fenzhi/audit/anchor/1` and its fields.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from enum import StrEnum
from typing import Any, Protocol, runtime_checkable

Digest = Callable[[bytes], bytes]
"""A hash function of 32 bytes: SHA-256 or SM3 (摘要算法)."""

EVENT_FIELDS = (
    "event_id",
    "tenant",
    "province_id",
    "area_id",
    "account_id",
    "person_id",
    "role",
    "kind",
    "action",
    "object_type",
    "object_id",
    "request_id",
    "purpose",
    "reason",
    "field_class",
    "subjects",
    "details",
    "recorded_at",
    "written_in",
)
_EVENT, _LINK = b"fenzhi/audit/event/1", b"fenzhi/audit/link/1"
_GENESIS, _ANCHOR = b"fenzhi/audit/genesis/1", b"fenzhi/audit/anchor/1"
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


@runtime_checkable
class HasBytes(Protocol):
    """A UUID (标识), by its 16 bytes: the rules make none."""

    @property
    def bytes(self) -> bytes:
        """The 16 bytes."""


class Fault(StrEnum):
    """What was done to the chain (篡改类别)."""

    EDITED = "edited"  # 改写
    DELETED = "deleted"  # 删除
    INSERTED = "inserted"  # 插入
    REORDERED = "reordered"  # 换序
    CUT = "cut"  # 截尾
    REWRITTEN = "rewritten"  # 重写：链自洽，与锚点不符
    ANCHOR = "anchor"  # 锚点封印不符


@dataclass(frozen=True, slots=True)
class Finding:
    """One bad place (异常处). `seq` is the first number that cannot be trusted; `until` ends the span where only a span is known."""

    seq: int
    fault: Fault
    zh: str
    en: str
    until: int | None = None


@dataclass(frozen=True, slots=True)
class Link:
    """One link (链节)."""

    seq: int
    event_id: HasBytes
    event_digest: bytes
    previous: bytes
    digest: bytes


@dataclass(frozen=True, slots=True)
class Anchor:
    """A place in the chain under seal (锚点)."""

    seq: int
    algorithm: str
    digest: bytes
    key_id: str
    anchored_at: datetime
    seal: bytes = b""


def _field(value: object) -> bytes:
    match value:
        case None:
            return b"\x00"
        case str():
            body = value.encode()
        case bytes():
            body = value
        case int():
            body = str(value).encode()
        case datetime():
            body = str((value - _EPOCH) // timedelta(microseconds=1)).encode()
        case Mapping():
            body = json.dumps(value, ensure_ascii=False, sort_keys=True, separators=(",", ":")).encode()
        case list() | tuple():
            body = b"".join(one.bytes for one in value)
        case HasBytes():
            body = value.bytes
        case _:
            raise TypeError(f"no canonical bytes for {type(value).__name__}")
    return b"\x01" + len(body).to_bytes(4, "big") + body


def event_bytes(event: Mapping[str, Any]) -> bytes:
    """The canonical bytes of an event (事件规范编码). Raises: KeyError for a missing field."""
    return _EVENT + b"".join([_field(event[name]) for name in EVENT_FIELDS])


def genesis(digest: Digest) -> bytes:
    """What stands before the first link (创世摘要)."""
    return digest(_GENESIS)


def link_digest(digest: Digest, seq: int, previous: bytes, event_digest: bytes) -> bytes:
    """The digest of a link (链节摘要)."""
    return digest(_LINK + seq.to_bytes(8, "big") + previous + event_digest)


def anchor_bytes(anchor: Anchor) -> bytes:
    """What the seal of an anchor is over (锚点规范编码)."""
    fields = (anchor.seq, anchor.algorithm, anchor.digest, anchor.key_id, anchor.anchored_at)
    return _ANCHOR + b"".join([_field(one) for one in fields])


class ChainCheck:
    """Follows links in order of number and stops at the first bad one (逐节核对)."""

    def __init__(self, digest_of: Callable[[str], Digest], anchors: Sequence[Anchor]) -> None:
        self._digest_of = digest_of
        self._anchors: dict[int, list[Anchor]] = {}
        for anchor in anchors:
            self._anchors.setdefault(anchor.seq, []).append(anchor)
        self._furthest = max((anchor.seq for anchor in anchors), default=0)
        self.seq = 0
        self.digest: bytes = b""
        self.anchored = 0
        """The last number whose digest an anchor confirmed."""

    def follow(self, link: Link, algorithm: str, event: Mapping[str, Any] | None) -> Finding | None:
        """Take the next link with its event, or say what is wrong with it (核对一节).

        A link that does not follow the one before is DELETED here; `disorder` tells deletion, insertion and reordering apart.
        """
        digest = self._digest_of(algorithm)
        expected = self.digest or genesis(digest)
        seq = self.seq + 1
        if link.seq != seq:
            return _finding(seq, Fault.DELETED, f"缺第 {seq} 节。", f"Link {seq} is missing.")
        if link.previous != expected:
            return _finding(
                seq, Fault.DELETED, f"第 {seq} 节不承接前一节。", f"Link {seq} does not follow the one before."
            )
        if event is None:
            return _finding(seq, Fault.DELETED, f"第 {seq} 节的事件不存在。", f"The event of link {seq} is gone.")
        if digest(event_bytes(event)) != link.event_digest:
            return _finding(
                seq, Fault.EDITED, f"第 {seq} 节的事件被改写。", f"The event of link {seq} is not what was linked."
            )
        if link_digest(digest, seq, link.previous, link.event_digest) != link.digest:
            return _finding(seq, Fault.EDITED, f"第 {seq} 节被改写。", f"Link {seq} is not what its digest says.")
        for anchor in self._anchors.get(seq, ()):
            if anchor.digest != link.digest:
                return Finding(
                    self.anchored + 1,
                    Fault.REWRITTEN,
                    f"链自洽，但与第 {seq} 节的锚点不符：第 {self.anchored + 1} 至 {seq} 节中有改写。",
                    f"The chain agrees with itself but not with the anchor of link {seq}: something in between was rewritten.",
                    until=seq,
                )
            self.anchored = seq
        self.seq, self.digest = seq, link.digest
        return None

    def end(self) -> Finding | None:
        """What is missing behind the last link (核对链尾): an anchor knows a number that is not there."""
        if self._furthest > self.seq:
            return _finding(
                self.seq + 1,
                Fault.CUT,
                f"链止于第 {self.seq} 节，锚点已至第 {self._furthest} 节。",
                f"The chain ends at link {self.seq}; an anchor knows link {self._furthest}.",
            )
        return None


def disorder(seq: int, own_previous_at: int | None, true_successor_at: int | None, *, is_whole: bool) -> Finding:
    """Why link `seq` does not follow the one before it (断链原因).

    `own_previous_at`: where the link that it names as its predecessor stands now, `true_successor_at`: where the link stands that
    names link `seq − 1` as its predecessor; None where there is none. `is_whole`: its own digest is right where it stands, so that it is
    the link before it that was made anew.
    """
    if own_previous_at is not None and own_previous_at < seq - 1:
        first = own_previous_at + 1
        return _finding(first, Fault.INSERTED, f"第 {first} 节是插入的。", f"Link {first} was inserted.")
    if own_previous_at is not None:
        return _finding(
            seq, Fault.REORDERED, f"自第 {seq} 节起顺序被改。", f"From link {seq} on the order was changed."
        )
    if true_successor_at is not None and true_successor_at != seq:
        return _finding(seq, Fault.INSERTED, f"第 {seq} 节是插入的。", f"Link {seq} was inserted.")
    if is_whole and seq > 1:
        return _finding(
            seq - 1, Fault.EDITED, f"第 {seq - 1} 节被改写并重算。", f"Link {seq - 1} was rewritten and digested anew."
        )
    return _finding(seq, Fault.DELETED, f"第 {seq} 节处有删除。", f"Something was deleted at link {seq}.")


def _finding(seq: int, fault: Fault, zh: str, en: str) -> Finding:
    return Finding(seq, fault, zh, en)

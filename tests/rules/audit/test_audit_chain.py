"""The canonical bytes of the audit, worked by hand, and what the check says of a touched chain."""

from __future__ import annotations

import uuid
from dataclasses import replace
from datetime import UTC, datetime
from hashlib import sha256
from typing import Any

import pytest

from fenzhi.rules.audit.chain import (
    EVENT_FIELDS,
    Anchor,
    ChainCheck,
    Fault,
    Link,
    anchor_bytes,
    disorder,
    event_bytes,
    genesis,
    link_digest,
)

AT = datetime(2026, 11, 22, 2, 0, 0, 7, tzinfo=UTC)


def digest(data: bytes) -> bytes:
    return sha256(data).digest()


def event(number: int, **changes: Any) -> dict[str, Any]:
    blank = dict.fromkeys(EVENT_FIELDS)
    return (
        blank
        | {
            "event_id": uuid.UUID(int=number),
            "tenant": "410100",
            "role": "city_settlement_clerk",
            "details": {"b": 1, "a": "中"},
            "recorded_at": AT,
            "written_in": 700 + number,
            "subjects": [uuid.UUID(int=1), uuid.UUID(int=2)],
        }
        | changes
    )


def chained(events: list[dict[str, Any]]) -> list[Link]:
    links, previous = [], genesis(digest)
    for seq, one in enumerate(events, 1):
        made = link_digest(digest, seq, previous, digest(event_bytes(one)))
        links.append(Link(seq, one["event_id"], digest(event_bytes(one)), previous, made))
        previous = made
    return links


def anchored(link: Link) -> Anchor:
    return Anchor(link.seq, "sha256", link.digest, "k1", AT)


def followed(links: list[Link], events: list[Any], anchors: list[Anchor]) -> Any:
    check = ChainCheck(lambda _name: digest, anchors)
    for link, one in zip(links, events, strict=True):
        if (found := check.follow(link, "sha256", one)) is not None:
            return found
    return check.end()


def test_the_bytes_of_an_event_are_as_written() -> None:
    one = dict.fromkeys(EVENT_FIELDS) | {
        "event_id": uuid.UUID(int=1),
        "tenant": "省",
        "province_id": 41,
        "subjects": [uuid.UUID(int=2)],
        "details": {"b": 1, "a": "中"},
        "recorded_at": datetime(1970, 1, 1, 0, 0, 1, tzinfo=UTC),
    }
    assert event_bytes(one) == (
        b"fenzhi/audit/event/1"
        + (b"\x01\x00\x00\x00\x10" + bytes(15) + b"\x01")
        + (b"\x01\x00\x00\x00\x03" + "省".encode())
        + b"\x01\x00\x00\x00\x0241"
        + b"\x00" * 12
        + (b"\x01\x00\x00\x00\x10" + bytes(15) + b"\x02")
        + (b"\x01\x00\x00\x00\x11" + '{"a":"中","b":1}'.encode())
        + b"\x01\x00\x00\x00\x071000000"
        + b"\x00"
    )


def test_no_two_fields_can_be_taken_for_others() -> None:
    assert event_bytes(event(1, action="ab", object_type="c")) != event_bytes(event(1, action="a", object_type="bc"))
    assert event_bytes(event(1, purpose=None)) != event_bytes(event(1, purpose=""))
    assert event_bytes(event(1, subjects=None)) != event_bytes(event(1, subjects=[]))


@pytest.mark.parametrize("name", EVENT_FIELDS)
def test_every_field_counts(name: str) -> None:
    other = {"event_id": uuid.UUID(int=9), "details": {}, "recorded_at": AT.replace(microsecond=8)}.get(name, "other")
    assert event_bytes(event(1)) != event_bytes(event(1, **{name: other}))


def test_an_unknown_kind_of_value_has_no_bytes() -> None:
    with pytest.raises(TypeError, match="no canonical bytes for float"):
        event_bytes(event(1, province_id=1.5))


def test_a_whole_chain_holds() -> None:
    events = [event(n) for n in range(1, 6)]
    links = chained(events)
    assert followed(links, events, [anchored(links[2]), anchored(links[4])]) is None


@pytest.mark.parametrize("seq", [1, 3, 5])
def test_an_edited_event_is_found_where_it_stands(seq: int) -> None:
    events = [event(n) for n in range(1, 6)]
    links = chained(events)
    events[seq - 1] = event(seq, role="operator_admin")
    found = followed(links, events, [])
    assert (found.seq, found.fault) == (seq, Fault.EDITED)


def test_a_missing_link_a_missing_event_and_a_cut_tail_are_found() -> None:
    events: list[Any] = [event(n) for n in range(1, 6)]
    links = chained(events)
    gap = followed(links[:2] + links[3:], events[:2] + events[3:], [])
    assert (gap.seq, gap.fault) == (3, Fault.DELETED)
    gone = followed(links, [*events[:3], None, events[4]], [])
    assert (gone.seq, gone.fault) == (4, Fault.DELETED)
    cut = followed(links[:3], events[:3], [anchored(links[4])])
    assert (cut.seq, cut.fault) == (4, Fault.CUT)
    assert followed(links[:3], events[:3], [anchored(links[2])]) is None


def test_a_chain_made_anew_is_held_against_its_anchors() -> None:
    events = [event(n) for n in range(1, 8)]
    true = chained(events)
    events[4] = event(5, role="other")
    found = followed(chained(events), events, [anchored(true[2]), anchored(true[5])])
    assert (found.seq, found.until, found.fault) == (4, 6, Fault.REWRITTEN)


def test_a_link_from_another_store_does_not_follow() -> None:
    events = [event(n) for n in range(1, 4)]
    links = chained(events)
    found = followed([links[0], replace(links[1], previous=bytes(32))], events[:2], [])
    assert (found.seq, found.fault) == (2, Fault.DELETED)


def test_disorder_tells_its_kinds_apart() -> None:
    assert (disorder(9, 5, None, is_whole=False).seq, disorder(9, 5, None, is_whole=False).fault) == (6, Fault.INSERTED)
    assert (disorder(9, 12, 11, is_whole=False).seq, disorder(9, 12, 11, is_whole=False).fault) == (9, Fault.REORDERED)
    assert (disorder(9, None, 10, is_whole=True).seq, disorder(9, None, 10, is_whole=True).fault) == (9, Fault.INSERTED)
    assert (disorder(9, None, None, is_whole=True).seq, disorder(9, None, None, is_whole=True).fault) == (
        8,
        Fault.EDITED,
    )
    assert (disorder(9, None, None, is_whole=False).seq, disorder(9, None, None, is_whole=False).fault) == (
        9,
        Fault.DELETED,
    )


def test_an_anchor_is_sealed_whole() -> None:
    one = Anchor(7, "sha256", bytes(32), "k1", AT)
    others = (
        replace(one, seq=8),
        replace(one, algorithm="sm3"),
        replace(one, digest=b"\x01" + bytes(31)),
        replace(one, key_id="k2"),
        replace(one, anchored_at=AT.replace(microsecond=8)),
    )
    assert len({anchor_bytes(x) for x in (one, *others)}) == 6
    assert anchor_bytes(replace(one, seal=b"any")) == anchor_bytes(one)

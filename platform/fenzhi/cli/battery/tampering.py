"""Tampering with the audit (篡改手法): what somebody does who is a superuser of the database and holds no key.

Each way works inside a transaction that is taken back, triggers and foreign keys switched off, and answers the first number it made bad.
"""

from __future__ import annotations

import random
import uuid
from collections.abc import Awaitable, Callable, Mapping
from typing import Any

from sqlalchemy import text

from fenzhi.rules.audit.chain import event_bytes, genesis, link_digest
from fenzhi.store.digests import sha256
from fenzhi.store.repositories import audit
from fenzhi.store.session import UnitOfWork

Way = Callable[[UnitOfWork, random.Random, int], Awaitable[int]]
"""Tamper at about a number of a chain; the first number that is bad then."""

_EDITS = (
    "role = role || 'x'",
    "action = 'query.jobs'",
    "tenant = '999999'",
    "person_id = gen_random_uuid()",
    "recorded_at = recorded_at - interval '1 microsecond'",
    "subjects = array[gen_random_uuid()]",
    "subjects = null",
    "purpose = 'inspection'",
    "object_id = object_id || '0'",
    'details = \'{"was": "other"}\'',
    "request_id = reverse(request_id)",
    "province_id = coalesce(province_id, 0) + 1",
)


async def _run(uow: UnitOfWork, statement: str, **values: Any) -> None:
    await uow.connection.execute(text(statement), values)


async def _event_of(uow: UnitOfWork, seq: int) -> uuid.UUID:
    return await uow.scalar(text("select event_id from audit_link where seq = :seq"), {"seq": seq})  # type: ignore[no-any-return]


async def _move_up(uow: UnitOfWork, after: int, by: int) -> None:
    """Renumber the links behind a number, without digesting anew."""
    await _run(uow, "update audit_link set seq = -(seq + :by) where seq > :after", after=after, by=by)
    await _run(uow, "update audit_link set seq = -seq where seq < 0")


async def edit_event(uow: UnitOfWork, rng: random.Random, seq: int) -> int:
    """Change one field of an event."""
    changed = rng.choice(_EDITS)
    await _run(uow, f"update audit_event set {changed} where event_id = :event", event=await _event_of(uow, seq))
    return seq


async def edit_and_digest(uow: UnitOfWork, rng: random.Random, seq: int) -> int:
    """Change an event and digest its link anew, not those behind it."""
    await edit_event(uow, rng, seq)
    await _digest_anew(uow, seq, seq)
    return seq


async def delete_link_and_event(uow: UnitOfWork, rng: random.Random, seq: int) -> int:
    """Take out one or more events with their links."""
    last = seq + rng.randint(0, 2)
    events = [await _event_of(uow, one) for one in range(seq, last + 1)]
    await _run(uow, "delete from audit_link where seq between :a and :b", a=seq, b=last)
    await _run(uow, "delete from audit_event where event_id = any(:events)", events=events)
    return seq


async def delete_event(uow: UnitOfWork, rng: random.Random, seq: int) -> int:
    """Take out an event and leave its link."""
    del rng
    await _run(uow, "delete from audit_event where event_id = :event", event=await _event_of(uow, seq))
    return seq


async def delete_and_renumber(uow: UnitOfWork, rng: random.Random, seq: int) -> int:
    """Take out an event with its link and close the gap."""
    event = await _event_of(uow, seq)
    await _run(uow, "delete from audit_link where seq = :seq", seq=seq)
    await _run(uow, "delete from audit_event where event_id = :event", event=event)
    await _move_up(uow, seq, -1)
    del rng
    return seq


async def _forged_event(uow: UnitOfWork, seq: int) -> Mapping[str, Any]:
    """A copy of the event of a link under a fresh id, by another role."""
    row = await uow.first(
        text(
            "insert into audit_event select (jsonb_populate_record(e, jsonb_build_object('event_id', gen_random_uuid(), "
            "'role', 'city_settlement_approver'))).* from audit_event e where event_id = :event returning *"
        ),
        {"event": await _event_of(uow, seq)},
    )
    if row is None:
        raise LookupError(f"no event at {seq}")
    return dict(row._mapping)


async def insert_stray(uow: UnitOfWork, rng: random.Random, seq: int) -> int:
    """Put an event among those of long ago, without a link."""
    del rng
    forged = await _forged_event(uow, seq)
    return int(
        await uow.scalar(
            text(
                "select coalesce((select min(l.seq) from audit_link l join audit_event e using (event_id) "
                "where e.written_in > :written_in), (select max(seq) from audit_link))"
            ),
            {"written_in": forged["written_in"]},
        )
    )


async def insert_link(uow: UnitOfWork, rng: random.Random, seq: int) -> int:
    """Put in an event with a link that follows the one before it rightly, or not at all, and move the rest."""
    forged = await _forged_event(uow, seq)
    await _move_up(uow, seq - 1, 1)
    before = await uow.first(text("select digest from audit_link where seq = :seq"), {"seq": seq - 1})
    previous = before.digest if before is not None else genesis(sha256)
    if rng.random() < 0.5:
        previous = rng.randbytes(32)
    digest = sha256(event_bytes(forged))
    await _run(
        uow,
        "insert into audit_link (seq, event_id, algorithm, event_digest, previous, digest, horizon) "
        "values (:seq, :event, 'sha256', :event_digest, :previous, :digest, :horizon)",
        seq=seq,
        event=forged["event_id"],
        event_digest=digest,
        previous=previous,
        digest=link_digest(sha256, seq, previous, digest),
        horizon=forged["written_in"],
    )
    return seq


async def swap_links(uow: UnitOfWork, rng: random.Random, seq: int) -> int:
    """Let two links change places."""
    other = seq + rng.randint(1, 5)
    for old, new in ((seq, -1), (other, seq), (-1, other)):
        await _run(uow, "update audit_link set seq = :new where seq = :old", old=old, new=new)
    return seq


async def swap_events(uow: UnitOfWork, rng: random.Random, seq: int) -> int:
    """Let two links change their events."""
    other = seq + rng.randint(1, 5)
    first, second = await _event_of(uow, seq), await _event_of(uow, other)
    for event, at in ((uuid.uuid4(), seq), (first, other), (second, seq)):
        await _run(uow, "update audit_link set event_id = :event where seq = :at", event=event, at=at)
    return seq


async def cut(uow: UnitOfWork, rng: random.Random, seq: int) -> int:
    """Cut the tail off: links, events, and the anchors that the database holds."""
    gone = [row.event_id for row in await uow.rows(text("select event_id from audit_link where seq >= :s"), {"s": seq})]
    await _run(uow, "delete from audit_link where seq >= :seq", seq=seq)
    await _run(uow, "delete from audit_anchor where seq >= :seq", seq=seq)
    if rng.random() < 0.5:
        await _run(uow, "delete from audit_event where event_id = any(:events)", events=gone)
    return seq


async def rewrite(uow: UnitOfWork, rng: random.Random, seq: int) -> int:
    """Change an event and digest everything behind it anew; the database's own anchors go."""
    await edit_event(uow, rng, seq)
    last = int(await uow.scalar(text("select max(seq) from audit_link")))
    await _digest_anew(uow, seq, last)
    await _run(uow, "delete from audit_anchor where seq >= :seq", seq=seq)
    return seq


async def _digest_anew(uow: UnitOfWork, first: int, last: int) -> None:
    page = await audit.links_after(uow, first - 1, last - first + 1)
    previous = page[0].previous
    for row in page:
        event_digest = sha256(event_bytes(dict(row._mapping)))
        digest = link_digest(sha256, row.seq, previous, event_digest)
        await _run(
            uow,
            "update audit_link set event_digest = :e, previous = :p, digest = :d where seq = :seq",
            e=event_digest,
            p=previous,
            d=digest,
            seq=row.seq,
        )
        previous = digest


WAYS: Mapping[str, tuple[Way, ...]] = {
    "edit": (edit_event, edit_event, edit_and_digest),
    "delete": (delete_link_and_event, delete_event, delete_and_renumber),
    "insert": (insert_stray, insert_link),
    "reorder": (swap_links, swap_events),
    "cut": (cut,),
    "rewrite": (rewrite,),
}
"""Kind of tampering → its ways. The check must answer with these names: `edited`, `deleted`, `inserted`, `reordered`, `cut`, `rewritten`."""
ANSWERS = {
    "edit": "edited",
    "delete": "deleted",
    "insert": "inserted",
    "reorder": "reordered",
    "cut": "cut",
    "rewrite": "rewritten",
}

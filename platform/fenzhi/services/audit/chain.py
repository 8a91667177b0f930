"""The sequencer (审计排序): one process at a time chains what was committed, anchors the chain hourly, and checks it.

Acts write their events unchained, in their own transactions, so that nobody waits for anybody. The sequencer holds one advisory lock and takes
what is visible and has no link yet. Nothing is lost when transactions commit out of order: each link says below which transaction number
everything was over when it was made, and the next pass looks at all events from there on (ADR-0017).
"""

from __future__ import annotations

import asyncio
import hmac
import json
import os
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any, cast

from fenzhi.access.scope import SEQUENCER_SCOPE
from fenzhi.rules.audit.chain import (
    Anchor,
    ChainCheck,
    Digest,
    Fault,
    Finding,
    Link,
    anchor_bytes,
    disorder,
    event_bytes,
    genesis,
    link_digest,
)
from fenzhi.rules.refusals import DataRefused, Refusal
from fenzhi.services.acts import Platform
from fenzhi.store.digests import digest_named
from fenzhi.store.keyring import Keyring
from fenzhi.store.repositories import audit
from fenzhi.store.session import Database, UnitOfWork

LINKS_AT_ONCE = 2_000
ANCHOR_EVERY = timedelta(hours=1)
_LOCK = "fenzhi/audit/sequencer"
_PAGE = 5_000


async def chain_waiting(platform: Platform, most: int = LINKS_AT_ONCE) -> int | None:
    """Chain what was committed, at most `most` events (排序一轮); how many, or none when another sequencer is at work.

    Changes: audit_link.
    """
    async with platform.database.unit_of_work(SEQUENCER_SCOPE) as uow:
        if not await uow.try_lock(_LOCK):
            return None
        digest = digest_named(platform.audit_digest)
        last = await audit.last_link(uow)
        # In this order: whatever was over before the horizon was read is visible to the statement that reads the events.
        horizon = await audit.oldest_open_transaction(uow)
        floor = last.horizon if last is not None and last.horizon <= horizon else 0
        events = await audit.unlinked(uow, floor, most)
        if len(events) == most:
            horizon = min(horizon, events[-1].written_in)
        seq, previous = (last.seq, last.digest) if last is not None else (0, genesis(digest))
        rows = []
        for event in events:
            seq += 1
            event_digest = digest(event_bytes(cast("Mapping[str, Any]", event._mapping)))
            made = link_digest(digest, seq, previous, event_digest)
            rows.append(
                {
                    "seq": seq,
                    "event_id": event.event_id,
                    "province_id": event.province_id,
                    "area_id": event.area_id,
                    "algorithm": platform.audit_digest,
                    "event_digest": event_digest,
                    "previous": previous,
                    "digest": made,
                    "horizon": horizon,
                }
            )
            previous = made
        await audit.add_links(uow, rows)
        return len(rows)


async def anchor(platform: Platform, *, every: timedelta | None = None) -> Anchor | None:
    """Seal the end of the chain (锚定), or none when there is nothing new, or the last anchor is younger than `every`.

    Where the platform names an anchor file, the anchor is appended to it before the row commits: a row without its line is impossible, a line
    without its row is harmless. Changes: audit_anchor.
    """
    async with platform.database.unit_of_work(SEQUENCER_SCOPE) as uow:
        if not await uow.try_lock(_LOCK):
            return None
        last, held = await audit.last_link(uow), await audit.last_anchor(uow)
        now = await uow.now()
        if last is None or (held is not None and held.seq >= last.seq):
            return None
        if held is not None and every is not None and now - held.anchored_at < every:
            return None
        made = sealed(platform.keyring, Anchor(last.seq, last.algorithm, last.digest, platform.keyring.key_id, now))
        await audit.add_anchor(uow, made)
        if platform.anchor_file is not None:
            await asyncio.to_thread(append_anchor, platform.anchor_file, made)
    return made


def sealed(keyring: Keyring, bare: Anchor) -> Anchor:
    """An anchor with its seal (封印)."""
    return replace(bare, seal=keyring.anchor_seal(anchor_bytes(bare), bare.algorithm))


def anchor_line(made: Anchor) -> str:
    """An anchor as a line of an anchor file (锚点行)."""
    return json.dumps(
        {
            "seq": made.seq,
            "algorithm": made.algorithm,
            "digest": made.digest.hex(),
            "key_id": made.key_id,
            "anchored_at": made.anchored_at.isoformat(),
            "seal": made.seal.hex(),
        }
    )


def append_anchor(file: Path, made: Anchor) -> None:
    """Append an anchor to a file and wait until it is on the disk (追加锚点)."""
    handle = os.open(file, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o640)
    try:
        os.write(handle, f"{anchor_line(made)}\n".encode())
        os.fsync(handle)
    finally:
        os.close(handle)


def read_anchors(lines: Iterable[str]) -> list[Anchor]:
    """The anchors of an anchor file (读取锚点文件). Raises: DataRefused naming the line."""
    found = []
    for number, line in enumerate(lines, 1):
        if not line.strip():
            continue
        try:
            said = json.loads(line)
            found.append(
                Anchor(
                    int(said["seq"]),
                    str(said["algorithm"]),
                    bytes.fromhex(said["digest"]),
                    str(said["key_id"]),
                    datetime.fromisoformat(said["anchored_at"]),
                    bytes.fromhex(said["seal"]),
                )
            )
        except (ValueError, KeyError, TypeError) as exc:
            raise DataRefused(
                (
                    Refusal(
                        code="ANCHOR_LINE",
                        where=f"line {number}",
                        saw=line[:60],
                        zh=f"锚点文件第 {number} 行无法读取。",
                        en=f"Line {number} of the anchor file cannot be read.",
                        remedy_zh="使用 fenzhi audit anchor 写出的文件，勿改动。",
                        remedy_en="Use a file that fenzhi audit anchor wrote, unchanged.",
                    ),
                )
            ) from exc
    return found


@dataclass
class Verified:
    """What a check of the chain found (核对结果)."""

    links: int = 0
    anchors: int = 0
    anchored: int = 0
    """The last number an anchor confirmed."""
    waiting: int = 0
    """Events not linked yet."""
    findings: list[Finding] = field(default_factory=list)

    @property
    def holds(self) -> bool:
        """Whether nothing was found."""
        return not self.findings

    @property
    def first_bad(self) -> Finding | None:
        """The finding with the lowest number."""
        return min(self.findings, key=lambda one: one.seq, default=None)


async def verify(database: Database, keyring: Keyring | None, outside: Sequence[Anchor] = ()) -> Verified:
    """Follow the whole chain and hold it against the anchors inside and outside the database (核对审计链).

    The seals of anchors are checked where the keyring is given. Reads nothing but the audit; changes nothing.
    """
    async with database.unit_of_work(SEQUENCER_SCOPE) as uow:
        return await verify_within(uow, keyring, outside)


async def verify_within(uow: UnitOfWork, keyring: Keyring | None, outside: Sequence[Anchor]) -> Verified:
    """As `verify`, in a transaction that is open already."""
    out = Verified()
    anchors = [*await audit.anchors(uow), *outside]
    out.anchors = len(anchors)
    if keyring is not None:
        for forged in [one for one in anchors if not _is_sealed(keyring, one)]:
            out.findings.append(
                Finding(
                    forged.seq,
                    Fault.ANCHOR,
                    f"第 {forged.seq} 节的锚点封印不符。",
                    f"The seal of the anchor of link {forged.seq} does not hold.",
                )
            )
            anchors.remove(forged)
    check = ChainCheck(_digest, anchors)
    found = await _follow(uow, check) or check.end()
    if found is not None:
        out.findings.append(found)
    out.links, out.anchored = check.seq, check.anchored
    last = await audit.last_link(uow)
    floor = 0
    if last is not None:
        floor = last.horizon
        # A deleted link leaves its event behind: strays say something only where the chain itself is whole.
        for stray in await audit.strays(uow, last.horizon) if found is None else ():
            seq = int(stray.seq)
            out.findings.append(
                Finding(
                    seq,
                    Fault.INSERTED,
                    f"事件 {stray.event_id} 在第 {seq} 节处写入，未入链。",
                    f"Event {stray.event_id} was put in at link {seq} and never linked.",
                )
            )
    count = await audit.waiting(uow, floor)
    out.waiting = int(count.events) if count is not None else 0
    return out


def _digest(name: str) -> Digest:
    try:
        return digest_named(name)
    except ValueError:
        return lambda _data: b""  # A digest nobody knows confirms nothing: the link is EDITED.


def _is_sealed(keyring: Keyring, one: Anchor) -> bool:
    return hmac.compare_digest(keyring.anchor_seal(anchor_bytes(one), one.algorithm), one.seal)


async def _follow(uow: UnitOfWork, check: ChainCheck) -> Finding | None:
    while page := await audit.links_after(uow, check.seq, _PAGE):
        for row in page:
            link = Link(row.seq, row.linked_event, row.event_digest, row.previous, row.digest)
            event = cast("Mapping[str, Any]", row._mapping) if row.event_id is not None else None
            expected = check.digest or genesis(_digest(row.algorithm))
            found = check.follow(link, row.algorithm, event)
            if found is None:
                continue
            digest = _digest(row.algorithm)
            if link.seq == found.seq and found.fault is Fault.DELETED and event is not None:
                own = await audit.seq_of_digest(uow, link.previous)
                is_whole = link_digest(digest, link.seq, link.previous, link.event_digest) == link.digest
                return disorder(link.seq, own, await audit.seq_of_successor(uow, expected), is_whole=is_whole)
            if found.fault is Fault.EDITED and event is not None:
                elsewhere = await audit.seq_of_event_digest(uow, digest(event_bytes(event)))
                if elsewhere not in (None, link.seq):
                    return Finding(
                        link.seq,
                        Fault.REORDERED,
                        f"第 {link.seq} 节的事件原属第 {elsewhere} 节。",
                        f"The event of link {link.seq} belongs to link {elsewhere}.",
                    )
            return found
    return None


@dataclass(frozen=True, slots=True)
class ChainState:
    """How far the chain is (排序进度)."""

    seq: int
    waiting: int
    oldest_s: float
    """How long the oldest unlinked event has waited, in seconds; 0 when none waits."""
    anchored_seq: int
    anchored_at: datetime | None


async def chain_state(database: Database) -> ChainState:
    """How far the chain is, for readiness and metrics (排序进度)."""
    async with database.unit_of_work(SEQUENCER_SCOPE) as uow:
        last, held = await audit.last_link(uow), await audit.last_anchor(uow)
        count = await audit.waiting(uow, last.horizon if last is not None else 0)
        return ChainState(
            seq=last.seq if last is not None else 0,
            waiting=int(count.events) if count is not None else 0,
            oldest_s=float(count.seconds) if count is not None else 0.0,
            anchored_seq=held.seq if held is not None else 0,
            anchored_at=held.anchored_at if held is not None else None,
        )

"""Sending lists and history as a hospital or a city would (上报流程): a batch, its parts, the seal, the verdicts."""

from __future__ import annotations

import base64
import hashlib
from collections import Counter
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from typing import Any

from fenzhi.access.roles import Role
from fenzhi.cli.flow.client import Actor, Cast, StepRefused

PART_BYTES = 4 << 20
BATCH = "query($id: ID!) { batch(id: $id) { state counts { rows accepted refused superseding refusedByCode { code rows } setAside { code rows } } } }"
Progress = Callable[[int], None]


@dataclass
class Intake:
    """What became of rows sent (上报结果)."""

    rows: int = 0
    accepted: int = 0
    refused: int = 0
    superseding: int = 0
    refused_by_code: Counter[str] = field(default_factory=Counter)

    def add(self, counts: dict[str, Any]) -> None:
        """Take one batch's counts in."""
        self.rows += counts["rows"]
        self.accepted += counts["accepted"]
        self.refused += counts["refused"]
        self.superseding += counts["superseding"]
        for line in [*counts["refusedByCode"], *counts["setAside"]]:
            self.refused_by_code[line["code"]] += line["rows"]


async def send_batch(
    actor: Actor, purpose: str, label: str, lines: Iterable[bytes], on_sent: Progress | None = None
) -> dict[str, str]:
    """Create a batch, send its lines in parts and seal it (建批、分片、封存); its id and job."""
    order = {"purpose": purpose, "mode": "PARTIAL", "label": label}
    batch = (await actor.do("batchCreate", "BatchCreateInput", order, "batch { id uploadPath }"))["batch"]
    part, sent = 0, 0
    for body, rows in _parts(lines):
        part += 1
        await send_part(actor, batch["uploadPath"], part, body)
        sent += rows
        if on_sent is not None:
            on_sent(rows)
    sealed = await actor.do(
        "batchSeal", "BatchSealInput", {"batch": batch["id"], "parts": part}, "batch { id job { id } }"
    )
    return {"id": batch["id"], "job": sealed["batch"]["job"]["id"]}


async def send_part(actor: Actor, upload_path: str, part: int, body: bytes) -> None:
    """Send one part with its digest (上传分片). Raises: StepRefused."""
    digest = hashlib.sha256(body).digest()
    headers = {"content-type": "application/x-ndjson", "content-digest": f"sha-256=:{_base64(digest)}:"}
    path = upload_path.rstrip("/")
    response = await actor.send("PUT", f"{path}/{part}", content=body, headers=headers)
    if response.status_code >= 300:
        raise StepRefused(f"分片被拒绝：{response.text[:300]}", f"The part was refused: {response.text[:300]}")


async def judged(actor: Actor, batch: dict[str, str]) -> dict[str, Any]:
    """Wait until a batch is judged (等待校验); its counts."""
    await actor.wait(batch["job"])
    found: dict[str, Any] = (await actor.ask(BATCH, {"id": batch["id"]}))["batch"]["counts"]
    return found


def hospital(cast: Cast, code: str) -> Actor:
    """The submitter of a hospital."""
    return cast.actor(code, Role.HOSPITAL_SUBMITTER)


def _parts(lines: Iterable[bytes]) -> Iterable[tuple[bytes, int]]:
    held: list[bytes] = []
    size = 0
    for line in lines:
        held.append(line)
        size += len(line) + 1
        if size >= PART_BYTES:
            yield b"\n".join(held) + b"\n", len(held)
            held, size = [], 0
    if held:
        yield b"\n".join(held) + b"\n", len(held)


def _base64(digest: bytes) -> str:
    return base64.b64encode(digest).decode()

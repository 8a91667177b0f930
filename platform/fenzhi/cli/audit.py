"""`fenzhi audit verify` and `fenzhi audit anchor` (审计核对与锚定), on the server given by DSN or the running platform's."""

from __future__ import annotations

import asyncio
import base64
import json
import os
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Console

from fenzhi.cli.status import running_status
from fenzhi.rules.audit.chain import Finding
from fenzhi.rules.refusals import NotFound
from fenzhi.services.acts import Platform
from fenzhi.services.audit import chain
from fenzhi.settings import Settings
from fenzhi.store.keyring import Keyring
from fenzhi.store.session import Database

HOLDS, BROKEN = 0, 2
_ROUNDS_MOST = 10_000


def verify(
    anchors: Annotated[
        Path | None,
        typer.Option("--anchors", help="Anchor file kept outside the database; the platform's own if unset."),
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON to standard output and nothing else.")] = False,
) -> int:
    """Follow the whole audit chain and name the first bad number and what was done to it (核对审计链).

    Exit codes: 0 it holds, 2 it does not.
    """
    place = _place(Settings())
    file = anchors or place.anchor_file
    if anchors is not None and not anchors.exists():
        raise NotFound(f"没有锚点文件 {anchors}。", f"There is no anchor file {anchors}.")
    outside = chain.read_anchors(file.read_text(encoding="utf-8").splitlines()) if file and file.exists() else []
    began = time.monotonic()

    async def check() -> chain.Verified:
        async with _database(place) as database:
            return await chain.verify(database, place.keyring, outside)

    found = asyncio.run(check())
    report: dict[str, Any] = {
        "holds": found.holds,
        "links": found.links,
        "anchors": found.anchors,
        "anchors_outside": len(outside),
        "anchored": found.anchored,
        "seals_checked": place.keyring is not None,
        "waiting": found.waiting,
        "first_bad": None if found.first_bad is None else _finding(found.first_bad),
        "findings": [_finding(one) for one in found.findings],
        "seconds": round(time.monotonic() - began, 2),
    }
    if as_json:
        print(json.dumps(report, ensure_ascii=False, indent=1))
    else:
        _tell(report, found)
    return HOLDS if found.holds else BROKEN


def anchor(
    out: Annotated[Path | None, typer.Option("--out", help="Append the anchor to this file as well.")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON to standard output and nothing else.")] = False,
) -> int:
    """Chain what waits and seal the end of the chain now (立即锚定)."""
    place = _place(Settings())
    if place.keyring is None:
        raise NotFound(
            "没有主密钥，无法封印锚点。",
            "There is no master key to seal an anchor with.",
            hint="设置主密钥文件 / set FENZHI_MASTER_KEY_FILE",
        )
    keyring = place.keyring

    async def make() -> tuple[Any, int]:
        async with _database(place) as database:
            platform = Platform(
                database=database,
                doorbell=_NoBell(),
                keyring=keyring,
                audit_digest=place.digest,
                anchor_file=place.anchor_file,
            )
            for _ in range(_ROUNDS_MOST):
                if await chain.chain_waiting(platform) == 0:
                    break
            made = await chain.anchor(platform)
            return made, (await chain.chain_state(database)).anchored_seq

    made, anchored = asyncio.run(make())
    if made is not None and out is not None:
        chain.append_anchor(out, made)
    if as_json:
        print(chain.anchor_line(made) if made is not None else json.dumps({"seq": anchored, "new": False}))
    else:
        said = (
            f"已锚定第 {made.seq} 节：{made.digest.hex()}"
            if made is not None
            else f"无新事件，最近锚点为第 {anchored} 节。"
        )
        Console(highlight=False, soft_wrap=True).print(said)
    return HOLDS


class _NoBell:
    async def ring(self, job_id: Any, attempt: int) -> None:
        """Nothing here wants a job."""

    async def close(self) -> None:
        """Nothing to hang up."""


@dataclass(frozen=True, slots=True)
class _Place:
    dsn: str
    keyring: Keyring | None
    anchor_file: Path | None
    digest: str


def _place(settings: Settings) -> _Place:
    anchor_file = settings.audit_anchor_file
    if settings.app_database_url is not None:
        dsn = settings.app_database_url.get_secret_value()
    else:
        dsn = running_status(settings.state_dir).app_dsn
        anchor_file = anchor_file or settings.state_dir / "audit-anchors.ndjson"
    return _Place(dsn, _keyring(settings), anchor_file, settings.audit_digest)


def _keyring(settings: Settings) -> Keyring | None:
    if settings.master_key is not None:
        return Keyring(settings.master_key_bytes())
    kept = settings.state_dir / "keys" / "master.key"
    if not os.access(kept, os.R_OK):
        return None
    return Keyring(base64.b64decode(kept.read_text(encoding="ascii"), validate=False))


@asynccontextmanager
async def _database(place: _Place) -> AsyncIterator[Database]:
    database = Database(place.dsn, pool_size=1, application="fenzhi-audit")
    try:
        yield database
    finally:
        await database.close()


def _finding(one: Finding) -> dict[str, Any]:
    return {"seq": one.seq, "until": one.until, "kind": one.fault.value, "message": one.zh, "message_en": one.en}


def _tell(report: dict[str, Any], found: chain.Verified) -> None:
    console = Console(highlight=False, soft_wrap=True)
    mark = "[green]✓[/green] 审计链完整" if found.holds else "[red]✗[/red] 审计链异常"
    console.print(
        f"{mark}：{report['links']} 节，锚点 {report['anchors']} 个（已确认至第 {report['anchored']} 节），"
        f"待排序 {report['waiting']} 条，{report['seconds']} s"
    )
    if not report["seals_checked"]:
        console.print(
            "[yellow]·[/yellow] 没有主密钥：锚点封印未核对。 [dim]No master key: seals were not checked.[/dim]"
        )
    for one in found.findings:
        console.print(f"[red]✗[/red] #{one.seq} {one.fault.value}: {one.zh} [dim]{one.en}[/dim]")

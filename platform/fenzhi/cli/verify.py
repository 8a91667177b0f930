"""`fenzhi verify` (核验命令): whether a database, running or restored, still holds what was written."""

from __future__ import annotations

import asyncio
import base64
import json
import time
from typing import Annotated, cast

import typer
from rich.console import Console
from rich.markup import escape

from fenzhi.cli.status import running_status
from fenzhi.services.verification.findings import CHECKS
from fenzhi.services.verification.verify import Verified, verify_database
from fenzhi.settings import Settings

SOUND, DAMAGED = 0, 2


def verify(
    originals: Annotated[
        int, typer.Option("--originals", min=0, help="Batches per area whose originals are opened; 0: all.")
    ] = 0,
    seed: Annotated[int, typer.Option("--seed", min=0, help="Chooses the batches.")] = 1,
    administrator_dsn: Annotated[
        str,
        typer.Option(
            "--admin-dsn", envvar="FENZHI_ADMIN_DATABASE_URL", help="A superuser: rows of no tenant are looked for too."
        ),
    ] = "",
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON to standard output and nothing else.")] = False,
) -> int:
    """Recompute what can be recomputed and name what is damaged (核验数据库).

    The database is that of FENZHI_DATABASE_URL and FENZHI_APP_DATABASE_URL, else the running platform's. It is read, never changed. The
    master key (FENZHI_MASTER_KEY, or keys/master.key of the state folder) opens the originals. Exit codes: 0 sound, 2 damaged.
    """
    from fenzhi_migrations.upgrade import head_revision

    settings = Settings()
    if settings.database_url is not None and settings.app_database_url is not None:
        owner_dsn = settings.database_url.get_secret_value()
        app_dsn = settings.app_database_url.get_secret_value()
    else:
        status = running_status(settings.state_dir)
        owner_dsn, app_dsn = status.owner_dsn, status.app_dsn
    asked = Verified(owner_dsn, app_dsn, head_revision(), administrator_dsn, master_key(settings), originals, seed)
    began = time.monotonic()
    found = asyncio.run(verify_database(asked))
    report = {**found.report(), "seconds": round(time.monotonic() - began, 1)}
    if as_json:
        print(json.dumps(report, ensure_ascii=False, indent=1))
    else:
        _tell(report)
    return SOUND if found.is_sound else DAMAGED


def master_key(settings: Settings) -> bytes:
    """The master key of the settings, or of the state folder (主密钥); empty where there is none."""
    if settings.master_key is not None:
        return settings.master_key_bytes()
    kept = settings.state_dir / "keys" / "master.key"
    return base64.b64decode(kept.read_text(encoding="ascii").strip()) if kept.exists() else b""


def _tell(report: dict[str, object]) -> None:
    console = Console(highlight=False)
    looked = cast("dict[str, int]", report["looked_at"])
    fallen = cast("dict[str, int]", report["fallen"])
    for check, (zh, en) in CHECKS.items():
        if check in looked:
            mark = "[red]✗[/red]" if check in fallen else "[green]✓[/green]"
            console.print(
                f"{mark} {escape(zh)} [dim]{escape(en)}[/dim] {looked[check] - fallen.get(check, 0)}/{looked[check]}"
            )
    for check, why in cast("dict[str, str]", report["not_looked_at"]).items():
        console.print(f"[yellow]·[/yellow] 未核验 not looked at: {CHECKS[check][0]} [dim]{escape(why)}[/dim]")
    for finding in cast("list[dict[str, str]]", report["findings"]):
        console.print(f"  [red]✗[/red] {escape(finding['zh'])}\n    [dim]{escape(finding['en'])}[/dim]")

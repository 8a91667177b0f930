"""`fenzhi restore` (恢复命令): a backup and the archived log into a fresh folder, to a moment, looked at before anybody may use it."""

from __future__ import annotations

import asyncio
import json
import re
import shutil
import time
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated, Any

import typer

from fenzhi.cli.backup.cluster import Cluster, binaries_of, server_account
from fenzhi.cli.backup.keys import key_check, unseal_keys
from fenzhi.cli.backup.take import FORMAT, MANIFEST, check_manifest, passphrase
from fenzhi.cli.database_roles import APPLICATION, OWNER
from fenzhi.cli.server_home import ServerHome, reachable_by_others
from fenzhi.cli.verify import master_key
from fenzhi.rules.refusals import Conflict
from fenzhi.settings import Settings

RESTORED, DAMAGED = 0, 2
_LAST = re.compile(r"last completed transaction was at log time (.+)$", re.MULTILINE)
_NOT_REACHED = "recovery ended before configured recovery target was reached"
_SETTINGS = "postgresql.auto.conf"


@dataclass
class Restored:
    """What came of a restore (恢复结果)."""

    data: str
    server_major: int
    asked: str
    """The moment asked for; empty: as far as the log reaches."""
    last_transaction_at: str
    """When the last transaction that is there was committed; empty: none after the backup."""
    copied_s: float
    recovered_s: float
    verified_s: float = 0
    verification: dict[str, Any] = field(default_factory=dict)


def restore(
    backup: Annotated[Path, typer.Option("--from", help="Folder of one backup.")],
    data: Annotated[Path, typer.Option("--data", help="A data folder that does not exist yet.")],
    archive: Annotated[
        Path | None, typer.Option("--wal", help="Folder of the archived log. Unset: only to the end of the backup.")
    ] = None,
    to: Annotated[
        str, typer.Option("--to", help="A moment with its zone: 2026-11-22T09:30:00+08:00. Unset: as far as it goes.")
    ] = "",
    binaries: Annotated[
        Path | None, typer.Option("--bin", help="The server's bin folder. Unset: found by version.")
    ] = None,
    account: Annotated[
        str, typer.Option("--account", help="As root: who will own the folder and run the server.")
    ] = "",
    keys_from: Annotated[
        Path | None, typer.Option("--keys-from", help="Sealed keys, opened by FENZHI_BACKUP_PASSPHRASE to look inside.")
    ] = None,
    verifies: Annotated[bool, typer.Option("--verify/--no-verify", help="Verify what was restored.")] = True,
    originals: Annotated[
        int, typer.Option("--originals", min=0, help="Batches per area whose originals are opened; 0: all.")
    ] = 0,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON to standard output and nothing else.")] = False,
) -> int:
    """Restore a backup to a moment, into a fresh folder (按时间点恢复).

    The server is started on a private socket only, verified and stopped. Exit codes: 0 restored and sound, 2 refused or damaged.
    """
    settings = Settings()
    key = master_key(settings)
    if keys_from is not None:
        key = _key_in(unseal_keys(keys_from, passphrase()))
    done = restore_backup(
        backup,
        data,
        archive=archive,
        to=moment(to) if to else None,
        binaries=binaries,
        account=account,
        master=key,
        verifies=verifies,
        originals=originals,
    )
    shown = asdict(done)
    if as_json:
        print(json.dumps(shown, ensure_ascii=False, indent=1))
    else:
        for name, value in shown.items():
            if name != "verification":
                print(f"{name}: {value}")
        for finding in done.verification.get("findings", ()):
            print(f"✗ {finding['zh']}\n  {finding['en']}")
    return RESTORED if done.verification.get("ok", True) else DAMAGED


def restore_backup(
    backup: Path,
    data: Path,
    *,
    archive: Path | None,
    to: datetime | None,
    binaries: Path | None = None,
    account: str = "",
    master: bytes = b"",
    verifies: bool = True,
    originals: int = 0,
    seconds: float = 7_200,
) -> Restored:
    """Restore into `data` (执行恢复), which must not exist. The server is stopped at the end; archiving is off in it.

    Raises: Conflict BACKUP_DAMAGED, RESTORE_FOLDER_TAKEN, RESTORE_TIME_REFUSED, RESTORE_TARGET_NOT_REACHED, MASTER_KEY_DIFFERS,
    NO_SERVER_BINARIES, SERVER_DID_NOT_START.
    """
    facts = _facts(backup)
    ended_at = datetime.fromisoformat(facts["ended_at"])
    _refuse_what_cannot_be(facts, data, archive, to, ended_at, master)
    began = time.monotonic()
    check_manifest(backup / "data", (backup / "data" / "backup_manifest").read_bytes())
    owner = server_account(account)
    data.parent.mkdir(parents=True, exist_ok=True)
    home = ServerHome(data.parent, owner, moved=False)
    programs = binaries_of(facts["server_major"], home, binaries)
    shutil.copytree(backup / "data", data, symlinks=True)
    _configure(data, archive, to)
    _hand_over(data, home)
    copied = time.monotonic()
    cluster = Cluster(programs, data, owner, data.parent / f"{data.name}.recovery.log")
    cluster.options = {**cluster.controlled(), "archive_mode": "off"}
    try:
        cluster.start(seconds=seconds)
    except Conflict as exc:
        said = cluster.log.read_text(encoding="utf-8", errors="replace") if cluster.log.exists() else ""
        if _NOT_REACHED in said:
            raise _not_reached(said, to) from exc
        raise
    try:
        last = _LAST.findall(cluster.log.read_text(encoding="utf-8", errors="replace"))
        _wait_for_promotion(cluster, seconds)
        done = Restored(
            data=str(data),
            server_major=facts["server_major"],
            asked=to.isoformat() if to else "",
            last_transaction_at=last[-1] if last else "",
            copied_s=round(copied - began, 1),
            recovered_s=round(time.monotonic() - copied, 1),
        )
        if verifies:
            began = time.monotonic()
            done.verification = _verified(cluster, facts, master, originals)
            done.verified_s = round(time.monotonic() - began, 1)
    finally:
        cluster.stop()
    return done


def moment(text: str) -> datetime:
    """A moment as given on the command line (时刻). Raises: Conflict for one without its zone."""
    try:
        found = datetime.fromisoformat(text)
    except ValueError:
        found = None
    if found is None or found.tzinfo is None:
        raise Conflict(
            "时刻须带时区，如 2026-11-22T09:30:00+08:00。",
            "A moment is given with its zone, such as 2026-11-22T09:30:00+08:00.",
            code="RESTORE_TIME_REFUSED",
            hint="补上时区后重试 / add the zone and try again",
        )
    return found


def _facts(backup: Path) -> dict[str, Any]:
    try:
        facts: dict[str, Any] = json.loads((backup / MANIFEST).read_text(encoding="utf-8"))
    except (OSError, ValueError):
        facts = {}
    if facts.get("format") != FORMAT:
        raise Conflict(
            f"{backup} 不是完整的备份。",
            f"{backup} is no whole backup.",
            code="BACKUP_DAMAGED",
            hint="改用另一份备份 / use another backup",
        )
    return facts


def _refuse_what_cannot_be(
    facts: dict[str, Any],
    data: Path,
    archive: Path | None,
    to: datetime | None,
    ended_at: datetime,
    master: bytes,
) -> None:
    if data.exists():
        raise Conflict(
            f"{data} 已存在。恢复只写入新目录，从不覆盖。",
            f"{data} exists. A restore writes into a fresh folder and never over another.",
            code="RESTORE_FOLDER_TAKEN",
            hint="以 --data 指明不存在的目录 / name a folder that does not exist",
        )
    if to is not None and (to < ended_at or to > datetime.now(UTC) or archive is None):
        raise Conflict(
            f"该备份可恢复到 {ended_at.isoformat()} 之后、现在之前的时刻，且须有归档日志。",
            f"This backup restores to moments after {ended_at.isoformat()} and before now, by the archived log.",
            code="RESTORE_TIME_REFUSED",
            hint="选择更早的备份，或以 --wal 指明归档目录 / choose an earlier backup, or name the archive by --wal",
        )
    if master and facts["master_key_check"] and key_check(master) != facts["master_key_check"]:
        raise Conflict(
            "手头的主密钥不是该备份的主密钥。",
            "The master key at hand is not the one of this backup.",
            code="MASTER_KEY_DIFFERS",
            hint="取回当时的主密钥 / fetch the master key of that time",
        )


def _configure(data: Path, archive: Path | None, to: datetime | None) -> None:
    """What the next start must do: recover from the archive to the moment, then open."""
    lines = ["archive_mode = 'off'"]
    if archive is not None:
        lines.append(f"""restore_command = 'cp "{archive.absolute()}/%f" "%p"'""")
        lines.append("recovery_target_action = 'promote'")
        if to is not None:
            lines.append(f"recovery_target_time = '{to.isoformat(sep=' ')}'")
            lines.append("recovery_target_inclusive = 'off'")
        (data / "recovery.signal").touch(mode=0o600)
    with (data / _SETTINGS).open("a", encoding="utf-8") as file:
        file.write("\n".join(["", "# fenzhi restore", *lines, ""]))
    for name in ("postgresql.conf", "pg_ident.conf"):
        # Debian keeps them elsewhere; a server wants them to be there.
        (data / name).touch(mode=0o600)


def _hand_over(data: Path, home: ServerHome) -> None:
    data.chmod(0o700)
    if home.account is None:
        return
    if not reachable_by_others(data.parent):
        raise Conflict(
            f"运行服务的账户进不了 {data.parent}。",
            f"The account that runs the server cannot enter {data.parent}.",
            code="STATE_DIR_UNREACHABLE",
            hint="以 --data 指明其可进入的目录 / name a folder that it can enter",
        )
    for path in (data, *data.rglob("*")):
        home.own(path)


def _wait_for_promotion(cluster: Cluster, seconds: float) -> None:
    from fenzhi.cli.database_roles import with_connection

    deadline = time.monotonic() + seconds
    while with_connection(cluster.dsn(), lambda connection: connection.fetchval("select pg_is_in_recovery()")):
        if time.monotonic() > deadline:
            raise Conflict("恢复未在时限内完成。", "The recovery did not end in time.", code="SERVER_DID_NOT_START")
        time.sleep(0.1)


def _not_reached(said: str, to: datetime | None) -> Conflict:
    last = _LAST.findall(said)
    reached = last[-1] if last else "-"
    return Conflict(
        f"归档日志尚未到达 {to}（最后一笔为 {reached}）。",
        f"The archived log does not reach {to}; its last transaction was at {reached}.",
        code="RESTORE_TARGET_NOT_REACHED",
        hint="待归档补齐，或选择更早的时刻 / wait for the archive, or choose an earlier moment",
    )


def _verified(cluster: Cluster, facts: dict[str, Any], master: bytes, originals: int) -> dict[str, Any]:
    from fenzhi.services.verification.verify import Verified, verify_database
    from fenzhi_migrations.upgrade import head_revision

    database = facts["database"]
    owner_dsn, app_dsn = cluster.dsn(OWNER, database), cluster.dsn(APPLICATION, database)
    asked = Verified(owner_dsn, app_dsn, head_revision(), cluster.dsn("postgres", database), master, originals)
    return asyncio.run(verify_database(asked)).report()


def _key_in(files: dict[str, bytes]) -> bytes:
    from base64 import b64decode

    return b64decode(files["master.key"].strip()) if "master.key" in files else b""

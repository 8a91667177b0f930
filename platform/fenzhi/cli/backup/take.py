"""`fenzhi backup` (备份命令): a base backup by `pg_basebackup`, checked against its own manifest, described by ours."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import time
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated
from urllib.parse import unquote, urlsplit

import asyncpg
import typer

from fenzhi.cli.backup.cluster import archive_settings, major_of, run_tool
from fenzhi.cli.backup.keys import key_check, seal_keys
from fenzhi.cli.database_roles import replace_dsn, with_connection
from fenzhi.cli.server_home import ServerHome, postgres_binaries
from fenzhi.cli.servers import write_private
from fenzhi.cli.status import running_status
from fenzhi.cli.verify import master_key
from fenzhi.rules.refusals import Conflict
from fenzhi.settings import Settings

MANIFEST = "fenzhi-backup.json"
FORMAT = "fenzhi.backup/1"
DONE = 0


@dataclass(frozen=True, slots=True)
class BackupFacts:
    """What a backup says of itself (备份说明). Nobody's data and no key are in it."""

    format: str
    release: str
    revision: str
    """Of the schema, at the beginning."""
    database: str
    server_major: int
    system_identifier: str
    began_at: str
    ended_at: str
    """A restore may go to any moment after this, as far as the archived log reaches."""
    manifest_sha256: str
    """Of `data/backup_manifest`, which holds the SHA-256 of every file."""
    files: int
    bytes: int
    archives: bool
    """Whether the server archived its log when the backup was taken; without that there is no point in time to restore to."""
    master_key_check: str
    keys_kept_at: str
    """Where the sealed keys were put; never beside the backup. Empty: not by this command."""


def backup(
    to: Annotated[Path | None, typer.Option("--to", help="Folder of backups; each gets a folder of its own.")] = None,
    dsn: Annotated[
        str,
        typer.Option(
            "--dsn",
            envvar="FENZHI_BACKUP_DATABASE_URL",
            help="A role with REPLICATION that may log in. Unset: the embedded server's administrator.",
        ),
    ] = "",
    binaries: Annotated[
        Path | None, typer.Option("--bin", help="Folder of pg_basebackup. Unset: the packaged one.")
    ] = None,
    keys_to: Annotated[
        Path | None,
        typer.Option("--keys-to", help="Seal the keys of the state folder there, under FENZHI_BACKUP_PASSPHRASE."),
    ] = None,
    keep: Annotated[int, typer.Option("--keep", min=0, help="Remove older backups beyond so many; 0: none.")] = 0,
    settings_for: Annotated[
        Path | None, typer.Option("--settings-for", help="Only print the server's settings for an archive folder.")
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON to standard output and nothing else.")] = False,
) -> int:
    """Take a base backup of a running server (备份). Exit codes: 0 taken and checked, 2 refused."""
    if settings_for is not None:
        for name, value in archive_settings(settings_for.absolute()).items():
            print(f"{name} = '{value.replace(chr(39), chr(39) * 2)}'")
        return DONE
    settings = Settings()
    if to is None:
        raise Conflict(
            "未指明备份目录。",
            "No folder of backups is named.",
            code="BACKUP_FOLDER_MISSING",
            hint="以 --to 指明 / name one by --to",
        )
    address = dsn or embedded_administrator(settings.state_dir)
    sealed = ""
    if keys_to is not None:
        _refuse_beside(keys_to, to)
        sealed = str(seal_keys(settings.state_dir / "keys", keys_to, passphrase()))
    folder, facts = take_backup(
        address, to, database=_database(settings), binaries=binaries, master=master_key(settings), keys_kept_at=sealed
    )
    removed = _removed(to, keep)
    shown = {"folder": str(folder), **asdict(facts), "removed": removed}
    if as_json:
        print(json.dumps(shown, ensure_ascii=False, indent=1))
    else:
        for name, value in shown.items():
            print(f"{name}: {value}")
    return DONE


def take_backup(
    dsn: str,
    to: Path,
    *,
    database: str,
    binaries: Path | None = None,
    master: bytes = b"",
    keys_kept_at: str = "",
) -> tuple[Path, BackupFacts]:
    """Take one backup into a new folder under `to` (执行备份). Its name is its beginning; half a backup has another name.

    Requires: the role of `dsn` may replicate, and may connect to `database`. Raises: ServerToolFailed, Conflict.
    """
    began_at, identifier, version, archives, revision = _server_facts(replace_dsn(dsn, database=database))
    programs = binaries or _client_programs()
    if major_of(programs) < version:
        raise Conflict(
            f"备份工具版本低于服务器（{version}）。",
            f"The backup tools are older than the server ({version}).",
            code="NO_SERVER_BINARIES",
            hint="以 --bin 指明较新版本的 bin 目录 / name a newer bin folder by --bin",
        )
    to.mkdir(mode=0o700, parents=True, exist_ok=True)
    name = f"{began_at.astimezone(UTC):%Y%m%dT%H%M%SZ}"
    folder, fresh = to / name, to / f".{name}.part"
    shutil.rmtree(fresh, ignore_errors=True)
    fresh.mkdir(mode=0o700)
    user, password, connection = _connection(dsn)
    command: list[str | Path] = [programs / "pg_basebackup", "-d", connection, "-D", fresh / "data", "-X", "stream"]
    command += ["--checkpoint=fast", "--manifest-checksums=SHA256", "--no-password", "--label", f"fenzhi {name}"]
    run_tool(command, env={"PGUSER": user, **({"PGPASSWORD": password} if password else {})})
    manifest = (fresh / "data" / "backup_manifest").read_bytes()
    check_manifest(fresh / "data", manifest)
    ended_at = _now(replace_dsn(dsn, database=database))
    listed = json.loads(manifest)["Files"]
    facts = BackupFacts(
        format=FORMAT,
        release=_release(),
        revision=revision,
        database=database,
        server_major=version,
        system_identifier=identifier,
        began_at=began_at.isoformat(),
        ended_at=ended_at.isoformat(),
        manifest_sha256=hashlib.sha256(manifest).hexdigest(),
        files=len(listed),
        bytes=sum(int(entry["Size"]) for entry in listed),
        archives=archives,
        master_key_check=key_check(master),
        keys_kept_at=keys_kept_at,
    )
    write_private(fresh / MANIFEST, json.dumps(asdict(facts), ensure_ascii=False, indent=1) + "\n")
    fresh.rename(folder)
    return folder, facts


def check_manifest(data: Path, manifest: bytes) -> None:
    """Hash every file of a backup and compare with its manifest (核对备份文件). Raises: Conflict BACKUP_DAMAGED naming files."""
    wrong = []
    for entry in json.loads(manifest)["Files"]:
        path = data / (entry["Path"] if "Path" in entry else bytes.fromhex(entry["Encoded-Path"]).decode())
        try:
            with path.open("rb") as file:
                is_same = path.stat().st_size == entry["Size"] and (
                    hashlib.file_digest(file, "sha256").hexdigest() == entry.get("Checksum", "")
                )
        except OSError:
            is_same = False
        if not is_same:
            wrong.append(str(path.relative_to(data)))
    if wrong:
        raise Conflict(
            f"备份有 {len(wrong)} 个文件缺失或被改动：{'、'.join(wrong[:5])}。",
            f"{len(wrong)} files of the backup are missing or changed: {', '.join(wrong[:5])}.",
            code="BACKUP_DAMAGED",
            hint="改用另一份备份 / use another backup",
        )


def embedded_administrator(state_dir: Path) -> str:
    """DSN of the running embedded server's administrator (内置库管理员连接). Raises: Conflict where there is none."""
    status = running_status(state_dir)
    if "postgres" not in status.pids:
        raise Conflict(
            "数据库不是内置的，须给出备份角色的连接串。",
            "The database is not embedded: the DSN of a backup role is needed.",
            code="BACKUP_ROLE_MISSING",
            hint="设置 FENZHI_BACKUP_DATABASE_URL（具有 REPLICATION 的角色） / set it to a role with REPLICATION",
        )
    secret = json.loads((state_dir / "servers.json").read_text(encoding="utf-8"))["secrets"]["superuser"]
    return replace_dsn(status.owner_dsn, user="postgres", password=secret)


def passphrase() -> str:
    """The passphrase of sealed keys from the environment or its file (密钥备份口令)."""
    file = os.environ.get("FENZHI_BACKUP_PASSPHRASE_FILE", "")
    return (
        Path(file).read_text(encoding="utf-8").rstrip("\r\n")
        if file
        else os.environ.get("FENZHI_BACKUP_PASSPHRASE", "")
    )


def _server_facts(dsn: str) -> tuple[datetime, str, int, bool, str]:
    async def asked(connection: asyncpg.Connection) -> tuple[datetime, str, int, bool, str]:
        has_revision = await connection.fetchval("select to_regclass('public.alembic_version') is not null")
        may_read = has_revision and await connection.fetchval(
            "select has_table_privilege('public.alembic_version', 'select')"
        )
        return (
            await connection.fetchval("select date_trunc('second', clock_timestamp())"),
            str(await connection.fetchval("select system_identifier from pg_control_system()")),
            int(await connection.fetchval("show server_version_num")) // 10_000,
            await connection.fetchval("show archive_mode") in ("on", "always"),
            await connection.fetchval("select version_num from public.alembic_version") if may_read else "",
        )

    return with_connection(dsn, asked)


def _now(dsn: str) -> datetime:
    async def asked(connection: asyncpg.Connection) -> datetime:
        found: datetime = await connection.fetchval("select clock_timestamp()")
        return found

    return with_connection(dsn, asked)


def _connection(dsn: str) -> tuple[str, str, str]:
    """User, password, and the address without either, as the tools take it: a password on a command line is everybody's."""
    parts = urlsplit(replace_dsn(dsn))
    host = parts.netloc.rpartition("@")[2]
    address = f"postgresql://{host}/{'?' + parts.query if parts.query else ''}"
    return unquote(parts.username or ""), unquote(parts.password or ""), address


def _client_programs() -> Path:
    return postgres_binaries(ServerHome(Path("/"), None, moved=False))


def _database(settings: Settings) -> str:
    given = settings.database_url or settings.app_database_url
    path = urlsplit(given.get_secret_value() if given else running_status(settings.state_dir).owner_dsn).path
    return unquote(path.strip("/"))


def _release() -> str:
    from importlib.metadata import version

    return version("fenzhi")


def _refuse_beside(keys_to: Path, to: Path) -> None:
    if keys_to.resolve() == to.resolve() or to.resolve() in keys_to.resolve().parents:
        raise Conflict(
            "密钥不得与备份放在一起。",
            "The keys may not lie beside the backup.",
            code="KEYS_BESIDE_BACKUP",
            hint="以 --keys-to 指明另一处 / name another place by --keys-to",
        )


def _removed(to: Path, keep: int) -> list[str]:
    """Remove the oldest whole backups beyond `keep`, and what broke off more than a day ago."""
    whole = sorted(path for path in to.iterdir() if (path / MANIFEST).exists())
    old = whole[: max(0, len(whole) - keep)] if keep else []
    day_ago = time.time() - 86_400
    old += [p for p in to.iterdir() if p.name.endswith(".part") and p.stat().st_mtime < day_ago]
    for path in old:
        shutil.rmtree(path)
    return [path.name for path in old]

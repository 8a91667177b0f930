"""A PostgreSQL data folder and the server over it (数据目录与其服务), reached by a socket in a folder of its own and by nothing else.

A restored server is looked at before anybody may use it: it listens on no address, and who may enter the socket's folder (its account and
root) may connect as anybody. Its own passwords and rules of access stay as they were.
"""

from __future__ import annotations

import os
import pwd
import re
import shutil
import signal
import subprocess
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from fenzhi.cli import server_process
from fenzhi.cli.server_home import Account, ServerHome, postgres_binaries
from fenzhi.rules.refusals import Conflict, FenzhiError

DEBIAN = Path("/usr/lib/postgresql")
_PORT = 5432
_VERSION = re.compile(r"\(PostgreSQL\) (\d+)")
_CONTROLLED = {
    "max_connections": "max_connections setting",
    "max_worker_processes": "max_worker_processes setting",
    "max_wal_senders": "max_wal_senders setting",
    "max_prepared_transactions": "max_prepared_xacts setting",
    "max_locks_per_transaction": "max_locks_per_xact setting",
}
"""Settings that a server in recovery must have at least as large as the one it was copied from, as `pg_controldata` names them."""


class ServerToolFailed(FenzhiError):
    """A program of PostgreSQL ended badly (数据库工具失败)."""

    code = "SERVER_TOOL_FAILED"
    http_status = 500


def major_of(folder: Path) -> int:
    """The major version of the programs in a folder (程序主版本); 0 where there are none."""
    try:
        said = subprocess.run([str(folder / "postgres"), "--version"], capture_output=True, text=True, check=False)
    except OSError:
        return 0
    found = _VERSION.search(said.stdout)
    return int(found.group(1)) if found else 0


def binaries_of(major: int, home: ServerHome, given: Path | None = None) -> Path:
    """The programs of one major version (数据库程序): those given, the packaged ones, or Debian's. Raises: Conflict."""
    candidates = [given] if given is not None else [postgres_binaries(home), DEBIAN / str(major) / "bin"]
    for folder in candidates:
        if folder is not None and major_of(folder) == major:
            return folder
    raise Conflict(
        f"找不到 PostgreSQL {major} 的程序。",
        f"The programs of PostgreSQL {major} were not found.",
        code="NO_SERVER_BINARIES",
        hint="以 --bin 指明其 bin 目录 / name their bin folder by --bin",
    )


def run_tool(
    command: Sequence[str | Path],
    *,
    account: Account | None = None,
    env: Mapping[str, str] | None = None,
    cwd: Path | None = None,
) -> str:
    """Run one program of PostgreSQL (运行数据库工具); what it said. Raises: ServerToolFailed."""
    done = subprocess.run(
        [str(part) for part in command],
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        env={**server_process.server_environment(), **(env or {})},
        cwd=cwd,
        user=account.uid if account else None,
        group=account.gid if account else None,
        extra_groups=[] if account else None,
        umask=0o077,
        check=False,
    )
    if done.returncode != 0:
        name = Path(str(command[0])).name
        raise ServerToolFailed(
            f"{name} 失败（退出码 {done.returncode}）：{done.stderr.strip()[-500:]}",
            f"{name} ended with code {done.returncode}: {done.stderr.strip()[-500:]}",
            hint="按其说明处理后重试 / mend what it names and try again",
        )
    return done.stdout


def server_account(name: str = "") -> Account | None:
    """The account a server runs as (服务账户): none for "as we are", `nobody` or the one named where we are root."""
    if os.geteuid() != 0:
        return None
    entry = pwd.getpwnam(name or "nobody")
    return Account(entry.pw_uid, entry.pw_gid)


@dataclass
class Cluster:
    """One data folder with its programs (数据库实例)."""

    binaries: Path
    data: Path
    account: Account | None
    log: Path
    options: dict[str, str] = field(default_factory=dict)
    process: subprocess.Popen[bytes] | None = field(default=None, init=False)
    _sockets: Path | None = field(default=None, init=False)

    def create(self) -> None:
        """Make the data folder (初始化)."""
        self.data.mkdir(mode=0o700, parents=True)
        self._own(self.data)
        run_tool(
            [self.binaries / "initdb", "-D", self.data, "-U", "postgres", "--auth=reject", "--encoding=UTF8",
             "--locale=C.UTF-8", "--data-checksums", "--no-sync"],
            account=self.account, cwd=self.data,
        )  # fmt: skip

    def dsn(self, user: str = "postgres", database: str = "postgres") -> str:
        """Its address for one user (连接串), through the private socket."""
        return f"postgresql://{user}:-@/{database}?host={self._sockets}&port={_PORT}"

    def controlled(self) -> dict[str, str]:
        """The settings of the server that wrote this folder (原服务参数)."""
        said = run_tool([self.binaries / "pg_controldata", self.data], account=self.account)
        lines = dict(line.split(":", 1) for line in said.splitlines() if ":" in line)
        return {name: lines[label].strip() for name, label in _CONTROLLED.items() if label in lines}

    def start(self, *, seconds: float = 120) -> None:
        """Start it and wait until it takes connections (启动): after recovery, where there is any to do. Raises: Conflict."""
        self._sockets = Path(tempfile.mkdtemp(prefix="fz-", dir="/tmp"))
        self._own(self._sockets)
        access = self._sockets / "access.conf"
        access.write_text("local all all trust\nlocal replication all trust\n", encoding="ascii")
        self._own(access)
        settings = {
            "port": str(_PORT),
            "listen_addresses": "",
            "unix_socket_directories": str(self._sockets),
            "unix_socket_permissions": "0700",
            "hba_file": str(access),
            "hot_standby": "off",
            "ssl": "off",
            "shared_preload_libraries": "",
            "log_error_verbosity": "terse",
            "log_min_error_statement": "panic",
            "logging_collector": "off",
            "log_destination": "stderr",
            **self.options,
        }
        arguments = [part for name, value in settings.items() for part in ("-c", f"{name}={value}")]
        home = ServerHome(self.data.parent, self.account, moved=False)
        self.process = server_process.spawn(
            [self.binaries / "postgres", "-D", self.data, *arguments], log=self.log, home=home
        )
        ready = [self.binaries / "pg_isready", "-q", "-h", self._sockets, "-p", str(_PORT), "-d", "postgres"]
        server_process.wait_until(
            lambda: (
                subprocess.run([str(p) for p in ready], env=server_process.server_environment(), check=False).returncode
                == 0
            ),
            self.process,
            name="PostgreSQL",
            log=self.log,
            seconds=seconds,
        )

    def stop(self, number: signal.Signals = signal.SIGINT) -> None:
        """Stop it (停止); `SIGQUIT` leaves recovery to the next start."""
        if self.process is not None:
            server_process.stop(self.process.pid, (number, 120), (signal.SIGKILL, 10))
            self.process.wait()
            self.process = None
        if self._sockets is not None:
            shutil.rmtree(self._sockets, ignore_errors=True)

    @contextmanager
    def running(self, *, seconds: float = 120) -> Iterator[Cluster]:
        """Started for the length of a `with` block (限时运行)."""
        self.start(seconds=seconds)
        try:
            yield self
        finally:
            self.stop()

    def _own(self, path: Path) -> None:
        if self.account is not None:
            os.chown(path, self.account.uid, self.account.gid)


def archive_command(folder: Path) -> str:
    """The archive command that keeps each log file once in a folder (归档命令): whole or not at all, the same again is well."""
    kept = f'"{folder}/%f"'
    part = f'"{folder}/.%f.part"'
    return f'if test -f {kept}; then cmp -s "%p" {kept}; else cp "%p" {part} && sync {part} && mv {part} {kept}; fi'


def archive_settings(folder: Path, *, every_s: int = 60) -> dict[str, str]:
    """The settings by which a server keeps its log in a folder (归档参数): at most `every_s` seconds of work are not there yet."""
    return {
        "wal_level": "replica",
        "archive_mode": "on",
        "archive_command": archive_command(folder),
        "archive_timeout": str(every_s),
        "max_wal_senders": "4",
    }

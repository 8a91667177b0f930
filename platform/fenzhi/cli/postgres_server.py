"""The embedded PostgreSQL (内置数据库): made once, started, found again after a crash, stopped cleanly.

For demonstration, development and tests. The packaged server has no TLS and is reached on the loopback address only, with
SCRAM passwords and no socket file. A production server comes by DSN.
"""

from __future__ import annotations

import re
import shutil
import signal
import subprocess
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

import psutil

from fenzhi.cli import server_process
from fenzhi.cli.backup.cluster import archive_settings
from fenzhi.cli.server_home import ServerHome, postgres_binaries
from fenzhi.rules.refusals import Conflict

SUPERUSER = "postgres"
PACKAGED_MAJOR = 18
_SHARED_MEMORY = Path("/dev/shm")
_ENOUGH_SHARED_MEMORY = 512 * 1024 * 1024


@dataclass(slots=True)
class PostgresServer:
    """One embedded server (内置数据库进程). `durable=False` gives up fsync: for tests that throw their data away."""

    home: ServerHome
    log: Path
    password: str
    port: int
    durable: bool = True
    binaries: Path | None = None
    """The `bin` folder of another PostgreSQL to run instead of the packaged one (程序目录)."""
    environment: Mapping[str, str] = field(default_factory=dict)
    """What the server's process knows besides the usual (附加环境变量)."""
    settings: Mapping[str, str] = field(default_factory=dict)
    """Server settings over our own (覆盖参数)."""
    archive: Path | None = None
    """Where the log is kept for point-in-time restore; none: nowhere."""
    process: subprocess.Popen[bytes] | None = field(default=None, init=False)
    _major: int = field(default=PACKAGED_MAJOR, init=False)

    def __post_init__(self) -> None:
        if self.binaries is not None:
            said = subprocess.run([str(self.binaries / "postgres"), "--version"], capture_output=True, check=True)
            found = re.search(rb" (\d+)", said.stdout)
            self._major = int(found[1]) if found else PACKAGED_MAJOR

    @property
    def data(self) -> Path:
        """The data folder (数据目录), named by major version: another major version never opens it."""
        return self.home.folder / f"pgdata-{self._major}"

    def _binaries(self) -> Path:
        return self.binaries or postgres_binaries(self.home)

    @property
    def superuser_dsn(self) -> str:
        """DSN of the bootstrap superuser (超级用户连接), for creating roles and the database; never given to the API."""
        return f"postgresql://{SUPERUSER}:{self.password}@127.0.0.1:{self.port}/postgres"

    def start(self) -> None:
        """Start the server and wait until it accepts connections (启动并等待就绪). Makes the data folder if there is none."""
        binaries = self._binaries()
        self._end_leftovers()
        if not (self.data / "PG_VERSION").exists():
            self._create(binaries)
        self.process = server_process.spawn(
            [binaries / "postgres", "-D", self.data, *self._options()],
            log=self.log,
            home=self.home,
            env=server_process.server_environment() | dict(self.environment),
        )
        isready = [str(binaries / "pg_isready"), "-q", "-h", "127.0.0.1", "-p", str(self.port), "-d", "postgres"]
        server_process.wait_until(
            lambda: subprocess.run(isready, env=server_process.server_environment(), check=False).returncode == 0,
            self.process,
            name="PostgreSQL",
            log=self.log,
            # A server killed in the middle of a bulk load replays its log first.
            seconds=180,
        )

    def stop(self) -> None:
        """Fast shutdown (快速停止): open transactions are rolled back, data are flushed."""
        if self.process is not None:
            _fast_stop(self.process.pid)
            self.process.wait()
            self.process = None

    def running(self) -> bool:
        """Whether our server process lives (是否在运行)."""
        return self.process is not None and self.process.poll() is None

    def reset_password(self) -> None:
        """Give the superuser of an existing data folder the password we hold (重设口令), in single-user mode.

        Needed when the state folder was lost but the data, kept elsewhere, were not.
        """
        if not (self.data / "PG_VERSION").exists():
            return
        self._end_leftovers()
        account = self.home.account
        done = subprocess.run(
            [str(self._binaries() / "postgres"), "--single", "-D", str(self.data), "postgres"],
            input=f"ALTER ROLE {SUPERUSER} PASSWORD '{self.password}'\n".encode("ascii"),
            capture_output=True,
            cwd=self.home.folder,
            env=server_process.server_environment(),
            user=account.uid if account else None,
            group=account.gid if account else None,
            extra_groups=[] if account else None,
            start_new_session=True,
            check=False,
        )
        if done.returncode != 0:
            raise Conflict(
                "无法重设内置数据库的口令。",
                "The password of the embedded database could not be reset.",
                code="SERVER_DID_NOT_START",
                hint=done.stderr.decode("utf-8", "replace")[-300:],
            )

    def _create(self, binaries: Path) -> None:
        # Made beside its final name, so that a run killed in the middle leaves nothing that looks like a server.
        shutil.rmtree(self.home.folder / f"{self.data.name}.new", ignore_errors=True)
        fresh = self.home.private_folder(f"{self.data.name}.new")
        secret = self.home.private_file("initial-password", self.password + "\n")
        account = self.home.account
        command = [binaries / "initdb", "-D", fresh, "-U", SUPERUSER, f"--pwfile={secret}", "--auth=scram-sha-256"]
        # Sorted by code point everywhere; before 17 there was no provider of the server's own.
        locale = (
            ["--locale-provider=builtin", "--builtin-locale=C.UTF-8"] if self._major >= 17 else ["--locale=C.UTF-8"]
        )
        command += ["--encoding=UTF8", *locale, "--data-checksums"]
        if not self.durable:
            command.append("--no-sync")
        try:
            done = subprocess.run(
                [str(part) for part in command],
                stdin=subprocess.DEVNULL,
                capture_output=True,
                cwd=self.home.folder,
                env=server_process.server_environment(),
                user=account.uid if account else None,
                group=account.gid if account else None,
                extra_groups=[] if account else None,
                start_new_session=True,
                check=False,
            )
        finally:
            secret.unlink()
        if done.returncode != 0:
            raise Conflict(
                "内置数据库初始化失败。",
                "The embedded database could not be created.",
                code="SERVER_DID_NOT_START",
                hint=done.stderr.decode("utf-8", "replace")[-500:],
            )
        fresh.rename(self.data)

    def _options(self) -> list[str]:
        """Settings for a machine of two cores and some gigabytes (服务参数)."""
        settings = {
            "listen_addresses": "127.0.0.1",
            "port": str(self.port),
            "max_connections": "100",
            "shared_buffers": "256MB",
            "effective_cache_size": "2GB",
            "work_mem": "32MB",
            "maintenance_work_mem": "256MB",
            "max_wal_size": "4GB",
            "checkpoint_timeout": "15min",
            "random_page_cost": "1.1",
            # Nothing replicates from here, and a table loaded in the transaction that made it needs no log.
            "wal_level": "minimal",
            "max_wal_senders": "0",
            # A transaction over every partition of a province locks each of them.
            "max_locks_per_transaction": "256",
            "synchronous_commit": "on",
            "timezone": "UTC",
            "log_timezone": "UTC",
            # Neither a failing row nor a failing statement is written out: both may hold personal data.
            "log_error_verbosity": "terse",
            "log_min_error_statement": "panic",
            "log_line_prefix": "%m [%p] ",
        }
        if self.archive is not None:
            self.archive.mkdir(mode=0o700, parents=True, exist_ok=True)
            self.home.own(self.archive)
            settings |= archive_settings(self.archive.absolute())
        if not self.durable:
            settings |= {"fsync": "off", "full_page_writes": "off"}
        if shutil.disk_usage(_SHARED_MEMORY if _SHARED_MEMORY.exists() else "/").free < _ENOUGH_SHARED_MEMORY:
            settings["dynamic_shared_memory_type"] = "mmap"
        settings |= self.settings
        return ["-k", "", *(part for name, value in settings.items() for part in ("-c", f"{name}={value}"))]

    def _end_leftovers(self) -> None:
        """End what an earlier supervisor left running on our data (清理残留进程), and drop a stale lock file.

        PostgreSQL itself refuses to start when the process number in its lock file is in use, were it by a stranger.
        """
        lock = self.data / "postmaster.pid"
        if not lock.exists():
            return
        postmaster = int(lock.read_text(encoding="ascii").split("\n", 1)[0] or 0)
        leftovers = server_process.processes_in(self.data, "postgres")
        if any(process.pid == postmaster for process in leftovers):
            _fast_stop(postmaster)
        # Back ends of a killed postmaster notice its death by themselves, and hold the shared memory until they do.
        _gone, alive = psutil.wait_procs(server_process.processes_in(self.data, "postgres"), timeout=15)
        for process in alive:
            server_process.stop(process.pid, (signal.SIGQUIT, 5), (signal.SIGKILL, 5))
        for _ in range(20):
            if not server_process.processes_in(self.data, "postgres"):
                break
            time.sleep(0.05)
        lock.unlink(missing_ok=True)


def _fast_stop(pid: int) -> None:
    server_process.stop(pid, (signal.SIGINT, 60), (signal.SIGQUIT, 10), (signal.SIGKILL, 10))

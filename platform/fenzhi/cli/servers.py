"""The servers a platform needs (所需服务): embedded ones under our own supervision, or those given by DSN.

`start_servers` is what `fenzhi up`, the demonstration and the tests use. Data are kept between runs. One state folder has
one supervisor at a time, by a file lock that ends with its holder, however that ends.
"""

from __future__ import annotations

import fcntl
import json
import os
import secrets
import shutil
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TextIO

from fenzhi.cli import database_roles
from fenzhi.cli.postgres_server import PostgresServer
from fenzhi.cli.server_home import ServerHome, free_port, server_home
from fenzhi.cli.valkey_server import ValkeyServer
from fenzhi.rules.refusals import Conflict


@dataclass(frozen=True, slots=True)
class ServerAddresses:
    """Where the servers are (服务地址). DSNs carry passwords: they go to child processes and to their owner's eyes only."""

    owner_dsn: str
    app_dsn: str
    redis_url: str
    pids: dict[str, int]
    """Process numbers of embedded servers by name: `postgres`, `valkey`; empty for servers given by DSN."""
    superuser_dsn: str = ""
    """Of the embedded PostgreSQL, or of the administrator given; otherwise empty."""

    def with_database(self, name: str) -> ServerAddresses:
        """The same servers, another database (换库)."""
        return replace(
            self,
            owner_dsn=database_roles.replace_dsn(self.owner_dsn, database=name),
            app_dsn=database_roles.replace_dsn(self.app_dsn, database=name),
        )


class Servers:
    """The servers of one state folder (一个状态目录的服务). `start` before use, `stop` after; or use `start_servers`."""

    def __init__(
        self,
        state_dir: Path,
        *,
        durable: bool = True,
        database_url: str = "",
        app_database_url: str = "",
        redis_url: str = "",
        administrator_url: str = "",
        postgres_bin: Path | None = None,
        redis_bin: Path | None = None,
        postgres_environment: Mapping[str, str] | None = None,
        postgres_settings: Mapping[str, str] | None = None,
        wal_archive: Path | None = None,
    ) -> None:
        """`postgres_bin` and `redis_bin` name other programs to run and supervise than the packaged ones (自备程序)."""
        self.state_dir = state_dir
        self._administrator_url = administrator_url
        self._postgres_bin = postgres_bin
        self._redis_bin = redis_bin
        self._postgres_environment = dict(postgres_environment or {})
        self._postgres_settings = dict(postgres_settings or {})
        self._wal_archive = wal_archive
        self._durable = durable
        self._database_url = database_url
        self._app_database_url = app_database_url
        self._redis_url = redis_url
        self._postgres: PostgresServer | None = None
        self._valkey: ValkeyServer | None = None
        self._lock: TextIO | None = None
        self._addresses: ServerAddresses | None = None

    def like(
        self,
        state_dir: Path,
        *,
        redis_url: str = "",
        postgres_environment: Mapping[str, str] | None = None,
        postgres_settings: Mapping[str, str] | None = None,
    ) -> Servers:
        """Other servers by the same programs (同类服务), in a folder of their own, under another environment or other settings."""
        return Servers(
            state_dir,
            durable=self._durable,
            redis_url=redis_url,
            postgres_bin=self._postgres_bin,
            redis_bin=self._redis_bin,
            postgres_environment=postgres_environment,
            postgres_settings=postgres_settings,
        )

    @property
    def addresses(self) -> ServerAddresses:
        """Where the started servers are (服务地址)."""
        if self._addresses is None:
            raise Conflict("服务尚未启动。", "The servers are not started.", code="NOT_RUNNING")
        return self._addresses

    @property
    def home(self) -> ServerHome | None:
        """The folder of the embedded servers' binaries and data (内置服务目录); None when none is embedded."""
        server = self._postgres or self._valkey
        return server.home if server else None

    def start(self) -> ServerAddresses:
        """Start what is embedded, make roles and database where missing (启动). Raises: Conflict."""
        self.state_dir.mkdir(mode=0o755, parents=True, exist_ok=True)
        self._lock = _locked(self.state_dir)
        try:
            with ExitStack() as undo:
                undo.callback(self.stop)
                self._start()
                undo.pop_all()
        finally:
            if self._addresses is None:
                self._unlock()
        return self.addresses

    def stop(self) -> None:
        """Stop what is embedded, cleanly (停止)."""
        if self._valkey is not None:
            self._valkey.stop()
        if self._postgres is not None:
            self._postgres.stop()
        self._addresses = None
        self._unlock()

    def revive(self) -> list[str]:
        """Start again, on the same ports, what has died (重启已退出的服务); return the names of those."""
        revived = []
        for name, server in (("postgres", self._postgres), ("valkey", self._valkey)):
            if server is not None and not server.running():
                server.start()
                revived.append(name)
        if revived and self._addresses is not None:
            self._addresses = replace(self._addresses, pids=self._pids())
        return revived

    def create_database(self, name: str, *, template: str = "template0") -> ServerAddresses:
        """A database of its own (新建数据库), a copy of `template`, owned by the owner; for tests."""
        database_roles.create_database(self.administrator_dsn, name, template=template)
        return self.addresses.with_database(name)

    def drop_database(self, name: str) -> None:
        """Drop a database made by `create_database` (删除数据库)."""
        database_roles.drop_database(self.administrator_dsn, name)

    def remove(self) -> None:
        """Stop and delete all data (停止并删除全部数据)."""
        home = self.home
        self.stop()
        if home is not None:
            shutil.rmtree(home.folder, ignore_errors=True)
        shutil.rmtree(self.state_dir, ignore_errors=True)

    def _start(self) -> None:
        kept = _KeptSecrets(self.state_dir)
        logs = self.state_dir / "logs"
        home = server_home(self.state_dir) if not (self._database_url and self._redis_url) else None
        superuser_dsn = self._administrator_url
        if self._database_url:
            owner_dsn = database_roles.replace_dsn(self._database_url)
            app_dsn = self._app_database_url or self._application_dsn(owner_dsn, kept)
        else:
            self._postgres = PostgresServer(
                _present(home),
                logs / "postgres.log",
                kept.secret("superuser"),
                kept.port("postgres"),
                self._durable,
                self._postgres_bin,
                self._postgres_environment,
                self._postgres_settings,
                self._wal_archive,
            )
            if kept.made_now("superuser"):
                self._postgres.reset_password()
            self._postgres.start()
            superuser_dsn = self._postgres.superuser_dsn
            owner_dsn, app_dsn = database_roles.bootstrap_roles(
                superuser_dsn, owner_password=kept.secret("owner"), application_password=kept.secret("application")
            )
        if self._redis_url:
            redis_url = self._redis_url
        else:
            self._valkey = ValkeyServer(
                _present(home), logs / "valkey.log", kept.secret("redis"), kept.port("valkey"), self._redis_bin
            )
            self._valkey.start()
            redis_url = self._valkey.url
        self._addresses = ServerAddresses(
            owner_dsn, database_roles.replace_dsn(app_dsn), redis_url, self._pids(), superuser_dsn
        )

    def _pids(self) -> dict[str, int]:
        servers = {"postgres": self._postgres, "valkey": self._valkey}
        return {name: server.process.pid for name, server in servers.items() if server and server.process}

    def _application_dsn(self, owner_dsn: str, kept: _KeptSecrets) -> str:
        """DSN of the application role on a server given by DSN (外部库的应用连接): ours of before, or made now."""
        password = kept.secret("application")
        dsn = database_roles.replace_dsn(owner_dsn, user=database_roles.APPLICATION, password=password)
        try:
            database_roles.with_connection(dsn, lambda connection: connection.fetchval("select 1"))
        except Conflict:
            return database_roles.bootstrap_application_role(owner_dsn, application_password=password)
        return dsn

    @property
    def administrator_dsn(self) -> str:
        """DSN of who may make databases (管理连接): the embedded superuser, else whom `database_url` names."""
        return self.addresses.superuser_dsn or self._database_url

    def _unlock(self) -> None:
        if self._lock is not None:
            self._lock.close()
            self._lock = None


@contextmanager
def start_servers(
    state_dir: Path,
    *,
    durable: bool = True,
    database_url: str = "",
    app_database_url: str = "",
    redis_url: str = "",
) -> Iterator[ServerAddresses]:
    """Servers for the length of a `with` block (限时服务). A URL given is used; what is not given is embedded.

    Requires: nobody else supervises `state_dir`. Raises: Conflict `ALREADY_RUNNING` otherwise, `SERVER_DID_NOT_START`,
    `DATABASE_UNREACHABLE`, `ROLE_NOT_ALLOWED`.
    """
    servers = Servers(
        state_dir,
        durable=durable,
        database_url=database_url,
        app_database_url=app_database_url,
        redis_url=redis_url,
    )
    servers.start()
    try:
        yield servers.addresses
    finally:
        servers.stop()


class _KeptSecrets:
    """Passwords and ports of one state folder (口令与端口), in a file of mode 0600; made when first asked for."""

    def __init__(self, state_dir: Path) -> None:
        self._file = state_dir / "servers.json"
        self._found: dict[str, dict[str, str]] = {"secrets": {}, "ports": {}}
        if self._file.exists():
            self._found |= json.loads(self._file.read_text(encoding="utf-8"))
        self._made: set[str] = set()

    def secret(self, name: str) -> str:
        """The password called `name` (口令), hexadecimal, 128 bits."""
        if name not in self._found["secrets"]:
            self._found["secrets"][name] = secrets.token_hex(16)
            self._made.add(name)
            self._write()
        return self._found["secrets"][name]

    def made_now(self, name: str) -> bool:
        """Whether the password was made in this run (是否本次生成)."""
        return name in self._made

    def port(self, name: str) -> int:
        """The port of last time if it is still free (端口), else a free one."""
        port = free_port(int(self._found["ports"].get(name, "0")))
        self._found["ports"][name] = str(port)
        self._write()
        return port

    def _write(self) -> None:
        write_private(self._file, json.dumps(self._found, indent=1))


def write_private(path: Path, text: str) -> None:
    """Write a file that only we may read (写私有文件), replaced atomically."""
    fresh = path.with_name(path.name + ".new")
    fresh.unlink(missing_ok=True)
    with open(os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w", encoding="utf-8") as file:
        file.write(text)
    fresh.replace(path)


def _locked(state_dir: Path) -> TextIO:
    lock = open(os.open(state_dir / "lock", os.O_RDWR | os.O_CREAT, 0o600), "r+", encoding="ascii")
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError as error:
        lock.close()
        raise Conflict(
            f"{state_dir} 的平台已在运行。",
            f"A platform is already running on {state_dir}.",
            code="ALREADY_RUNNING",
            hint="fenzhi status shows it; fenzhi down stops it; FENZHI_STATE_DIR names another one.",
        ) from error
    return lock


def _present(home: ServerHome | None) -> ServerHome:
    if home is None:
        raise Conflict("没有服务目录。", "There is no folder for embedded servers.", code="NO_EMBEDDED_SERVER")
    return home

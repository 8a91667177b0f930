"""A platform of real processes over servers that may be killed (真实进程平台): API replicas, workers, and who starts them again."""

from __future__ import annotations

import asyncio
import base64
import contextlib
import signal
import subprocess
import threading
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import httpx

from fenzhi.access.development_issuer import DevelopmentKey, development_key, issue_development_token
from fenzhi.access.roles import Role
from fenzhi.cli import server_process
from fenzhi.cli.flow.client import Cast
from fenzhi.cli.server_home import free_port
from fenzhi.cli.servers import ServerAddresses, Servers
from fenzhi.cli.tokens import TokenMaker
from fenzhi.cli.up import WORKER_COMMAND, api_command
from fenzhi.rules.refusals import FenzhiError
from fenzhi.services.registry.accounts import development_account
from fenzhi.store.session import Database

MASTER_KEY = bytes(range(32, 64))
READY_S = 60.0
_LOOK_S = 0.05


@dataclass
class Process:
    """One process that may be killed and started again (进程)."""

    name: str
    command: list[str]
    env: dict[str, str]
    log: Path
    running: subprocess.Popen[bytes] | None = None
    is_kept: bool = True
    """Whether the supervisor starts it again."""

    def start(self, failpoint: str = "") -> None:
        """Start it, with a failpoint of its own for this life where one is named."""
        env = self.env | ({"FENZHI_FAILPOINT": failpoint} if failpoint else {})
        self.running = server_process.spawn(self.command, log=self.log, env=env)

    @property
    def is_alive(self) -> bool:
        """Whether it runs."""
        return self.running is not None and self.running.poll() is None

    def send(self, number: signal.Signals) -> None:
        """Send a signal if it runs."""
        if self.running is not None and self.running.poll() is None:
            self.running.send_signal(number)

    def kill(self) -> None:
        """Kill it and wait for its end."""
        self.send(signal.SIGKILL)
        if self.running is not None:
            self.running.wait()

    def wait_for_death(self, limit_s: float = 30) -> bool:
        """Whether the process died of itself (a failpoint struck) within the limit."""
        assert self.running is not None
        try:
            return self.running.wait(limit_s) == -signal.SIGKILL
        except subprocess.TimeoutExpired:
            return False


@dataclass
class Plant:
    """API processes and workers of one platform over servers (平台进程组)."""

    addresses: ServerAddresses
    folder: Path
    env: dict[str, str]
    lease_s: int
    apis: list[Process] = field(default_factory=list)
    ports: list[int] = field(default_factory=list)
    workers: list[Process] = field(default_factory=list)
    clients: list[httpx.AsyncClient] = field(default_factory=list)
    started_again: list[str] = field(default_factory=list)
    """What the supervisor started again, in order."""
    faults: list[str] = field(default_factory=list)
    """What the supervisor could not do."""
    _made: int = 0

    @property
    def key(self) -> DevelopmentKey:
        """The issuer's key."""
        return development_key(self.folder / "keys" / "development-issuer.pem")

    @property
    def armed(self) -> Path:
        """The file that names the failpoint to strike once (待触发故障点)."""
        return self.folder / "armed"

    def url(self, number: int = 0) -> str:
        """The address of one API process."""
        return f"http://127.0.0.1:{self.ports[number]}"

    def add_api(self, env: Mapping[str, str] | None = None) -> Process:
        """Start one more API process on a port of its own."""
        port = free_port()
        api = self._process("api", api_command("127.0.0.1", port), env)
        self.apis.append(api)
        self.ports.append(port)
        return api

    def add_worker(self, env: Mapping[str, str] | None = None) -> Process:
        """Start one more worker."""
        worker = self._process("worker", WORKER_COMMAND, env)
        self.workers.append(worker)
        return worker

    def _process(self, kind: str, command: list[str], env: Mapping[str, str] | None) -> Process:
        self._made += 1
        name = f"{kind}-{self._made}"
        process = Process(name, command, self.env | dict(env or {}), self.folder / f"{name}.log")
        process.start()
        return process

    def wait_ready(self, number: int = 0, limit_s: float = READY_S) -> None:
        """Wait until an API process answers. Raises: AssertionError with the end of its log."""
        until = time.monotonic() + limit_s
        while time.monotonic() < until:
            with contextlib.suppress(httpx.TransportError):
                if httpx.get(f"{self.url(number)}/readyz", timeout=2, trust_env=False).status_code == 200:
                    return
            time.sleep(_LOOK_S)
        raise AssertionError(f"the API did not come up: {server_process.last_lines(self.apis[number].log, 12)}")

    async def ready(self, number: int = 0, limit_s: float = READY_S) -> None:
        """As `wait_ready`, without holding the event loop."""
        await asyncio.to_thread(self.wait_ready, number, limit_s)

    def cast(self, http: httpx.AsyncClient | None = None, database: Database | None = None) -> Cast:
        """Users of this platform, by way of its first API process or of the client given."""
        client = http or httpx.AsyncClient(base_url=self.url(), timeout=30, trust_env=False)
        self.clients.append(client)
        return Cast(client, self.token_maker(database))

    def token_maker(self, database: Database | None = None) -> TokenMaker:
        """Makes tokens of development accounts; waits while the database is away."""
        key = self.key
        own = database or Database(self.addresses.app_dsn, pool_size=1, application="fenzhi-battery")

        async def make(tenant: str, role: Role) -> str:
            for _ in range(120):
                try:
                    subject, epoch = await development_account(own, tenant, role)
                    return issue_development_token(key, subject, tenant, role.value, epoch).token
                except FenzhiError as exc:
                    if exc.http_status != 503:
                        raise
                except OSError:
                    pass
                await asyncio.sleep(0.5)
            raise AssertionError("no token within a minute")

        return make

    async def close_clients(self) -> None:
        """Close every client made."""
        for client in self.clients:
            await client.aclose()

    def stop(self) -> None:
        """Kill every process."""
        for process in (*self.apis, *self.workers):
            process.kill()


@contextmanager
def plant(
    addresses: ServerAddresses,
    folder: Path,
    *,
    apis: int = 1,
    workers: int = 1,
    lease_s: int = 15,
    env: Mapping[str, str] | None = None,
) -> Iterator[Plant]:
    """API processes and workers over a migrated database, for as long as the block lasts (搭建). Ready when it begins."""
    keys = folder / "keys"
    keys.mkdir(parents=True, exist_ok=True)
    (keys / "development-issuer.jwks.json").write_text(development_key(keys / "development-issuer.pem").key_set)
    whole = {
        **server_process.server_environment(),
        "PYTHONSAFEPATH": "1",
        "FENZHI_APP_DATABASE_URL": addresses.app_dsn,
        "FENZHI_REDIS_URL": addresses.redis_url,
        "FENZHI_MASTER_KEY": base64.b64encode(MASTER_KEY).decode(),
        "FENZHI_STATE_DIR": str(folder),
        "FENZHI_JWT_PUBLIC_KEYS": str(keys / "development-issuer.jwks.json"),
        "FENZHI_LOG_LEVEL": "WARNING",
        "FENZHI_WORKER_LEASE_S": str(lease_s),
        "FENZHI_FAILPOINT": f"armed:{folder / 'armed'}",
        **(env or {}),
    }
    made = Plant(addresses, folder, whole, lease_s)
    try:
        for _ in range(apis):
            made.add_api()
        for _ in range(workers):
            made.add_worker()
        for number in range(apis):
            made.wait_ready(number)
        yield made
    finally:
        made.stop()


@contextmanager
def supervised(plant: Plant, servers: Servers | None) -> Iterator[None]:
    """Start again whatever of the plant and of the embedded servers dies, as `fenzhi up` does (监管重启)."""
    stop = threading.Event()

    def keep_processes() -> None:
        while not stop.wait(_LOOK_S):
            for process in (*plant.apis, *plant.workers):
                if process.is_kept and process.running is not None and not process.is_alive:
                    process.start()
                    plant.started_again.append(process.name)

    def keep_servers() -> None:
        while servers is not None and not stop.wait(_LOOK_S):
            try:
                plant.started_again += servers.revive()
            except (FenzhiError, OSError) as exc:
                plant.faults.append(f"{type(exc).__name__}: {exc}")

    threads = [threading.Thread(target=target, daemon=True) for target in (keep_processes, keep_servers)]
    for thread in threads:
        thread.start()
    try:
        yield
    finally:
        stop.set()
        for thread in threads:
            thread.join(200)


__all__ = ["MASTER_KEY", "Plant", "Process", "plant", "supervised"]

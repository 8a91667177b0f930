"""A platform of real processes for tests that kill them (真实进程环境): API and worker, revived by the test, over the session's servers."""

from __future__ import annotations

import base64
import os
import signal
import socket
import subprocess
import sys
import time
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import httpx

from fenzhi.access.development_issuer import ISSUER, development_key, issue_development_token
from fenzhi.access.roles import Role
from fenzhi.cli.flow.client import Actor, Cast
from fenzhi.cli.servers import ServerAddresses
from fenzhi.services.registry.accounts import development_account, development_subject
from fenzhi.store.session import Database

MASTER_KEY = bytes(range(32, 64))


@dataclass
class Process:
    """One process that can be killed and started again, with a failpoint for its next life."""

    command: list[str]
    env: dict[str, str]
    log: Path
    running: subprocess.Popen[bytes] | None = None

    def start(self, failpoint: str = "") -> None:
        env = self.env | ({"FENZHI_FAILPOINT": failpoint} if failpoint else {})
        with self.log.open("ab") as log:
            self.running = subprocess.Popen(self.command, env=env, stdout=log, stderr=log)

    def kill(self) -> None:
        if self.running is not None and self.running.poll() is None:
            self.running.send_signal(signal.SIGKILL)
            self.running.wait()

    def wait_for_death(self, limit_s: float = 30) -> bool:
        """Whether the process died of itself (a failpoint struck) within the limit."""
        assert self.running is not None
        try:
            return self.running.wait(limit_s) == -signal.SIGKILL
        except subprocess.TimeoutExpired:
            return False


@dataclass
class Processes:
    """API and worker of one platform."""

    addresses: ServerAddresses
    folder: Path
    port: int
    api: Process
    worker: Process
    clients: list[httpx.AsyncClient] = field(default_factory=list)

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def wait_ready(self, limit_s: float = 30) -> None:
        """Wait until the API answers."""
        until = time.monotonic() + limit_s
        while time.monotonic() < until:
            try:
                if httpx.get(f"{self.url}/readyz", timeout=2).status_code == 200:
                    return
            except httpx.TransportError:
                time.sleep(0.1)
        raise AssertionError(f"the API did not come up:\n{self.api.log.read_text()[-2000:]}")

    def restart_api(self, failpoint: str = "") -> None:
        self.api.kill()
        self.api.start(failpoint)
        self.wait_ready()

    def restart_worker(self, failpoint: str = "") -> None:
        self.worker.kill()
        self.worker.start(failpoint)

    def cast(self) -> Cast:
        """Users of this platform."""
        key = development_key(self.folder / "keys" / "development-issuer.pem")
        database = Database(self.addresses.app_dsn, pool_size=1)

        async def make(tenant: str, role: Role) -> str:
            subject, epoch = await development_account(database, tenant, role)
            return issue_development_token(key, subject, tenant, role.value, epoch).token

        http = httpx.AsyncClient(base_url=self.url, timeout=30)
        self.clients.append(http)
        return Cast(http, make)


@contextmanager
def processes(addresses: ServerAddresses, folder: Path, *, lease_s: int = 2) -> Iterator[Processes]:
    """API and worker over a migrated database, for as long as the block lasts."""
    keys = folder / "keys"
    keys.mkdir(parents=True, exist_ok=True)
    (keys / "development-issuer.jwks.json").write_text(development_key(keys / "development-issuer.pem").key_set)
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    env = {
        "PATH": os.environ["PATH"],
        "PYTHONSAFEPATH": "1",
        "FENZHI_APP_DATABASE_URL": addresses.app_dsn,
        "FENZHI_REDIS_URL": addresses.redis_url,
        "FENZHI_MASTER_KEY": base64.b64encode(MASTER_KEY).decode(),
        "FENZHI_STATE_DIR": str(folder),
        "FENZHI_JWT_PUBLIC_KEYS": str(keys / "development-issuer.jwks.json"),
        "FENZHI_LOG_LEVEL": "WARNING",
        "FENZHI_WORKER_LEASE_S": str(lease_s),
    }
    uvicorn = [sys.executable, "-m", "uvicorn", "--factory", "fenzhi_graphql.app:create_app", "--port", str(port)]
    api = Process([*uvicorn, "--log-level", "warning"], env, folder / "api.log")
    worker = Process([sys.executable, "-m", "fenzhi_workers"], env, folder / "worker.log")
    made = Processes(addresses, folder, port, api, worker)
    api.start()
    worker.start()
    try:
        made.wait_ready()
        yield made
    finally:
        api.kill()
        worker.kill()


async def second_account(made: Processes, cast: Cast, tenant: str, first: Role, second: Role) -> Actor:
    """Another account of the person who holds the development account of the first role, acting in the second role."""
    subject = f"dev:{tenant}:second-account-{uuid.uuid4().hex[:8]}"
    operator = cast.actor("operator", Role.OPERATOR_ADMIN)
    order = {
        "issuer": ISSUER,
        "subject": subject,
        "personId": str(uuid.uuid5(uuid.NAMESPACE_URL, f"fenzhi:{development_subject(tenant, first)}")),
        "displayName": "另一账号",
        "tenant": tenant,
        "role": second.name,
    }
    await operator.do("roleGrant", "RoleGrantInput", order, "accountId")
    key = development_key(made.folder / "keys" / "development-issuer.pem")

    async def make(_tenant: str, _role: Role) -> str:
        return issue_development_token(key, subject, tenant, second.value, 0).token

    return Actor(cast.http, tenant, second, make)

"""A platform of real processes for tests that kill them (真实进程环境): API and worker, revived by the test, over the session's servers."""

from __future__ import annotations

import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from fenzhi.access.development_issuer import ISSUER, issue_development_token
from fenzhi.access.roles import Role
from fenzhi.cli.battery.real_processes import Plant, Process, plant
from fenzhi.cli.flow.client import Actor, Cast
from fenzhi.cli.flow.identity import grant_role, open_account
from fenzhi.cli.servers import ServerAddresses
from fenzhi.services.registry.accounts import development_subject


@dataclass
class Processes:
    """API and worker of one platform."""

    plant: Plant

    @property
    def addresses(self) -> ServerAddresses:
        return self.plant.addresses

    @property
    def folder(self) -> Path:
        return self.plant.folder

    @property
    def url(self) -> str:
        return self.plant.url()

    @property
    def api(self) -> Process:
        return self.plant.apis[0]

    @property
    def worker(self) -> Process:
        return self.plant.workers[0]

    def wait_ready(self, limit_s: float = 60) -> None:
        """Wait until the API answers."""
        self.plant.wait_ready(0, limit_s)

    def restart_api(self, failpoint: str = "") -> None:
        self.api.kill()
        self.api.start(failpoint)
        self.wait_ready()

    def restart_worker(self, failpoint: str = "") -> None:
        self.worker.kill()
        self.worker.start(failpoint)

    def cast(self) -> Cast:
        """Users of this platform."""
        return self.plant.cast()


@contextmanager
def processes(addresses: ServerAddresses, folder: Path, *, lease_s: int = 2) -> Iterator[Processes]:
    """API and worker over a migrated database, for as long as the block lasts."""
    with plant(addresses, folder, lease_s=lease_s) as made:
        yield Processes(made)


async def second_account(made: Processes, cast: Cast, tenant: str, first: Role, second: Role) -> Actor:
    """Another account of the person who holds the development account of the first role, acting in the second role."""
    subject = f"dev:{tenant}:second-account-{uuid.uuid4().hex[:8]}"
    person = str(uuid.uuid5(uuid.NAMESPACE_URL, f"fenzhi:{development_subject(tenant, first)}"))
    await open_account(cast, tenant, second, issuer=ISSUER, subject=subject, person=person)
    await grant_role(cast, tenant, tenant, second, issuer=ISSUER, subject=subject)
    key = made.plant.key

    async def make(_tenant: str, _role: Role) -> str:
        return issue_development_token(key, subject, tenant, second.value, 0).token

    return Actor(cast.http, tenant, second, make)

"""Opening the platform for a process (启动): addresses and keys in, a `Platform` out."""

from __future__ import annotations

import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

from fenzhi.access.issuer_keys import KeyHosts
from fenzhi.access.webhook_hosts import WebhookHosts
from fenzhi.outbox.arq_queue import ArqDoorbell
from fenzhi.outbox.jobs import LEASE_S
from fenzhi.services.acts import Platform
from fenzhi.services.registry.accounts import ensure_operator
from fenzhi.store.keyring import Keyring
from fenzhi.store.session import Database


@asynccontextmanager
async def open_platform(
    app_dsn: str,
    redis_url: str,
    master_key: bytes,
    *,
    is_development: bool = False,
    pool_size: int = 10,
    application: str = "fenzhi",
    lease_s: int = LEASE_S,
    audit_digest: str = "sha256",
    anchor_file: Path | None = None,
    key_hosts: KeyHosts | None = None,
    webhook_hosts: WebhookHosts | None = None,
    webhook_ca_file: Path | None = None,
    idle_in_transaction_s: int = 20,
) -> AsyncIterator[Platform]:
    """A platform for as long as the block lasts (平台连接).

    In development the operator's account is made when it is missing. Raises: whatever the database raises when it cannot be reached.
    """
    database = Database(
        app_dsn, pool_size=pool_size, application=application, idle_in_transaction_s=idle_in_transaction_s
    )
    doorbell = ArqDoorbell(redis_url)
    try:
        if is_development:
            await ensure_operator(database)
        yield Platform(
            database=database,
            doorbell=doorbell,
            keyring=Keyring(master_key),
            is_development=is_development,
            lease_s=lease_s,
            audit_digest=audit_digest,
            anchor_file=anchor_file,
            key_hosts=key_hosts or KeyHosts(),
            webhook_hosts=webhook_hosts or WebhookHosts(),
            webhook_trust=_trust(webhook_ca_file),
        )
    finally:
        await doorbell.close()
        await database.close()


def _trust(ca_file: Path | None) -> ssl.SSLContext:
    """The authorities of the machine, and those of a file beside them."""
    context = ssl.create_default_context()
    if ca_file is not None:
        context.load_verify_locations(cafile=ca_file)
    return context


async def is_ready(platform: Platform) -> dict[str, bool]:
    """Whether the parts answer (就绪检查): database and Redis. Redis away is not unready: jobs still run by the sweeper."""
    database = await platform.database.answers()
    answers = getattr(platform.doorbell, "answers", None)
    return {"database": database, "redis": bool(await answers()) if answers else False}

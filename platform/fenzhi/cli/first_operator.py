"""The first operators of a platform (首任平台运营), made on the machine itself because nobody could grant them the role."""

from __future__ import annotations

import asyncio

from fenzhi.cli.status import running_status
from fenzhi.services.acts import as_id
from fenzhi.services.identity.administration import NewAccount, add_first_operator
from fenzhi.services.identity.reach import refuse_faults, text_fault
from fenzhi.settings import Settings
from fenzhi.store.session import Database


def make_first_operator(settings: Settings, *, issuer: str, subject: str, person: str, name: str, client: str) -> None:
    """Make an operator's account, role and client (首任平台运营), two at most.

    Raises: DataRefused, Conflict OPERATORS_EXIST, NotRunning where no database is named and no platform runs.
    """
    refuse_faults(
        text_fault("--issuer", issuer, 200),
        text_fault("--subject", subject, 200),
        text_fault("--name", name, 200),
        text_fault("--client", client, 200),
    )
    order = NewAccount(issuer, subject, as_id(person, "--person"), name)
    dsn = settings.app_database_url
    asyncio.run(_make(dsn.get_secret_value() if dsn else running_status(settings.state_dir).app_dsn, order, client))


async def _make(app_dsn: str, order: NewAccount, client: str) -> None:
    database = Database(app_dsn, pool_size=1, application="fenzhi-cli")
    try:
        await add_first_operator(database, order, client)
    finally:
        await database.close()

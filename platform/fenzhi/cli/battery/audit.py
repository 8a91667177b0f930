"""Section audit (审计): the chain under tampering, and answers held against what was written down about them."""

from __future__ import annotations

import random
import uuid
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager

from sqlalchemy import text

from fenzhi.access.scope import DatabaseRole, Scope
from fenzhi.cli.battery.stage import Stage, open_tenants, staged
from fenzhi.cli.battery.tally import Tally
from fenzhi.cli.battery.tampering import ANSWERS, WAYS
from fenzhi.cli.database_roles import replace_dsn
from fenzhi.cli.servers import ServerAddresses
from fenzhi.rules.audit.chain import Anchor
from fenzhi.services.acts import Platform
from fenzhi.services.audit import chain
from fenzhi.store.repositories import audit
from fenzhi.store.session import Database, UnitOfWork

EACH = 40
EVENTS = 400


async def run(addresses: ServerAddresses, seed: int, rounds: int) -> Tally:
    """`rounds` of each kind of tampering, by default 40, and 25 times as many answers (审计测试组)."""
    from fenzhi.cli.battery.sights import try_sights

    tally = Tally()
    async with staged(addresses) as stage:
        await open_tenants(stage.cast)
        anchors = await fill(stage, random.Random(seed))
        superuser_dsn = replace_dsn(addresses.superuser_dsn, database=addresses.app_dsn.rsplit("/", 1)[1])
        await try_tampering(superuser_dsn, stage.platform, anchors, tally, seed, rounds or EACH)
    await try_sights(addresses, tally, seed, 25 * (rounds or EACH))
    return tally


async def fill(stage: Stage, rng: random.Random) -> list[Anchor]:
    """Some hundred events of several tenants, chained, with an anchor now and then (写入审计); the anchors, as kept outside."""
    platform = stage.platform
    async with platform.database.unit_of_work(Scope(role=DatabaseRole.OPERATOR, tenant="operator")) as uow:
        province = await uow.scalar(text("select province_id from province where code = '990000'"))
        area = await uow.scalar(text("select area_id from pooling_area where code = '990100'"))
    scopes = (
        Scope(role=DatabaseRole.PROVINCE, tenant="990000", province_id=province),
        Scope(role=DatabaseRole.AREA, tenant="990100", province_id=province, area_id=area, person_id=str(uuid.uuid4())),
    )
    anchors: list[Anchor] = []
    for number in range(EVENTS):
        async with platform.database.unit_of_work(rng.choice(scopes)) as uow:
            for _ in range(rng.choice((1, 1, 1, 2, 3))):
                await audit.note(
                    uow,
                    role="city_settlement_clerk",
                    action=rng.choice(("query.cases", "query.node", "clearingRunStart")),
                    object_type="",
                    object_id=str(number),
                    request_id=uuid.uuid4().hex,
                    details={"n": number},
                    kind="sight",
                    field_class="case",
                    subjects=[uuid.uuid4() for _ in range(rng.randint(1, 5))],
                )
        if rng.random() < 0.2:
            await chain.chain_waiting(platform)
        if rng.random() < 0.02 and (made := await chain.anchor(platform)) is not None:
            anchors.append(made)
    while await chain.chain_waiting(platform):
        pass
    if (made := await chain.anchor(platform)) is not None:
        anchors.append(made)
    return anchors


@asynccontextmanager
async def undone(superuser: Database) -> AsyncIterator[UnitOfWork]:
    """A superuser's transaction without triggers and foreign keys, that is taken back (可回滚的超级用户事务)."""
    async with superuser.engine.connect() as connection:
        transaction = await connection.begin()
        try:
            await connection.execute(text("set local session_replication_role = replica"))
            await connection.execute(text("alter table audit_link drop constraint ck_audit_link_seq"))
            yield UnitOfWork(connection, Scope(role=DatabaseRole.SEQUENCER, tenant=""))
        finally:
            await transaction.rollback()


async def try_tampering(
    superuser_dsn: str, platform: Platform, anchors: Sequence[Anchor], tally: Tally, seed: int, rounds: int
) -> None:
    """Tamper in every way, each time with the whole chain; the check must name the first bad number and the kind."""
    rng = random.Random(seed)
    superuser = Database(superuser_dsn, pool_size=1, application="fenzhi-battery")
    whole = await chain.verify(platform.database, platform.keyring, anchors)
    tally.saw("untouched", whole.holds and whole.links > EVENTS, str(whole.findings))
    tally.figures |= {"links": whole.links, "anchors": len(anchors)}
    try:
        for kind, ways in WAYS.items():
            for number in range(rounds):
                way = ways[number % len(ways)]
                async with undone(superuser) as uow:
                    expected = await way(uow, rng, rng.randint(2, whole.links - 6))
                    found = (await chain.verify_within(uow, platform.keyring, anchors)).first_bad
                said = "nothing" if found is None else f"{found.fault.value} at {found.seq} until {found.until}"
                held = found is not None and found.fault.value == ANSWERS[kind]
                if found is not None and kind == "rewrite":
                    held = held and found.until is not None and found.seq <= expected <= found.until
                elif found is not None:
                    held = held and found.seq == expected
                tally.saw(kind, held, f"{way.__name__} at {expected}: {said}")
        still = await chain.verify(platform.database, platform.keyring, anchors)
        tally.saw("untouched", still.holds and still.links == whole.links, str(still.findings))
    finally:
        await superuser.close()

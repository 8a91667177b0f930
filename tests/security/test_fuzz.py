"""A slice of the fuzz section: every kind of spoiled list once and more, messages and files."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest_asyncio

from builders.submission_place import Place, open_place
from builders.world import World
from fenzhi.access.roles import Role
from fenzhi.cli.battery.fuzz import Ground, fuzz_batches, fuzz_files, fuzz_messages, sound_lists
from fenzhi.cli.battery.kills import superuser_dsn
from fenzhi.cli.battery.mutations import KINDS
from fenzhi.cli.battery.submission import one_message_many_ways
from fenzhi.cli.battery.tally import Tally
from fenzhi.cli.flow.client import Actor
from fenzhi.cli.servers import ServerAddresses
from fenzhi.services.submission.template_workbook import template_workbook


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def place(world: World) -> Place:
    return await open_place(world, "V1")


@asynccontextmanager
async def ground_of(place: Place) -> AsyncIterator[Ground]:
    """The first hospital's submitter, with a worker in this process."""
    client = await place.submitter()
    token = client.http.headers["authorization"].removeprefix("Bearer ")

    async def kept(tenant: str, role: Role) -> str:
        return token

    async def work() -> None:
        while True:
            await place.world.work_off()
            await asyncio.sleep(0.05)

    working = asyncio.create_task(work())
    try:
        yield Ground(
            Actor(client.http, place.hospital, Role.HOSPITAL_SUBMITTER, kept),
            sound_lists([place.listed("S")]),
            template_workbook(),
        )
    finally:
        working.cancel()
        await asyncio.gather(working, return_exceptions=True)


async def test_spoiled_lists_are_named_and_only_sound_ones_stored(place: Place) -> None:
    tally = Tally()
    async with ground_of(place) as ground:
        await fuzz_batches(tally, ground, seed=3, batches=5, lines=len(KINDS))
    assert tally.failures == []
    assert tally.tried["atomic stores nothing"] == 1
    assert tally.tried["partial stores exactly the accepted"] == 4


async def test_spoiled_messages_are_answered_in_the_envelope(place: Place) -> None:
    tally = Tally()
    async with ground_of(place) as ground:
        await fuzz_messages(tally, ground, seed=4, messages=4 * len(KINDS))
    assert tally.failures == []
    assert tally.tried["a sound message is filed"] > 0


async def test_bad_files_are_refused_or_judged(place: Place) -> None:
    tally = Tally()
    async with ground_of(place) as ground:
        await fuzz_files(tally, ground, seed=5, bomb_bytes=120 << 20, most=24)
    assert tally.failures == []
    assert tally.tried["a file is refused with a code"] > 5


async def test_one_message_a_hundred_ways_has_one_effect(place: Place, own_database: ServerAddresses) -> None:
    tally = Tally()
    async with ground_of(place) as ground:
        await one_message_many_ways(tally, ground.actor, superuser_dsn(own_database), seed=6, ways=100)
    assert tally.failures == []
    assert tally.figures == {"same_message_sent": 100, "other_bodies": 3}

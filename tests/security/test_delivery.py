"""Jobs delivered twice, late and out of order to three workers: each effect once. A slice; the whole is in the battery."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

import pytest

from fenzhi.cli.battery import delivery
from fenzhi.cli.servers import ServerAddresses
from fenzhi_workers.worker import _until_ended


@pytest.mark.battery
async def test_each_effect_once_however_often_a_job_is_delivered(new_database: Callable[..., ServerAddresses]) -> None:
    tally = await delivery.run(new_database(migrated=True), 5, 8)
    assert tally.failures == []
    assert tally.tried == {"late worker stopped": 4, "late worker fenced": 4, "ended once": 8, "effect once": 8}
    assert tally.figures["deliveries"] >= 8 * delivery.DELIVERIES


async def test_a_listener_that_swallows_a_cancellation_is_told_again() -> None:
    """arq does so in the midst of a poll; this once left tasks that nobody could stop."""
    told = 0

    async def deaf() -> None:
        nonlocal told
        while told < 3:
            try:
                await asyncio.sleep(60)
            except asyncio.CancelledError:
                told += 1

    listening = asyncio.create_task(deaf())
    waiting = asyncio.create_task(_until_ended(listening))
    await asyncio.sleep(0.05)
    waiting.cancel()
    done, _ = await asyncio.wait({waiting}, timeout=20)
    assert done and waiting.cancelled() and listening.done() and told == 3

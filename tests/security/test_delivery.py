"""Jobs delivered twice, late and out of order to three workers: each effect once. Part of the battery."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from fenzhi.cli.battery import delivery
from fenzhi.cli.servers import ServerAddresses


@pytest.mark.battery
async def test_each_effect_once_however_often_a_job_is_delivered(new_database: Callable[..., ServerAddresses]) -> None:
    tally = await delivery.run(new_database(migrated=True), 5, 8)
    assert tally.failures == []
    assert tally.tried == {"late worker stopped": 4, "late worker fenced": 4, "ended once": 8, "effect once": 8}
    assert tally.figures["deliveries"] >= 8 * delivery.DELIVERIES

"""A request repeated in any way is carried out once."""

from __future__ import annotations

from fenzhi.cli.battery.idempotency import WAYS, try_retries
from fenzhi.cli.battery.stage import Stage
from fenzhi.cli.battery.tally import Tally


async def test_what_is_repeated_happens_once(stage: Stage) -> None:
    tally = Tally()
    await try_retries(stage, tally, seed=1, steps=120)
    assert tally.failures == []
    assert set(tally.tried) == {
        *WAYS,
        "abandoned once",
        "stored once",
        "nothing else done",
        "keys grown old",
        "retry of an old key",
    }

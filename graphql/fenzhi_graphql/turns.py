"""Requests take turns (请求轮候): whoever sends a hundred at once does not stand before the others with them.

A request waits here after its body was read and before it is worked on, so that a slow sender holds up nobody. The API is one process, its
work one loop: two hundred requests begun together are each as slow as the last of them, whoever sent the other hundred and ninety-nine.
"""

from __future__ import annotations

import asyncio
import time
from collections import Counter, deque
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import NamedTuple

from fenzhi.services.recent_use import RecentUse

AT_ONCE = 16
"""Requests worked on at the same time; a few less than the process has connections to the database."""
HEAVY_S = 8.0
"""Who has had less than this lately (some half of the last fifteen seconds) is heavy beside nobody: hospitals of different size that send list by
list do not wait for each other."""
BESIDE_OTHERS = 1
"""How many of them a tenant has at most while another one that had less than half of it lately is awake."""
AWAKE_S = 1.0
"""How long a tenant counts as awake after a request of its ended."""
REST_MOST_S = 0.25
"""Beside a lighter tenant a heavy one rests after a request for as long as that took, and no longer than this."""
PATIENCE_S = 0.5
"""A request that has waited so long begins without a rest, and though a lighter tenant's is worked on."""
_LOOK_S = 0.02
"""While somebody waits it is looked so often whether a rest is over or a tenant asleep."""


class _Waiting(NamedTuple):
    turn: asyncio.Future[None]
    since: float


class RequestTurns:
    """Who is next (轮次). One per process."""

    def __init__(
        self, at_once: int = AT_ONCE, clock: Callable[[], float] = time.monotonic, heavy_s: float = HEAVY_S
    ) -> None:
        self._heavy_s = heavy_s
        self._at_once = at_once
        self._clock = clock
        self._running: Counter[str] = Counter()
        self._waiting: dict[str, deque[_Waiting]] = {}
        self._had = RecentUse()
        self._rests_until: dict[str, float] = {}
        self._looking: asyncio.TimerHandle | None = None

    @asynccontextmanager
    async def turn(self, tenant: str) -> AsyncIterator[None]:
        """Work for a tenant while the block runs, once it is its turn (轮到后处理)."""
        await self._enter(tenant)
        began = self._clock()
        try:
            yield
        finally:
            now = self._clock()
            self._had.add(tenant, now - began, now)
            self._rests_until[tenant] = now + min(now - began, REST_MOST_S)
            self._leave(tenant)

    async def _enter(self, tenant: str) -> None:
        now = self._clock()
        if not self._waiting.get(tenant) and self._may_begin(tenant, now, now, self._least_awake(now)):
            self._running[tenant] += 1
            return
        mine: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._waiting.setdefault(tenant, deque()).append(_Waiting(mine, now))
        self._look_again()
        try:
            await mine
        except BaseException:
            if mine.done() and not mine.cancelled():
                self._leave(tenant)  # The turn came and nobody was there any more.
            raise

    def _leave(self, tenant: str) -> None:
        self._running[tenant] -= 1
        self._running = +self._running
        self._look()

    def _look(self) -> None:
        """Let begin whose turn it is."""
        now = self._clock()
        least_awake = self._least_awake(now)
        for one in sorted(self._waiting, key=lambda one: (self._had.weight(one), self._running[one])):
            line = self._waiting[one]
            while line and (line[0].turn.done() or self._may_begin(one, now, line[0].since, least_awake)):
                mine = line.popleft().turn
                if not mine.done():
                    self._running[one] += 1
                    mine.set_result(None)
            if not line:
                del self._waiting[one]
        self._had.forget(now, lambda one: self._running[one] > 0)
        self._rests_until = {one: until for one, until in self._rests_until.items() if until > now}
        self._look_again()

    def _look_again(self) -> None:
        if self._waiting and self._looking is None:
            self._looking = asyncio.get_running_loop().call_later(_LOOK_S, self._looked)

    def _looked(self) -> None:
        self._looking = None
        self._look()

    def _may_begin(self, tenant: str, now: float, since: float, least_awake: float) -> bool:
        """The last place is kept for whom nothing runs; beside a lighter tenant that is awake the others wait until it has none."""
        free, running = self._at_once - self._running.total(), self._running[tenant]
        if free <= (1 if running else 0):
            return False
        half = self._had.weight(tenant) / 2
        if least_awake >= half or self._had.of(tenant, now) < self._heavy_s:
            return True
        if running >= BESIDE_OTHERS:
            return False
        is_rested = now >= self._rests_until.get(tenant, now)
        return now - since >= PATIENCE_S or (is_rested and self._had.least(self._running) >= half)

    def _least_awake(self, now: float) -> float:
        """What the lightest of the tenants has had that are awake (在线最小用量); who had less than half of another is lighter."""
        return self._had.least(self._had.since(now - AWAKE_S) | set(self._running))

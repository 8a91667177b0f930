"""Requests take turns (请求轮候): whoever sends a hundred at once does not stand before the others with them.

A request waits here after its body was read and before it is worked on, so that a slow sender holds up nobody. The API is one process, its
work one loop: two hundred requests begun together are each as slow as the last of them, whoever sent the other hundred and ninety-nine.
"""

from __future__ import annotations

import asyncio
import math
import time
from collections import Counter, deque
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

AT_ONCE = 16
"""Requests worked on at the same time; a few less than the process has connections to the database."""
BESIDE_OTHERS = 2
"""How many of them a tenant has at most while another one that had less than half of it lately is awake."""
AWAKE_S = 1.0
"""How long a tenant counts as awake after a request of its ended."""
HALF_LIFE_S = 10.0
"""Work done so long ago counts half."""
_FORGOTTEN_S = 0.001


class RequestTurns:
    """Who is next (轮次). One per process."""

    def __init__(self, at_once: int = AT_ONCE, clock: Callable[[], float] = time.monotonic) -> None:
        self._at_once = at_once
        self._clock = clock
        self._running: Counter[str] = Counter()
        self._waiting: dict[str, deque[asyncio.Future[None]]] = {}
        self._had: dict[str, tuple[float, float]] = {}

    @asynccontextmanager
    async def turn(self, tenant: str) -> AsyncIterator[None]:
        """Work for a tenant while the block runs, once it is its turn (轮到后处理)."""
        await self._enter(tenant)
        began = self._clock()
        try:
            yield
        finally:
            now = self._clock()
            self._had[tenant] = (self._had_of(tenant, now) + now - began, now)
            self._leave(tenant)

    async def _enter(self, tenant: str) -> None:
        if not self._waiting.get(tenant) and self._may_begin(tenant, self._clock()):
            self._running[tenant] += 1
            return
        mine: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._waiting.setdefault(tenant, deque()).append(mine)
        try:
            await mine
        except BaseException:
            if mine.done() and not mine.cancelled():
                self._leave(tenant)  # The turn came and nobody was there any more.
            raise

    def _leave(self, tenant: str) -> None:
        self._running[tenant] -= 1
        self._running = +self._running
        now = self._clock()
        for one in sorted(self._waiting, key=lambda one: (self._had_of(one, now), self._running[one])):
            line = self._waiting[one]
            while line and (line[0].done() or self._may_begin(one, now)):
                mine = line.popleft()
                if not mine.done():
                    self._running[one] += 1
                    mine.set_result(None)
            if not line:
                del self._waiting[one]
        self._had = {
            one: had for one, had in self._had.items() if self._running[one] or self._had_of(one, now) > _FORGOTTEN_S
        }

    def _may_begin(self, tenant: str, now: float) -> bool:
        """The last place is kept for whom nothing runs; beside a lighter tenant that is awake the others have few."""
        free, running = self._at_once - self._running.total(), self._running[tenant]
        if not running:
            return free > 0
        return free > 1 and (running < BESIDE_OTHERS or not self._is_another_lighter(tenant, now))

    def _is_another_lighter(self, tenant: str, now: float) -> bool:
        had = self._had_of(tenant, now)
        return any(
            one != tenant and (self._running[one] > 0 or now - at < AWAKE_S) and 2 * self._had_of(one, now) < had
            for one, (_, at) in self._had.items()
        )

    def _had_of(self, tenant: str, now: float) -> float:
        seconds, at = self._had.get(tenant, (0.0, now))
        return seconds * math.pow(0.5, (now - at) / HALF_LIFE_S)

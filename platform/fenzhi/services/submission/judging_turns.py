"""Turns at the one interpreter of a worker (判定轮次): judging goes slice by slice, and whoever has had least of late goes first.

Two batches judged at once share one interpreter anyway. Left to themselves each gets half of it, however much the one has sent and however
little the other; in turns the small one waits for a slice of the large one and then goes through.
"""

from __future__ import annotations

import math
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager

SLICE_ROWS = 250
"""Rows read or judged in one turn, some fifty milliseconds of work; at 25 rows the turns themselves cost an eighth."""
HALF_LIFE_S = 10.0
"""Work done so long ago counts half."""
_FORGOTTEN_S = 0.001


class JudgingTurns:
    """Lets one thread at a time work for a tenant (按租户轮候). One per process."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._changed = threading.Condition()
        self._is_taken = False
        self._waiting: Counter[str] = Counter()
        self._had: dict[str, tuple[float, float]] = {}

    @contextmanager
    def turn(self, tenant: str) -> Iterator[None]:
        """Work for a tenant while the block runs, when nobody works and nobody waits who has had less of late (轮到后执行)."""
        with self._changed:
            self._waiting[tenant] += 1
            while self._is_taken or self._next() != tenant:
                self._changed.wait()
            self._waiting[tenant] -= 1
            self._is_taken = True
        began = self._clock()
        try:
            yield
        finally:
            with self._changed:
                now = self._clock()
                self._had[tenant] = (self._had_of(tenant, now) + now - began, now)
                self._is_taken = False
                self._forget(now)
                self._changed.notify_all()

    def waiting(self) -> dict[str, int]:
        """How many threads wait, by tenant (等待数)."""
        with self._changed:
            return dict(+self._waiting)

    def _next(self) -> str:
        now = self._clock()
        return min((one for one, times in self._waiting.items() if times), key=lambda one: self._had_of(one, now))

    def _had_of(self, tenant: str, now: float) -> float:
        seconds, at = self._had.get(tenant, (0.0, now))
        return seconds * math.pow(0.5, (now - at) / HALF_LIFE_S)

    def _forget(self, now: float) -> None:
        self._waiting = +self._waiting
        self._had = {
            tenant: had
            for tenant, had in self._had.items()
            if self._waiting[tenant] or self._had_of(tenant, now) > _FORGOTTEN_S
        }


OF_THIS_PROCESS = JudgingTurns()

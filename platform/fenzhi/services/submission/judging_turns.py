"""Turns at the one interpreter of a worker (判定轮次): judging goes slice by slice, and whoever has had least of late goes first.

Two batches judged at once share one interpreter anyway. Left to themselves each gets half of it, however much the one has sent and however
little the other; in turns the small one waits for a slice of the large one and then goes through.
"""

from __future__ import annotations

import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from fenzhi.services.recent_use import RecentUse

SLICE_ROWS = 250
"""Rows read or judged in one turn, some fifty milliseconds of work; at 25 rows the turns themselves cost an eighth."""


class JudgingTurns:
    """Lets one thread at a time work for a tenant (按租户轮候). One per process."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._changed = threading.Condition()
        self._is_taken = False
        self._waiting: Counter[str] = Counter()
        self._had = RecentUse()

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
                self._had.add(tenant, now - began, now)
                self._is_taken = False
                self._waiting = +self._waiting
                self._had.forget(now, lambda one: self._waiting[one] > 0)
                self._changed.notify_all()

    def waiting(self) -> dict[str, int]:
        """How many threads wait, by tenant (等待数)."""
        with self._changed:
            return dict(+self._waiting)

    def _next(self) -> str:
        return min((one for one, times in self._waiting.items() if times), key=self._had.weight)


OF_THIS_PROCESS = JudgingTurns()

"""What each tenant has had of a worker lately (租户用量): a heavy one begins nothing new in the midst of a light one's job."""

from __future__ import annotations

import math
import time
import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager

HALF_LIFE_S = 10.0
"""Work done so long ago counts half."""
YIELDS_S = 1.0
"""For how long after its beginning a job holds back those of heavier tenants; what takes longer is not light."""
_FORGOTTEN_S = 0.001


class TenantShares:
    """Seconds that jobs of a tenant took, the older ones counting less (近期用量). One per worker."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._under_way: dict[uuid.UUID, tuple[str, float]] = {}
        self._had: dict[str, tuple[float, float]] = {}

    @contextmanager
    def under_way(self, job_id: uuid.UUID, tenant: str) -> Iterator[None]:
        """A job of a tenant while the block runs (在办作业)."""
        began = self._clock()
        self._under_way[job_id] = (tenant, began)
        try:
            yield
        finally:
            now = self._clock()
            del self._under_way[job_id]
            self._had[tenant] = (self._had_of(tenant, now) + now - began, now)
            self._had = {one: had for one, had in self._had.items() if self._had_of(one, now) > _FORGOTTEN_S}

    def yields(self, tenant: str) -> bool:
        """Whether a job of the tenant waits for one of a tenant that had less than half of it lately (是否让行)."""
        now = self._clock()
        had = self._had_of(tenant, now)
        return any(
            one != tenant and now - began < YIELDS_S and 2 * self._had_of(one, now) < had
            for one, began in self._under_way.values()
        )

    def _had_of(self, tenant: str, now: float) -> float:
        seconds, at = self._had.get(tenant, (0.0, now))
        return seconds * math.pow(0.5, (now - at) / HALF_LIFE_S)

"""What each tenant has had of a worker lately (租户用量): a heavy one begins nothing new in the midst of a light one's job."""

from __future__ import annotations

import time
import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from fenzhi.services.recent_use import RecentUse

YIELDS_S = 1.0
"""For how long after its beginning a job holds back those of heavier tenants; what takes longer is not light."""


class TenantShares:
    """Seconds that jobs of a tenant took, the older ones counting less (近期用量). One per worker."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._under_way: dict[uuid.UUID, tuple[str, float]] = {}
        self._had = RecentUse()

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
            self._had.add(tenant, now - began, now)
            self._had.forget(now)

    def yields(self, tenant: str) -> bool:
        """Whether a job of the tenant waits for one of a tenant that had less than half of it lately (是否让行)."""
        now = self._clock()
        return any(
            now - began < YIELDS_S and self._had.is_light_beside(one, tenant) for one, began in self._under_way.values()
        )

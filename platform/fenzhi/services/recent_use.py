"""What each tenant has had of a process lately (租户近期用量): seconds of work, of which the older ones count less.

Whoever shares something out by turns (judging, requests, jobs) asks here who has had least.
"""

from __future__ import annotations

import math
from collections.abc import Callable

HALF_LIFE_S = 10.0
"""Work done so long ago counts half."""
_FORGOTTEN_S = 0.001


class RecentUse:
    """Seconds of work by tenant (近期用量). Moments are the caller's clock, in seconds; not for several threads at once."""

    def __init__(self) -> None:
        self._had: dict[str, tuple[float, float]] = {}

    def add(self, tenant: str, seconds: float, now: float) -> None:
        """Count work that ended now (计入)."""
        self._had[tenant] = (self.of(tenant, now) + seconds, now)

    def of(self, tenant: str, now: float) -> float:
        """What a tenant has had, in seconds (用量)."""
        seconds, at = self._had.get(tenant, (0.0, now))
        return seconds * math.pow(0.5, (now - at) / HALF_LIFE_S)

    def is_light_beside(self, tenant: str, other: str, now: float) -> bool:
        """Whether a tenant has had less than half of what another has (是否较轻)."""
        return tenant != other and 2 * self.of(tenant, now) < self.of(other, now)

    def since(self, moment: float) -> set[str]:
        """Whose work ended after a moment (近时有用量者)."""
        return {tenant for tenant, (_, at) in self._had.items() if at > moment}

    def forget(self, now: float, is_kept: Callable[[str], bool] = lambda _: False) -> None:
        """Let go of tenants whose use has come to nothing, but for those kept (遗忘)."""
        self._had = {
            tenant: had for tenant, had in self._had.items() if is_kept(tenant) or self.of(tenant, now) > _FORGOTTEN_S
        }

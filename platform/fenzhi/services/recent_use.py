"""What each tenant has had of a process lately (租户近期用量): seconds of work, of which the older ones count less.

Whoever shares something out by turns (judging, requests, jobs) asks here who has had least, some hundreds of times a second.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable

HALF_LIFE_S = 10.0
"""Work done so long ago counts half."""
_FORGOTTEN_S = 0.001
_REBASED_AFTER_S = 100 * HALF_LIFE_S


class RecentUse:
    """Seconds of work by tenant (近期用量). Moments are the caller's clock, in seconds; not for several threads at once.

    All use fades alike, so that tenants are compared without looking at the clock: work is kept as what it would count for at an origin.
    """

    def __init__(self) -> None:
        self._origin = 0.0
        self._weights: dict[str, float] = {}
        self._ended: dict[str, float] = {}

    def add(self, tenant: str, seconds: float, now: float) -> None:
        """Count work that ended now (计入)."""
        if not self._weights or now - self._origin > _REBASED_AFTER_S:
            faded = self._faded(now)
            self._weights = {one: weight * faded for one, weight in self._weights.items()}
            self._origin = now
        self._weights[tenant] = self.weight(tenant) + seconds / self._faded(now)
        self._ended[tenant] = now

    def of(self, tenant: str, now: float) -> float:
        """What a tenant has had, in seconds (用量)."""
        return self.weight(tenant) * self._faded(now)

    def weight(self, tenant: str) -> float:
        """What a tenant has had beside others at the same moment (可比用量); of no unit."""
        return self._weights.get(tenant, 0.0)

    def least(self, tenants: Iterable[str]) -> float:
        """The least of their weights (最小可比用量); infinite where there is none."""
        return min((self._weights.get(one, 0.0) for one in tenants), default=float("inf"))

    def is_light_beside(self, tenant: str, other: str) -> bool:
        """Whether a tenant has had less than half of what another has (是否较轻)."""
        return 2 * self.weight(tenant) < self.weight(other)

    def since(self, moment: float) -> set[str]:
        """Whose work ended after a moment (近时有用量者)."""
        return {tenant for tenant, at in self._ended.items() if at > moment}

    def forget(self, now: float, is_kept: Callable[[str], bool] = lambda _: False) -> None:
        """Let go of tenants whose use has come to nothing, but for those kept (遗忘)."""
        faded = self._faded(now)
        gone = [one for one, weight in self._weights.items() if weight * faded <= _FORGOTTEN_S and not is_kept(one)]
        for tenant in gone:
            del self._weights[tenant], self._ended[tenant]

    def _faded(self, now: float) -> float:
        """What is left by now of a second of work that ended at the origin; nothing after long enough, never too large a number."""
        left: float = 2.0 ** ((self._origin - now) / HALF_LIFE_S)
        return left

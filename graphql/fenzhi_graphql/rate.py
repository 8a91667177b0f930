"""Rate and concurrency budget (流量预算) per tenant and client: a bucket of cost units and a number of requests at once.

The API is one process per pod, and a budget is kept in that process: with n pods a client may have up to n budgets. A budget is
forgotten when it is full and nobody uses it, so that forgetting gives nobody more than waiting would.
"""

from __future__ import annotations

import math
import time
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass

from fenzhi.rules.refusals import FenzhiError
from fenzhi.telemetry.metrics import RATE_REFUSALS

Key = tuple[str, str]
"""Tenant and client (租户与客户端)."""

REQUEST_UNITS = 10
"""What any request costs before it is looked at; a GraphQL document costs its own units on top."""


class RateLimited(FenzhiError):
    """The caller's budget is used up for the moment (请求过于频繁)."""

    code = "RATE_LIMITED"
    http_status = 429

    def __init__(self, zh: str, en: str, retry_after_s: int) -> None:
        super().__init__(zh, en, hint=f"{retry_after_s} 秒后重试 / retry in {retry_after_s} s")
        self.retry_after_s = retry_after_s


@dataclass(frozen=True, slots=True)
class Rates:
    """How much one client of one tenant may ask (流量参数): units refilled per second, units at most, requests at once."""

    units_per_s: int = 200_000
    burst: int = 4_000_000
    at_once: int = 128
    callers_most: int = 20_000


@dataclass(slots=True)
class _Bucket:
    units: float
    seen: float
    running: int = 0


class Budgets:
    """The budgets of all callers of this process (流量预算表)."""

    def __init__(self, rates: Rates | None = None, clock: Callable[[], float] = time.monotonic) -> None:
        self.rates = rates or Rates()
        self._clock = clock
        self._buckets: OrderedDict[Key, _Bucket] = OrderedDict()

    def enter(self, key: Key) -> Callable[[], None]:
        """Admit a request (准入); what to call when it ends, once or more. Raises: RateLimited."""
        bucket = self._bucket(key)
        if bucket.running >= self.rates.at_once:
            RATE_REFUSALS.labels("at_once").inc()
            raise RateLimited(
                f"同时进行的请求已达 {self.rates.at_once} 个。",
                f"{self.rates.at_once} requests of this client are in flight.",
                1,
            )
        self._take(bucket, REQUEST_UNITS)
        bucket.running += 1
        open_ = [True]

        def leave() -> None:
            if open_:
                open_.clear()
                bucket.running -= 1

        return leave

    def charge(self, key: Key, units: int) -> None:
        """Take units off a budget (计费). Raises: RateLimited when they are not there; nothing is taken then."""
        # Who comes back pays for the request once more: the wait told covers it.
        self._take(self._bucket(key), units, again=REQUEST_UNITS)

    def left(self, key: Key) -> int:
        """Whole units left at this moment (剩余额度)."""
        return math.floor(self._bucket(key).units)

    def _bucket(self, key: Key) -> _Bucket:
        now = self._clock()
        bucket = self._buckets.get(key)
        if bucket is None:
            self._forget_idle(now)
            bucket = self._buckets[key] = _Bucket(float(self.rates.burst), now)
        bucket.units = self._filled(bucket, now)
        bucket.seen = max(bucket.seen, now)
        self._buckets.move_to_end(key)
        return bucket

    def _filled(self, bucket: _Bucket, now: float) -> float:
        return min(float(self.rates.burst), bucket.units + max(0.0, now - bucket.seen) * self.rates.units_per_s)

    def _take(self, bucket: _Bucket, units: int, again: int = 0) -> None:
        # A document dearer than the whole bucket waits for a full one.
        price = min(units, self.rates.burst)
        if bucket.units < price:
            lacking = min(price + again, self.rates.burst) - bucket.units
            wait = max(1, math.ceil(lacking / self.rates.units_per_s))
            RATE_REFUSALS.labels("units").inc()
            raise RateLimited("请求额度已用完。", "The budget of this client is used up.", wait)
        bucket.units -= price

    def _forget_idle(self, now: float) -> None:
        for key in list(self._buckets)[: len(self._buckets) - self.rates.callers_most + 1]:
            bucket = self._buckets[key]
            if bucket.running == 0 and self._filled(bucket, now) >= self.rates.burst:
                del self._buckets[key]

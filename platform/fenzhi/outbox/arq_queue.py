"""The doorbell over Redis by arq (门铃). Only job ids travel; Redis may be emptied at any moment."""

from __future__ import annotations

import asyncio
import time
import uuid
from contextlib import suppress
from typing import Any

import msgspec
from arq import create_pool
from arq.connections import ArqRedis, RedisSettings
from redis.exceptions import RedisError

QUEUE = "fenzhi:jobs"


def serialize(value: dict[str, Any]) -> bytes:
    """JSON instead of arq's pickle: whoever can write to Redis must not be able to run code here."""
    return msgspec.json.encode(value)


def deserialize(data: bytes) -> dict[str, Any]:
    """The other side of `serialize`."""
    return msgspec.json.decode(data, type=dict[str, Any])


def redis_settings(url: str) -> RedisSettings:
    """arq's settings for an address (连接设置)."""
    settings = RedisSettings.from_dsn(url)
    settings.conn_timeout = 2
    settings.conn_retries = 1
    return settings


RING_S = 1.0
"""How long a ring may take: whoever rings has an answer to give (响铃上限)."""
QUIET_S = 5.0
"""How long nobody rings after a ring that failed (静默时间)."""
ANSWER_S = 5.0
"""How long Redis may take to answer a listening worker (应答上限)."""


def listening_pool(url: str) -> ArqRedis:
    """The connection of a worker that listens (监听连接): a Redis that says nothing is a Redis that is gone."""
    pool: ArqRedis = ArqRedis.from_url(url, socket_timeout=ANSWER_S, socket_connect_timeout=2, health_check_interval=10)
    return pool


class ArqDoorbell:
    """Rings a worker through arq. A Redis that is away is no error: the sweeper rings again from PostgreSQL."""

    def __init__(self, url: str) -> None:
        self._quiet_until = 0.0
        self._settings = redis_settings(url)
        self._pool: ArqRedis | None = None
        self._connecting = asyncio.Lock()

    async def _connected(self) -> ArqRedis:
        async with self._connecting:
            if self._pool is None:
                self._pool = await create_pool(
                    self._settings,
                    job_serializer=serialize,
                    job_deserializer=deserialize,
                    default_queue_name=QUEUE,
                )
            return self._pool

    async def ring(self, job_id: uuid.UUID, attempt: int) -> None:
        """Ring for one job. The arq id carries attempt and time, so that no earlier ring can swallow this one."""
        if time.monotonic() < self._quiet_until:
            return
        try:
            async with asyncio.timeout(RING_S):
                pool = await self._connected()
                await pool.enqueue_job(
                    "run_job", str(job_id), _job_id=f"{job_id}:{attempt}:{time.monotonic_ns()}", _queue_name=QUEUE
                )
        except (TimeoutError, RedisError, OSError):
            self._pool = None
            self._quiet_until = time.monotonic() + QUIET_S

    async def answers(self) -> bool:
        """Whether Redis answers (存活检查)."""
        try:
            async with asyncio.timeout(RING_S):
                pool = await self._connected()
                return bool(await pool.ping())
        except (TimeoutError, RedisError, OSError):
            self._pool = None
            return False

    async def close(self) -> None:
        """Close the connection."""
        if self._pool is not None:
            with suppress(TimeoutError, RedisError, OSError):
                async with asyncio.timeout(RING_S):
                    await self._pool.aclose()
            self._pool = None

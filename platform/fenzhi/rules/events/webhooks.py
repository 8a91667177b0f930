"""How a message to a webhook is signed, and when it is tried again (推送的签名与重试)."""

from __future__ import annotations

import hashlib
import hmac
from collections.abc import Sequence
from datetime import datetime, timedelta

PAUSES_S: tuple[int, ...] = (60, 300, 900, 3_600, 10_800, 21_600, 43_200)
"""Pauses between attempts; the last one repeats until the time is up. Units: seconds."""
TRIED_FOR = timedelta(days=3)
"""How long a message is tried after its first attempt (重试期)."""
REPLAY_WINDOW_S = 300
"""How old a timestamp a receiver should still accept (重放窗口, 秒)."""
SECRET_LEAST, SECRET_MOST = 32, 200


def next_attempt(first_at: datetime, attempts: int, now: datetime) -> datetime | None:
    """When a message that failed `attempts` times is tried next, or None when three days are over (下次推送时点).

    The last attempt falls on the end of the three days at the latest. Requires: attempts ≥ 1.
    """
    until = first_at + TRIED_FOR
    if now >= until:
        return None
    return min(now + timedelta(seconds=PAUSES_S[min(attempts, len(PAUSES_S)) - 1]), until)


def signature(secret: bytes, timestamp: int, body: bytes) -> str:
    """HMAC-SHA256 of `<timestamp>.<body>` in hex (消息签名). The body names the event's id, so that the id is signed too."""
    return hmac.new(secret, f"{timestamp}.".encode() + body, hashlib.sha256).hexdigest()


def signature_header(secrets: Sequence[bytes], timestamp: int, body: bytes) -> str:
    """The value of `Fenzhi-Signature` (签名头): `t=<timestamp>,v1=<hex>`, once more `v1=` for each secret that still holds."""
    return ",".join([f"t={timestamp}", *(f"v1={signature(secret, timestamp, body)}" for secret in secrets)])

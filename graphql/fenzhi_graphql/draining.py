"""Leaving without losing a request (优雅退出): told to stop, an API process first says that it is not ready, and stops a while later.

Meanwhile it answers whatever still comes, and closes each connection after its answer, so that no client finds one closed under its request.
"""

from __future__ import annotations

import asyncio
import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType


class Draining:
    """Whether this process is leaving (排空状态)."""

    def __init__(self) -> None:
        self.is_on = False

    @contextmanager
    def by_sigterm(self, seconds: float) -> Iterator[None]:
        """While the block lasts, SIGTERM starts the draining, and does what it did before `seconds` later; a second one does so at once."""
        before = signal.getsignal(signal.SIGTERM)
        is_main = threading.current_thread() is threading.main_thread()
        if seconds <= 0 or not callable(before) or not is_main:
            yield
            return
        loop = asyncio.get_running_loop()

        def told(number: int, frame: FrameType | None) -> None:
            if self.is_on:
                before(number, frame)
                return
            self.is_on = True
            loop.call_soon_threadsafe(loop.call_later, seconds, before, number, None)

        signal.signal(signal.SIGTERM, told)
        try:
            yield
        finally:
            signal.signal(signal.SIGTERM, before)

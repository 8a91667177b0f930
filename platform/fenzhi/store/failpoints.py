"""Places where a test may kill the process (故障点), to prove that no moment of a run leaves half of it behind."""

from __future__ import annotations

import os
import signal

VARIABLE = "FENZHI_FAILPOINT"


def failpoint(name: str) -> None:
    """Die as by kill -9 when the environment names this place (触发故障点); nothing at all otherwise.

    FENZHI_FAILPOINT=clearing.before_commit ends the process there, every time it comes by. Never set in production.
    """
    if os.environ.get(VARIABLE) == name:
        os.kill(os.getpid(), signal.SIGKILL)

"""Places where a test may kill the process (故障点), to prove that no moment of the work leaves half of it behind."""

from __future__ import annotations

import os
import signal

VARIABLE = "FENZHI_FAILPOINT"


def failpoint(name: str) -> None:
    """Die as by kill -9 when the environment names this place (触发故障点); nothing at all otherwise.

    FENZHI_FAILPOINT=clearing.before_commit ends the process there every time it comes by;
    FENZHI_FAILPOINT=clearing.before_commit@/path/to/marker only the first time, the marker file remembering it across
    restarts. Never set in production.
    """
    wanted, _, marker = os.environ.get(VARIABLE, "").partition("@")
    if wanted != name or (marker and not _first_time(marker)):
        return
    os.kill(os.getpid(), signal.SIGKILL)


def _first_time(marker: str) -> bool:
    try:
        os.close(os.open(marker, os.O_CREAT | os.O_EXCL | os.O_WRONLY))
    except FileExistsError:
        return False
    return True

"""Places where a test may kill the process (故障点), to prove that no moment of the work leaves half of it behind."""

from __future__ import annotations

import os
import signal

VARIABLE = "FENZHI_FAILPOINT"
_ARMED = "armed:"


def failpoint(name: str) -> None:
    """Die as by kill -9 when the environment names this place (触发故障点); nothing at all otherwise.

    FENZHI_FAILPOINT=clearing.before_commit ends the process there every time it comes by;
    FENZHI_FAILPOINT=clearing.before_commit@/path/to/marker only the first time, the marker file remembering it across
    restarts. FENZHI_FAILPOINT=armed:/path/to/file reads the name from that file, if there is one, and takes the file away as it
    strikes, so that a running process can be armed. Never set in production.
    """
    said = os.environ.get(VARIABLE, "")
    if not said:
        return
    if said.startswith(_ARMED):
        if _disarmed(said.removeprefix(_ARMED), name):
            os.kill(os.getpid(), signal.SIGKILL)
        return
    wanted, _, marker = said.partition("@")
    if wanted != name or (marker and not _first_time(marker)):
        return
    os.kill(os.getpid(), signal.SIGKILL)


def _disarmed(path: str, name: str) -> bool:
    """Whether the file names this place and it was us who took it away."""
    try:
        with open(path, encoding="ascii") as file:
            if file.read().strip() != name:
                return False
        os.unlink(path)
    except FileNotFoundError:
        return False
    return True


def _first_time(marker: str) -> bool:
    try:
        os.close(os.open(marker, os.O_CREAT | os.O_EXCL | os.O_WRONLY))
    except FileExistsError:
        return False
    return True

"""A failpoint kills where it is named and is nothing elsewhere."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

CODE = "from fenzhi.store.failpoints import failpoint; failpoint('here'); print('alive')"


def run(place: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-c", CODE],
        env=dict(os.environ) | {"FENZHI_FAILPOINT": place},
        capture_output=True,
        text=True,
        check=False,
    )


def test_the_named_place_kills_the_process() -> None:
    assert run("here").returncode == -signal.SIGKILL


def test_another_place_is_passed_by() -> None:
    found = run("there")
    assert (found.returncode, found.stdout) == (0, "alive\n")


def test_an_armed_file_kills_once_and_is_taken_away(tmp_path: Path) -> None:
    armed = tmp_path / "armed"
    armed.write_text("there")
    assert run(f"armed:{armed}").stdout == "alive\n"
    armed.write_text("here")
    assert run(f"armed:{armed}").returncode == -signal.SIGKILL
    assert not armed.exists()
    assert run(f"armed:{armed}").stdout == "alive\n"

"""Starting, finding again and stopping a server process (服务进程的启停)."""

from __future__ import annotations

import os
import signal
import subprocess
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import psutil

from fenzhi.cli.server_home import ServerHome
from fenzhi.rules.refusals import Conflict

_KEPT = ("PATH", "TMPDIR", "SYSTEMROOT")


def server_environment() -> dict[str, str]:
    """What a server may know of our environment (服务进程环境): no secret, no locale, no Python setting."""
    return {"LC_ALL": "C", **{name: os.environ[name] for name in _KEPT if name in os.environ}}


def spawn(
    command: Sequence[str | Path],
    *,
    log: Path,
    home: ServerHome | None = None,
    env: Mapping[str, str] | None = None,
) -> subprocess.Popen[bytes]:
    """Start `command` in a session of its own (启动进程), its output appended to `log`.

    A session of its own, because Ctrl-C in a terminal reaches the whole foreground group at once, and a database that
    stops before the API that uses it makes an unclean stop of a clean one.
    """
    account = home.account if home is not None else None
    log.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    if log.exists() and log.stat().st_size > 16 * 1024 * 1024:
        log.replace(log.with_name(log.name + ".1"))
    with open(os.open(log, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600), "ab") as output:
        return subprocess.Popen(
            [str(part) for part in command],
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=output,
            cwd=home.folder if home is not None else None,
            env=dict(server_environment() if env is None else env),
            user=account.uid if account else None,
            group=account.gid if account else None,
            extra_groups=[] if account else None,
            umask=0o077,
            start_new_session=True,
        )


def wait_until(
    ready: Callable[[], bool], process: subprocess.Popen[bytes], *, name: str, log: Path, seconds: float
) -> None:
    """Wait until `ready` answers true (等待就绪). Raises: Conflict when the process ends or time runs out first."""
    deadline = time.monotonic() + seconds
    while not ready():
        code = process.poll()
        if code is not None:
            raise Conflict(
                f"{name} 启动失败（退出码 {code}）：{last_lines(log)}",
                f"{name} ended with code {code} while starting: {last_lines(log)}",
                code="SERVER_DID_NOT_START",
                hint=f"See {log}.",
            )
        if time.monotonic() > deadline:
            raise Conflict(
                f"{name} 在 {seconds:.0f} 秒内未就绪。",
                f"{name} was not ready within {seconds:.0f} seconds.",
                code="SERVER_DID_NOT_START",
                hint=f"See {log}.",
            )
        time.sleep(0.05)


def last_lines(log: Path, count: int = 3) -> str:
    """The last lines of a log, joined (日志末行)."""
    try:
        with log.open("rb") as file:
            file.seek(max(0, file.seek(0, os.SEEK_END) - 4096))
            lines = file.read().decode("utf-8", "replace").strip().splitlines()
    except OSError:
        return ""
    return " | ".join(lines[-count:])


def stop(pid: int, *signals: tuple[signal.Signals, float]) -> None:
    """Send each signal in turn until the process is gone (停止进程), waiting the seconds beside it. A child is reaped."""
    try:
        process = psutil.Process(pid)
    except psutil.NoSuchProcess:
        return
    for number, seconds in signals:
        try:
            process.send_signal(number)
        except psutil.NoSuchProcess:
            return
        deadline = time.monotonic() + seconds
        while time.monotonic() < deadline:
            if _ended(process):
                return


def _ended(process: psutil.Process) -> bool:
    """Whether the process is over, waiting a moment for it (是否已结束). A zombie is: somebody else's to reap."""
    try:
        process.wait(0.05)
    except psutil.TimeoutExpired:
        try:
            return process.status() == psutil.STATUS_ZOMBIE
        except psutil.NoSuchProcess:
            return True
    return True


def same_process(pid: int, started: float) -> bool:
    """Whether `pid` is still the process that began at `started` (是否同一进程), not a later one with its number."""
    try:
        process = psutil.Process(pid)
        return abs(process.create_time() - started) < 1 and process.status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False


def started_at(pid: int) -> float:
    """When the process began, in seconds since the epoch (进程启动时刻); 0 when it is gone."""
    try:
        return float(psutil.Process(pid).create_time())
    except psutil.NoSuchProcess:
        return 0


def processes_in(folder: Path, program: str) -> list[psutil.Process]:
    """Running processes whose name begins with `program` and whose working folder is `folder` (在某目录下运行的程序)."""
    place = str(folder.resolve())
    return [
        process
        for process in psutil.process_iter(["name", "cwd"])
        if process.info["cwd"] == place and (process.info["name"] or "").startswith(program)
    ]

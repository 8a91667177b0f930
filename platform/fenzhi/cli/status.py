"""What runs on a state folder (运行状态): written by the supervisor, read by every other command."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path

from fenzhi.cli.server_process import same_process, started_at
from fenzhi.cli.servers import write_private
from fenzhi.rules.refusals import Conflict


class NotRunning(Conflict):
    """No platform runs on this state folder (平台未运行)."""

    code = "NOT_RUNNING"


@dataclass(frozen=True, slots=True)
class PlatformStatus:
    """A running platform (平台状态). Holds DSNs with passwords, hence a file of mode 0600."""

    state: str
    """starting, ready, stopping or failed."""
    stage: str = ""
    api_url: str = ""
    metrics_urls: dict[str, str] = field(default_factory=dict)
    """Where the metrics of the API and of the worker are read."""
    owner_dsn: str = ""
    app_dsn: str = ""
    redis_url: str = ""
    pids: dict[str, int] = field(default_factory=dict)
    """supervisor, api, worker, and the embedded postgres and valkey."""
    started: dict[str, float] = field(default_factory=dict)
    """When each process began: a process number alone is soon somebody else's."""
    state_dir: str = ""
    error: dict[str, str] = field(default_factory=dict)

    def with_pids(self, pids: dict[str, int]) -> PlatformStatus:
        """The same with these processes and their starting times (更新进程)."""
        return replace(self, pids=pids, started={name: started_at(pid) for name, pid in pids.items()})

    def alive(self, name: str) -> bool:
        """Whether the process called `name` still runs (进程是否存活)."""
        return name in self.pids and same_process(self.pids[name], self.started.get(name, 0))


def status_file(state_dir: Path) -> Path:
    """Where the status of a state folder is kept (状态文件)."""
    return state_dir / "status.json"


def write_status(state_dir: Path, status: PlatformStatus) -> None:
    """Write the status file (写状态)."""
    write_private(status_file(state_dir), json.dumps(asdict(status), indent=1, ensure_ascii=False))


def read_status(state_dir: Path) -> PlatformStatus | None:
    """The status last written (最近状态), whether or not it still holds; None when there never was one."""
    try:
        return PlatformStatus(**json.loads(status_file(state_dir).read_text(encoding="utf-8")))
    except FileNotFoundError:
        return None
    except (json.JSONDecodeError, TypeError) as error:
        raise Conflict(
            f"状态文件 {status_file(state_dir)} 已损坏。",
            f"The status file {status_file(state_dir)} is damaged.",
            code="STATUS_DAMAGED",
            hint="Delete it; fenzhi up writes a new one.",
        ) from error


def running_status(state_dir: Path) -> PlatformStatus:
    """The status of the platform that runs (运行中的平台). Raises: NotRunning."""
    status = read_status(state_dir)
    if status is None or status.state != "ready" or not status.alive("supervisor"):
        raise NotRunning(
            f"{state_dir} 上没有正在运行的平台。",
            f"No platform is running on {state_dir}.",
            hint="启动：fenzhi up --detach；其他状态目录：FENZHI_STATE_DIR / start it by fenzhi up --detach, or name another state folder",
        )
    return status

"""Start and supervise the whole platform (启动平台): servers, migrations, API, worker.

The supervisor starts again whatever dies: a worker leaves by design when Redis drops, an API or a server may be killed. It
stops in the other order of starting, so that nothing loses its database while it still answers somebody.
"""

from __future__ import annotations

import asyncio
import base64
import os
import secrets
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field, replace
from pathlib import Path
from types import FrameType

import httpx

from fenzhi.access.development_issuer import development_key
from fenzhi.cli import server_process
from fenzhi.cli.server_home import free_port
from fenzhi.cli.servers import Servers, write_private
from fenzhi.cli.status import PlatformStatus, read_status, running_status, write_status
from fenzhi.rules.refusals import Conflict, FenzhiError
from fenzhi.settings import PREFIX, Settings

READY_SECONDS = 90.0
STOP_SECONDS = 35.0
"""More than the API's own 25 seconds for requests under way."""
_POLL_SECONDS = 0.25
_CALM_SECONDS = 60.0


@dataclass(slots=True)
class Child:
    """A process of ours under supervision (受监管进程), with the pause before it may be started again."""

    name: str
    command: list[str]
    env: dict[str, str]
    log: Path
    process: subprocess.Popen[bytes] | None = field(default=None, init=False)
    _started: float = field(default=0.0, init=False)
    _pause: float = field(default=0.0, init=False)
    _not_before: float = field(default=0.0, init=False)

    def start(self) -> subprocess.Popen[bytes]:
        """Start the process (启动)."""
        self.process = server_process.spawn(self.command, log=self.log, env=self.env)
        self._started = time.monotonic()
        return self.process

    def revive(self) -> bool:
        """Start the process again if it has ended and its pause is over (重启); whether it was started."""
        if self.process is None or self.process.poll() is None:
            return False
        now = time.monotonic()
        if not self._not_before:
            calm = now - self._started > _CALM_SECONDS
            self._pause = 0.5 if calm or not self._pause else min(self._pause * 2, 30.0)
            self._not_before = now + self._pause
        if now < self._not_before:
            return False
        self._not_before = 0.0
        self.start()
        return True


def supervise(settings: Settings, *, say: Callable[[str, str], None]) -> None:
    """Run the platform in this process until SIGTERM or Ctrl-C (前台运行).

    `say` receives (Chinese, English) lines for a person. Raises: Conflict when something does not start; whatever had
    been started is stopped first.
    """
    stop = threading.Event()
    with _stopping_by_signal(stop):
        _end_orphans(settings.state_dir)
        servers = Servers(
            settings.state_dir,
            database_url=_secret(settings, "database_url"),
            app_database_url=_secret(settings, "app_database_url"),
            redis_url=_secret(settings, "redis_url"),
            wal_archive=settings.wal_archive.absolute() if settings.wal_archive else None,
        )
        children: list[Child] = []
        status = PlatformStatus("starting", state_dir=str(settings.state_dir))

        def show(stage: str, zh: str, en: str) -> None:
            nonlocal status
            status = replace(status, stage=stage)
            write_status(settings.state_dir, status)
            say(zh, en)

        try:
            addresses = servers.start()
            status = replace(
                status, owner_dsn=addresses.owner_dsn, app_dsn=addresses.app_dsn, redis_url=addresses.redis_url
            ).with_pids({"supervisor": os.getpid(), **addresses.pids})
            show("migrations", "数据库就绪，执行迁移…", "Servers are up; running the migrations…")
            _migrate(addresses.owner_dsn)
            if settings.development:
                asyncio.run(_ensure_operator(addresses.app_dsn))
            port = _api_port(settings)
            metrics_ports = _metrics_ports(settings)
            status = replace(
                status,
                api_url=f"http://{_url_host(settings.api_host)}:{port}",
                metrics_urls={
                    name: f"http://{_url_host(settings.metrics_host)}:{taken}/metrics"
                    for name, taken in metrics_ports.items()
                },
            )
            env = child_environment(settings, port=port, app_dsn=addresses.app_dsn, redis_url=addresses.redis_url)
            show("api", "启动接口与作业进程…", "Starting the API and the worker…")
            children += _children(settings, port, env, metrics_ports)
            for child in children:
                child.start()
            _wait_for_api(status.api_url, children, stop)
            if not stop.is_set():
                status = replace(status.with_pids(_pids(servers, children)), state="ready", stage="")
                write_status(settings.state_dir, status)
                say(f"平台就绪：{status.api_url}", f"Ready: {status.api_url}")
            while not stop.wait(_POLL_SECONDS):
                revived = servers.revive() + [child.name for child in children if child.revive()]
                if revived:
                    status = status.with_pids(_pids(servers, children))
                    write_status(settings.state_dir, status)
                    say(f"已重启：{'、'.join(revived)}", f"Started again: {', '.join(revived)}")
        except Exception as error:
            # Whose lock it is, his is the status file too.
            taken = isinstance(error, FenzhiError) and error.code == "ALREADY_RUNNING"
            status = replace(status, state="" if taken else "failed", error=_fault(error))
            raise
        finally:
            _stop_all(settings, status, children, servers, say)


def start_detached(settings: Settings, *, say: Callable[[str, str], None]) -> PlatformStatus:
    """Start the platform in the background and wait until it is ready (后台启动). A running one is left as it is.

    Raises: Conflict with the reason when it does not get ready.
    """
    with suppress(Conflict):
        return running_status(settings.state_dir)
    settings.state_dir.mkdir(mode=0o755, parents=True, exist_ok=True)
    log = settings.state_dir / "logs" / "supervisor.log"
    told_on = {"STATE_DIR": str(settings.state_dir), "API_HOST": settings.api_host, "API_PORT": str(settings.api_port)}
    env = os.environ | {f"{PREFIX}{name}": value for name, value in told_on.items()} | {"PYTHONSAFEPATH": "1"}
    supervisor = server_process.spawn([sys.executable, "-m", "fenzhi", "up"], log=log, env=env)
    told = ""
    deadline = time.monotonic() + READY_SECONDS + 240
    while time.monotonic() < deadline:
        status = read_status(settings.state_dir)
        is_its = status is not None and status.pids.get("supervisor") == supervisor.pid
        if status is not None and is_its and status.state == "ready":
            return status
        if status is not None and is_its and status.stage != told:
            told = status.stage
            say(*_STAGES.get(told, ("启动中…", "Starting…")))
        code = supervisor.poll()
        if code is not None:
            raise _why(read_status(settings.state_dir), code, log)
        time.sleep(0.1)
    server_process.stop(supervisor.pid, (signal.SIGTERM, STOP_SECONDS + 60))
    raise Conflict(
        "平台未能按时就绪。", "The platform did not get ready in time.", code="NOT_READY", hint=f"See {log}."
    )


def stop_platform(state_dir: Path) -> bool:
    """Stop the platform of a state folder and wait until it is gone (停止平台); whether anything was running."""
    status = read_status(state_dir)
    if status is None:
        return False
    if status.alive("supervisor"):
        server_process.stop(status.pids["supervisor"], (signal.SIGTERM, STOP_SECONDS + 90))
        return True
    return _end_orphans(state_dir)


def child_environment(settings: Settings, *, port: int, app_dsn: str, redis_url: str) -> dict[str, str]:
    """What the API and the worker get to know (子进程环境): no setting of ours is inherited unsaid.

    They get the application role's DSN and never the owner's: who breaks into the API must not own the schema.
    """
    env = {name: value for name, value in os.environ.items() if not name.startswith(PREFIX)}
    keys = prepare_keys(settings)
    ours = {
        "APP_DATABASE_URL": app_dsn,
        "REDIS_URL": redis_url,
        "STATE_DIR": str(settings.state_dir),
        "API_HOST": settings.api_host,
        "API_PORT": str(port),
        "JWT_ISSUER": settings.jwt_issuer,
        "JWT_AUDIENCE": settings.jwt_audience,
        "DEV_ISSUER": "1" if settings.development else "0",
        "LOG_LEVEL": settings.log_level,
        "API_CONNECTIONS_MOST": str(settings.api_connections_most),
        "METRICS_HOST": settings.metrics_host,
        "OTLP_ENDPOINT": settings.otlp_endpoint,
        "TRACE_ONE_IN": str(settings.trace_one_in),
        "AUDIT_ANCHOR_FILE": str(settings.audit_anchor_file or settings.state_dir / "audit-anchors.ndjson"),
        "WORKER_CONCURRENCY": str(settings.worker_concurrency),
        "JUDGING_PROCESSES": str(settings.judging_processes),
        "JUDGING_NICE": str(settings.judging_nice),
        # One API process: there is no other to send requests to while this one drains.
        "API_DRAIN_S": "0",
        **keys,
    }
    return env | {f"{PREFIX}{name}": value for name, value in ours.items()} | {"PYTHONSAFEPATH": "1"}


def prepare_keys(settings: Settings) -> dict[str, str]:
    """The master key and the token keys as settings of a child (密钥准备); made in the state folder where not given."""
    folder = settings.state_dir / "keys"
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    found = {}
    given_file = os.environ.get(f"{PREFIX}MASTER_KEY_FILE", "")
    if given_file:
        found["MASTER_KEY_FILE"] = str(Path(given_file).absolute())
    elif settings.master_key is not None:
        found["MASTER_KEY"] = settings.master_key.get_secret_value()
    else:
        file = folder / "master.key"
        if not file.exists():
            write_private(file, base64.b64encode(secrets.token_bytes(32)).decode("ascii") + "\n")
        found["MASTER_KEY_FILE"] = str(file)
    if settings.jwt_public_keys is not None:
        found["JWT_PUBLIC_KEYS"] = str(settings.jwt_public_keys.absolute())
    elif settings.development:
        key_set = folder / "development-issuer.jwks.json"
        write_private(key_set, development_key(folder / "development-issuer.pem").key_set)
        found["JWT_PUBLIC_KEYS"] = str(key_set)
    else:
        raise Conflict(
            "未配置令牌签发方，且当前地址不允许使用开发签发方。",
            "No issuer of tokens is named, and the development issuer may not stand in here.",
            code="NO_TOKEN_ISSUER",
            hint="Set FENZHI_JWT_ISSUER and FENZHI_JWT_PUBLIC_KEYS, or listen on 127.0.0.1 with FENZHI_DEV_ISSUER=1.",
        )
    return found


_STAGES = {
    "migrations": ("数据库就绪，执行迁移…", "Servers are up; running the migrations…"),
    "api": ("启动接口与作业进程…", "Starting the API and the worker…"),
}


def _children(settings: Settings, port: int, env: dict[str, str], metrics_ports: dict[str, int]) -> list[Child]:
    logs = settings.state_dir / "logs"
    commands = {"api": api_command(settings.api_host, port), "worker": WORKER_COMMAND}
    return [
        Child(name, command, env | {f"{PREFIX}METRICS_PORT": str(metrics_ports[name])}, logs / f"{name}.log")
        for name, command in commands.items()
    ]


def _metrics_ports(settings: Settings) -> dict[str, int]:
    """The internal ports of the API and the worker (指标端口): the one asked for and the next, else free ones. Raises: Conflict."""
    asked = settings.metrics_port
    if not asked:
        api = free_port(0)
        return {"api": api, "worker": next(port for port in iter(lambda: free_port(0), None) if port != api)}
    for port in (asked, asked + 1):
        if free_port(port) != port:
            raise Conflict(
                f"端口 {port} 已被占用。",
                f"Port {port} is taken.",
                code="PORT_TAKEN",
                hint="Set FENZHI_METRICS_PORT to another port, or leave it out for free ones.",
            )
    return {"api": asked, "worker": asked + 1}


WORKER_COMMAND = [sys.executable, "-m", "fenzhi_workers"]
"""How one worker is started (作业进程命令)."""


def api_command(host: str, port: int) -> list[str]:
    """How one API process is started (接口进程命令)."""
    return [sys.executable, "-m", "fenzhi_graphql", "--host", host, "--port", str(port)]


def _api_port(settings: Settings) -> int:
    """The API's port (接口端口): the one asked for, else the one of last time, so that a script goes on working."""
    kept = settings.state_dir / "api-port"
    last = kept.read_text(encoding="ascii") if kept.exists() else ""
    port = free_port(settings.api_port or int(last or 0))
    if settings.api_port and port != settings.api_port:
        raise Conflict(
            f"端口 {settings.api_port} 已被占用。",
            f"Port {settings.api_port} is taken.",
            code="PORT_TAKEN",
            hint="Set FENZHI_API_PORT to another port, or to 0 for a free one.",
        )
    kept.write_text(str(port), encoding="ascii")
    return port


def _wait_for_api(api_url: str, children: list[Child], stop: threading.Event) -> None:
    """Wait until the API says it is ready (等待接口就绪). Raises: Conflict when it or the worker ends first."""
    api, worker = children
    process = api.process or api.start()
    with httpx.Client(trust_env=False, timeout=5) as client:

        def ready() -> bool:
            try:
                return stop.is_set() or client.get(f"{api_url}/readyz").status_code == 200
            except httpx.TransportError:
                return False

        server_process.wait_until(ready, process, name="API", log=api.log, seconds=READY_SECONDS)
    code = worker.process.poll() if worker.process is not None else None
    if code:
        raise Conflict(
            f"作业进程启动失败（退出码 {code}）：{server_process.last_lines(worker.log)}",
            f"The worker ended with code {code} while starting: {server_process.last_lines(worker.log)}",
            code="SERVER_DID_NOT_START",
            hint=f"See {worker.log}.",
        )


def _pids(servers: Servers, children: list[Child]) -> dict[str, int]:
    ours = {child.name: child.process.pid for child in children if child.process is not None}
    return {"supervisor": os.getpid(), **servers.addresses.pids, **ours}


def _stop_all(
    settings: Settings,
    status: PlatformStatus,
    children: list[Child],
    servers: Servers,
    say: Callable[[str, str], None],
) -> None:
    if not status.state:
        return
    running = [child.process for child in children if child.process is not None and child.process.poll() is None]
    if running:
        say("正在停止…", "Stopping…")
    if status.state == "ready":
        write_status(settings.state_dir, replace(status, state="stopping"))
    for process in running:
        process.send_signal(signal.SIGTERM)
    deadline = time.monotonic() + STOP_SECONDS
    for process in running:
        try:
            process.wait(max(0.1, deadline - time.monotonic()))
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
    servers.stop()
    # The supervisor's number stays: whoever started it in the background looks for its own word here.
    final = status.with_pids({"supervisor": os.getpid()})
    write_status(settings.state_dir, final if status.state == "failed" else replace(final, state="stopped", stage=""))


def _end_orphans(state_dir: Path) -> bool:
    """End an API and a worker whose supervisor was killed (清理残留进程); embedded servers are seen to by themselves.

    Returns whether anything was running.
    """
    status = read_status(state_dir)
    if status is None or status.alive("supervisor"):
        return False
    orphans = [name for name in ("api", "worker", "valkey", "postgres") if status.alive(name)]
    for name in orphans:
        first = signal.SIGINT if name == "postgres" else signal.SIGTERM
        server_process.stop(status.pids[name], (first, STOP_SECONDS), (signal.SIGKILL, 5))
    return bool(orphans)


def _migrate(owner_dsn: str) -> None:
    from fenzhi_migrations.upgrade import upgrade_to_head

    upgrade_to_head(owner_dsn)


async def _ensure_operator(app_dsn: str) -> None:
    """The first account there is (首个账号): in development nobody else could make one."""
    from fenzhi.services.registry.accounts import ensure_operator
    from fenzhi.store.session import Database

    database = Database(app_dsn, pool_size=1, application="fenzhi-cli")
    try:
        await ensure_operator(database)
    finally:
        await database.close()


def _secret(settings: Settings, name: str) -> str:
    value = getattr(settings, name)
    return value.get_secret_value() if value is not None else ""


def _fault(error: Exception) -> dict[str, str]:
    if isinstance(error, FenzhiError):
        return {"code": error.code, "zh": error.zh, "en": error.en, "hint": error.hint}
    name = type(error).__name__
    return {
        "code": "CRASHED",
        "zh": f"启动时出错：{name}。",
        "en": f"Failed while starting: {name}.",
        "hint": str(error),
    }


def _url_host(host: str) -> str:
    """The host to reach the API by from here (访问地址)."""
    if host in ("0.0.0.0", "::", ""):
        return "127.0.0.1"
    return f"[{host}]" if ":" in host else host


def _why(status: PlatformStatus | None, code: int, log: Path) -> Conflict:
    if status is not None and status.state == "failed" and status.error:
        fault = status.error
        return Conflict(fault["zh"], fault["en"], code=fault["code"], hint=fault["hint"])
    return Conflict(
        f"平台启动失败（退出码 {code}）：{server_process.last_lines(log)}",
        f"The platform ended with code {code} while starting: {server_process.last_lines(log)}",
        code="NOT_READY",
        hint=f"See {log}.",
    )


@contextmanager
def _stopping_by_signal(stop: threading.Event) -> Iterator[None]:
    def on_signal(_number: int, _frame: FrameType | None) -> None:
        stop.set()

    before = {number: signal.signal(number, on_signal) for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)

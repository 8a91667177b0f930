"""The embedded Valkey (内置缓存): the doorbell of the jobs and nothing more, so it keeps nothing on disk."""

from __future__ import annotations

import signal
import subprocess
from dataclasses import dataclass, field
from pathlib import Path

import redis

from fenzhi.cli import server_process
from fenzhi.cli.server_home import ServerHome, valkey_binary


@dataclass(slots=True)
class ValkeyServer:
    """One embedded server (内置缓存进程). It may be killed or flushed at any time: PostgreSQL is the only truth."""

    home: ServerHome
    log: Path
    password: str
    port: int
    binary: Path | None = None
    """Another Redis or Valkey to run instead of the packaged one (服务程序)."""
    process: subprocess.Popen[bytes] | None = field(default=None, init=False)

    @property
    def url(self) -> str:
        """Its address with the password (连接地址)."""
        return f"redis://:{self.password}@127.0.0.1:{self.port}/0"

    def start(self) -> None:
        """Start the server and wait until it answers (启动并等待就绪)."""
        folder = self.home.private_folder("valkey")
        settings = {
            "bind": "127.0.0.1",
            "port": str(self.port),
            "requirepass": self.password,
            "dir": f'"{folder}"',
            "save": '""',
            "appendonly": "no",
            "maxmemory": "256mb",
            "maxmemory-policy": "noeviction",
            "daemonize": "no",
            "loglevel": "warning",
        }
        # The password stands in a file and not on the command line, which every process of the machine may read.
        text = "".join(f"{name} {value}\n" for name, value in settings.items())
        configuration = self.home.private_file("valkey.conf", text)
        self._end_leftovers(folder)
        binary = self.binary or valkey_binary(self.home)
        self.process = server_process.spawn([binary, configuration], log=self.log, home=self.home)
        server_process.wait_until(lambda: answers(self.url), self.process, name="Valkey", log=self.log, seconds=30)

    def stop(self) -> None:
        """Stop the server (停止)."""
        if self.process is not None:
            server_process.stop(self.process.pid, (signal.SIGTERM, 10), (signal.SIGKILL, 10))
            self.process.wait()
            self.process = None

    def running(self) -> bool:
        """Whether our server process lives (是否在运行)."""
        return self.process is not None and self.process.poll() is None

    def _end_leftovers(self, folder: Path) -> None:
        for process in server_process.processes_in(folder, (self.binary or Path("valkey-server")).name):
            server_process.stop(process.pid, (signal.SIGTERM, 5), (signal.SIGKILL, 5))


def answers(url: str) -> bool:
    """Whether a Redis answers at `url` (缓存是否应答)."""
    client = redis.Redis.from_url(url, socket_connect_timeout=2, socket_timeout=2)
    try:
        return bool(client.ping())
    except redis.RedisError:
        return False
    finally:
        client.close()

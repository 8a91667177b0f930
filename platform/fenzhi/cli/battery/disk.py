"""Section disk (磁盘写满测试): the database's disk runs full under uploads, judging and clearing; nothing half kept, nothing stuck, and all goes on.

The database lies on a small file system in memory, which takes root to mount.
"""

from __future__ import annotations

import asyncio
import os
import random
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from fenzhi.cli.battery.history import History
from fenzhi.cli.battery.kills import spread, superuser_dsn
from fenzhi.cli.battery.real_processes import plant, supervised
from fenzhi.cli.battery.small_world import Sent, small_world
from fenzhi.cli.battery.store_checks import begin, check_run, check_store
from fenzhi.cli.battery.tally import Skipped, Tally
from fenzhi.cli.servers import ServerAddresses, Servers

ROUNDS = 12
MEBIBYTES = 640
FULL_FOR_S = 6.0
GOES_ON_WITHIN_S = 60.0
LEFT_OVER = (0, 0, 64 << 10, 1 << 20, 6 << 20)
"""Bytes that are left when the disk is filled: some moments come later than others."""
SETTINGS = {
    "max_wal_size": "64MB",
    "min_wal_size": "32MB",
    "shared_buffers": "64MB",
    "temp_file_limit": "200MB",
    "checkpoint_timeout": "30s",
}


async def run_on(servers: Servers, addresses: ServerAddresses, seed: int, rounds: int) -> Tally:
    """`rounds` times a full disk (磁盘写满测试组)."""
    if "postgres" not in servers.addresses.pids:
        raise Skipped("外部数据库的磁盘不在本机控制之下。", "The disk of a database that is given is not ours to fill.")
    tally = Tally()
    with small_disk(servers.state_dir.parent / "disk") as folder:
        await try_full(tally, servers, folder, addresses.redis_url, seed, rounds or ROUNDS)
    return tally


@contextmanager
def small_disk(folder: Path) -> Iterator[Path]:
    """A file system of its own, in memory (小型文件系统). Raises: Skipped where none may be mounted."""
    mount, umount = shutil.which("mount"), shutil.which("umount")
    if sys.platform != "linux" or os.geteuid() != 0 or mount is None or umount is None:
        raise Skipped(
            "挂载小型文件系统需要 Linux 与 root。", "A small file system can be mounted by root on Linux only."
        )
    folder.mkdir(mode=0o755)
    done = subprocess.run(
        [mount, "-t", "tmpfs", "-o", f"size={MEBIBYTES}m,mode=755", "tmpfs", str(folder)],
        capture_output=True,
        check=False,
    )
    if done.returncode != 0:
        raise Skipped("此处不允许挂载。", f"Mounting is not allowed here: {done.stderr.decode()[:100]}")
    try:
        yield folder
    finally:
        for _ in range(50):
            if subprocess.run([umount, str(folder)], capture_output=True, check=False).returncode == 0:
                break
            time.sleep(0.2)


async def try_full(tally: Tally, servers: Servers, disk: Path, redis_url: str, seed: int, rounds: int) -> None:
    """Fill the disk in the midst of the work, free it, and see everything settle (写满与恢复)."""
    from fenzhi_migrations.upgrade import upgrade_to_head

    chance = random.Random(seed)
    own = servers.like(disk / "state", postgres_settings=SETTINGS, redis_url=redis_url)
    own.start()
    goes_on: list[float] = []
    refused = 0
    try:
        addresses = own.addresses
        await asyncio.to_thread(upgrade_to_head, addresses.owner_dsn)
        folder = disk.parent / "disk-plant"
        folder.mkdir(mode=0o755)
        with plant(addresses, folder, lease_s=5) as made, supervised(made, own):
            world = await small_world(made.cast())
            findings = await begin(superuser_dsn(addresses), made.lease_s)
            history, batches = History(), list[Sent]()
            for number in range(1, rounds + 1):
                left = chance.choice(LEFT_OVER) if number > 2 else 0
                context = f"round {number}, {left >> 10} KiB left"
                odd = len(history.odd)
                senders = chance.sample(world.hospitals(), 2)
                # Filled before the work, or in the midst of it; the first time to the last byte before it begins.
                fills_first = number % 2 == 1
                if fills_first:
                    _fill(disk, left)
                working = [
                    asyncio.create_task(world.submit(history, hospital, f"{context} of {hospital}", into=batches))
                    for hospital in senders
                ]
                computing = asyncio.create_task(world.compute_month(history))
                await asyncio.sleep(chance.random() * 0.5)
                if not fills_first:
                    _fill(disk, left)
                await asyncio.sleep(FULL_FOR_S)
                waiting = sum(not task.done() for task in (*working, computing))
                refused += waiting
                _free(disk)
                freed = time.monotonic()
                try:
                    async with asyncio.timeout(GOES_ON_WITHIN_S + 60):
                        sent = await asyncio.gather(*working)
                        run = await computing
                except TimeoutError:
                    tally.saw("goes on when there is space", False, context)
                    break
                goes_on.append(round(time.monotonic() - freed, 2))
                states = [batch.state for batch in sent]
                tally.saw("goes on when there is space", goes_on[-1] <= GOES_ON_WITHIN_S, f"{context}: {goes_on[-1]} s")
                tally.saw("settled", set(states) == {"DONE"}, f"{context}: {states}")
                tally.saw("refusals are typed", len(history.odd) == odd, f"{context}: {history.odd[odd:][:2]}")
                await check_store(tally, findings, history, batches, context)
                await check_run(tally, findings, run, world.undisturbed, context)
                if run["state"] == "COMPUTED":
                    await world.void(history, run["id"])
            codes = history.codes
            tally.figures |= {
                "rounds": len(goes_on),
                "goes_on_after_s": spread(goes_on),
                "waited_for_space": refused,
                "codes_seen": dict(sorted(codes.items())),
                "sent_again": sum(request.sent - 1 for request in history.asked),
                "servers_started_again": made.started_again.count("postgres"),
            }
            tally.saw(
                "the full disk was told", codes.get("STORAGE_FULL", 0) + codes.get("UNAVAILABLE", 0) > 0, str(codes)
            )
            await made.close_clients()
    finally:
        _free(disk)
        own.remove()


def _fill(disk: Path, left: int) -> None:
    """Write until so many bytes are left."""
    with (disk / "ballast").open("wb", buffering=0) as file:
        with suppress(OSError):
            while (free := shutil.disk_usage(disk).free) > left:
                file.write(bytes(min(1 << 20, max(4096, free - left))))


def _free(disk: Path) -> None:
    (disk / "ballast").unlink(missing_ok=True)

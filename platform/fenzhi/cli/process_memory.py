"""What memory the platform's processes take while something is measured (进程内存)."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path

from fenzhi.cli.status import PlatformStatus

MEBIBYTE_KIB = 1024
_SAMPLE_S = 0.25


@dataclass(slots=True)
class MemoryPeaks:
    """The largest memory seen (内存峰值). Unit: KiB."""

    together: int = 0
    """All processes at one moment, shared pages counted once."""
    of: dict[str, int] = field(default_factory=dict)
    """Resident memory of each process by name, shared pages counted in each; of processes of one name the largest."""

    def report(self) -> dict[str, object]:
        """Both in MiB, as a bench prints them: `peak_rss_mb` together, `process_rss_mb` of each process."""
        each = {name: -(-kib // MEBIBYTE_KIB) for name, kib in sorted(self.of.items())}
        return {"peak_rss_mb": self.together // MEBIBYTE_KIB, "process_rss_mb": each}


@contextmanager
def peak_memory(status: PlatformStatus) -> Iterator[MemoryPeaks]:
    """Watch the memory of this process, of the platform's and of all their children while the block runs (内存峰值)."""
    peaks, stop = MemoryPeaks(), threading.Event()
    names = {pid: name for name, pid in status.pids.items()}
    begun: set[int] = set()

    def look() -> None:
        together = 0
        for pid, parent in _family(set(status.pids.values())).items():
            if pid not in begun:
                # The kernel's own high water mark begins anew with the block; where it may not be told so, it began with the process.
                with suppress(OSError):
                    Path(f"/proc/{pid}/clear_refs").write_text("5")
                begun.add(pid)
            together += _kib(pid, "smaps_rollup", "Pss")
            name = names.get(pid) or (f"{names[parent]} child" if parent in names else "this command")
            peaks.of[name] = max(peaks.of.get(name, 0), _kib(pid, "status", "VmHWM"))
        peaks.together = max(peaks.together, together)

    def watch() -> None:
        while not stop.is_set():
            look()
            stop.wait(_SAMPLE_S)

    watcher = threading.Thread(target=watch, daemon=True)
    watcher.start()
    try:
        yield peaks
    finally:
        stop.set()
        watcher.join()
        look()


def _family(roots: set[int]) -> dict[int, int]:
    """This process, the roots, and all their descendants, each with its parent."""
    parents: dict[int, int] = {}
    for entry in Path("/proc").iterdir():
        if entry.name.isdecimal():
            with suppress(OSError, IndexError, ValueError):
                parents[int(entry.name)] = int((entry / "stat").read_text().rsplit(")", 1)[1].split()[1])
    me = int(Path("/proc/self").resolve().name)
    found = {me, *roots}
    while more := {pid for pid, parent in parents.items() if parent in found} - found:
        found |= more
    return {pid: parents[pid] for pid in found if pid in parents}


def _kib(pid: int, file: str, field_name: str) -> int:
    with suppress(OSError, ValueError, IndexError):
        for line in Path(f"/proc/{pid}/{file}").read_text().splitlines():
            if line.startswith(f"{field_name}:"):
                return int(line.split()[1])
    return 0

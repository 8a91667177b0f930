"""The bench of files (文件上报压测): one large file alone, many at once, and what a small hospital notices of a large one.

The whole platform runs on its own servers, as in service. A file's time is from its first byte sent to the last of its verdicts
received. The small hospital sends batch after batch, first alone, then while a hospital of another city sends a hundred times as
much, then alone again: the machine's own unsteadiness stands beside the figure.
"""

from __future__ import annotations

import asyncio
import datetime as dt
import itertools
import multiprocessing
import os
import shutil
import tempfile
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx

from fenzhi.access.roles import Role
from fenzhi.cli.bench_submission import cpu_seconds, set_up
from fenzhi.cli.flow import submission
from fenzhi.cli.flow.client import JOB, Actor, Cast, StepRefused
from fenzhi.cli.process_memory import peak_memory
from fenzhi.cli.status import PlatformStatus
from fenzhi.cli.synthetic.full_lists import full_lines
from fenzhi.cli.synthetic.lists import settlement_lists
from fenzhi.cli.synthetic.plan import ProvincePlan
from fenzhi.cli.synthetic.province import synthetic_province
from fenzhi.cli.tokens import token_maker
from fenzhi.cli.up import start_detached, stop_platform
from fenzhi.rules.refusals import InvariantBroken
from fenzhi.settings import Settings
from fenzhi.store.session import Database

BASE_LINES = 2_000
"""Lists made; the rest are these under other settlement ids."""
SMALL_LISTS = 20
TIMES = 100
"""How many times as much the large hospital sends: files of so many times the lists, or so many batches of the same size."""
SMALL_BATCHES = 40
PAUSE_S = 0.1
"""What the small hospital rests between batches, and how long whoever waits for a job sleeps between two looks."""
LOOK_S = 0.05
SHAPES = {"large_files": (SMALL_LISTS * TIMES, 4), "many_batches": (SMALL_LISTS, 16)}
"""Of the large hospital: lists of one file, and how many it sends at the same time."""
LARGE_NICE = 19
"""By how much the large hospital's sender yields: it stands for a machine that is not the platform's."""
WARM_UP = 5
SUBMITTER = Role.HOSPITAL_SUBMITTER


def bench_files(cases: int, seed: int, files: int = 1) -> dict[str, object]:
    """Send `cases` full lists as so many files at once, and with two or more measure fairness too (文件上报压测).

    Answers seconds from the first byte to the last verdict, each file's percentiles, process_rss_mb, and under `fairness` the small
    hospital's p50 and p95 in ms, alone and beside each shape of the large one, with their ratio.
    Raises: Conflict when the platform does not start; InvariantBroken when a list is lost.
    """
    folder = Path(tempfile.mkdtemp(prefix="fenzhi-bench-"))
    folder.chmod(0o755)
    settings = Settings(state_dir=folder / "state", api_port=0)
    try:
        status = start_detached(settings, say=lambda _zh, _en: None)
        return asyncio.run(_measure(settings, status, cases, seed, files))
    finally:
        stop_platform(settings.state_dir)
        shutil.rmtree(folder, ignore_errors=True)


async def _measure(settings: Settings, status: PlatformStatus, cases: int, seed: int, files: int) -> dict[str, object]:
    plan = synthetic_province(seed)
    lines = await asyncio.to_thread(_base_lines, plan)
    database = Database(status.app_dsn, pool_size=2, application="fenzhi-bench")
    limits = httpx.Limits(max_connections=128, max_keepalive_connections=128)
    try:
        async with httpx.AsyncClient(base_url=status.api_url, timeout=300, limits=limits, trust_env=False) as http:
            cast = Cast(http, token_maker(settings, database))
            await set_up(cast, plan)
            with peak_memory(status) as peaks:
                sent = await _at_once(cast, status, plan, lines, cases, files)
            report: dict[str, object] = {
                "mode": "file" if files == 1 else "files",
                "cases": cases,
                "seed": seed,
                **sent,
                **peaks.report(),
            }
            if files > 1:
                report["fairness"] = await _fairness(cast, settings, status, plan, lines)
    finally:
        await database.close()
    report["includes"] = {
        "timed": "first byte → HTTP, token, encrypted parts, seal, QC, cases and verdicts committed → last verdict received",
        "not_timed": "servers, tenants, policies, codes, catalog, making the lists",
        "bytes_per_list": sum(len(line) for line in lines) // len(lines),
        "large_sender": f"a process of its own at nice {LARGE_NICE}: another company's machine, not the platform's",
        "memory": "high water mark of each process while the files were sent, shared pages counted in each",
        "data": "synthetic",
    }
    return report


def _base_lines(plan: ProvincePlan) -> list[bytes]:
    """Full lists of one hospital, the faulty ones among them (底稿)."""
    year, home = plan.settlement_year, plan.hospitals[0]
    made = []
    for code, line in full_lines(settlement_lists(plan, BASE_LINES, dt.date(year, 1, 1), dt.date(year, 12, 31))):
        # Of a file about another city's insured every list would be one of elsewhere.
        if {one.code: one.city_code for one in plan.hospitals}[code] == home.city_code:
            made.append(line.replace(code.encode(), home.code.encode()))
    return made


@dataclass(slots=True)
class Supply:
    """Lists without end, each under a settlement id of its own (清单来源)."""

    lines: Sequence[bytes]
    home: str
    _number: Iterator[int] = field(default_factory=itertools.count)

    def take(self, hospital: str, wanted: int) -> list[bytes]:
        """So many lists for a hospital."""
        taken = []
        for _ in range(wanted):
            number = next(self._number)
            line = self.lines[number % len(self.lines)]
            tag = b'"setl_id":"F%dN' % (number // len(self.lines))
            taken.append(line.replace(b'"setl_id":"SYN', tag).replace(self.home.encode(), hospital.encode()))
        return taken


async def _judged(actor: Actor, batch: dict[str, str]) -> dict[str, Any]:
    """Wait for a batch's verdicts, looking at equal intervals, and fetch them; its counts."""
    while (job := (await actor.ask(JOB, {"id": batch["job"]}))["job"])["state"] != "DONE":
        if job["state"] in ("REFUSED", "DEAD"):
            raise StepRefused(f"{job['errorCode']} {job['error']}", f"{job['errorCode']}: {job['errorEn']}")
        await asyncio.sleep(LOOK_S)
    answer = await actor.send("GET", f"/v1/batches/{batch['id']}/verdicts.ndjson")
    if answer.status_code != 200:
        raise StepRefused(f"读取结论：{answer.status_code}", f"verdicts: {answer.status_code}")
    found: dict[str, Any] = (await actor.ask(submission.BATCH, {"id": batch["id"]}))["batch"]["counts"]
    return found


async def _send(actor: Actor, lines: Sequence[bytes]) -> tuple[float, dict[str, Any]]:
    """Seconds from the first byte to the last verdict, and the counts (单文件耗时)."""
    began = time.perf_counter()
    batch = await submission.send_batch(actor, "LISTS", "文件压测", lines)
    counts = await _judged(actor, batch)
    if counts["rows"] != len(lines):
        raise InvariantBroken("every list sent is judged", detail=f"sent {len(lines)}, judged {counts['rows']}")
    return time.perf_counter() - began, counts


async def _at_once(
    cast: Cast, status: PlatformStatus, plan: ProvincePlan, lines: Sequence[bytes], cases: int, files: int
) -> dict[str, object]:
    """All files at the same moment, over all hospitals in turn (同时上报)."""
    supply = Supply(lines, plan.hospitals[0].code)
    hospitals = [one.code for one in plan.hospitals if one.city_code == plan.hospitals[0].city_code or files > 1]
    sizes = [cases // files + (number < cases % files) for number in range(files)]
    orders = [
        (code, supply.take(code, size)) for code, size in zip(itertools.cycle(hospitals), sizes, strict=False) if size
    ]
    before = cpu_seconds(status)
    began = time.perf_counter()
    done = await asyncio.gather(*(_send(submission.hospital(cast, code), taken) for code, taken in orders))
    seconds = time.perf_counter() - began
    counts: Counter[str] = Counter()
    for _, one in done:
        counts.update({name: one[name] for name in ("rows", "accepted", "refused", "superseding")})
    spent = {name: value - before.get(name, 0.0) for name, value in cpu_seconds(status).items()}
    taken_s = sorted(seconds for seconds, _ in done)
    return {
        "files": len(orders),
        "seconds": round(seconds, 3),
        "per_s": int(cases / seconds),
        "file_s": {"first": round(taken_s[0], 3), "p50": _rank(taken_s, 50), "p95": _rank(taken_s, 95)},
        "cpu_us_per_list": {name: int(1e6 * value / max(1, cases)) for name, value in sorted(spent.items())},
        "counts": dict(counts),
    }


async def _fairness(
    cast: Cast, settings: Settings, status: PlatformStatus, plan: ProvincePlan, lines: Sequence[bytes]
) -> dict[str, object]:
    """The small hospital's latency alone, beside each shape of the large one, and alone again (公平性)."""
    home = plan.hospitals[0]
    supply = Supply([line.replace(b'"setl_id":"SYN', b'"setl_id":"SYNX') for line in lines], home.code)
    elsewhere = next(one.code for one in plan.hospitals if one.city_code != home.city_code)
    small, large = submission.hospital(cast, home.code), submission.hospital(cast, elsewhere)
    await _small(small, supply, WARM_UP)
    alone = await _small(small, supply, SMALL_BATCHES)
    report: dict[str, object] = {"small_lists": SMALL_LISTS, "small_batches": SMALL_BATCHES, "times": TIMES}
    for shape, (lists, at_once) in SHAPES.items():
        with _large_hospital(settings, status, elsewhere, plan.seed, (lists, at_once)) as judged:
            while not judged.value:
                await asyncio.sleep(LOOK_S)
            before = judged.value
            beside = await _small(small, supply, SMALL_BATCHES)
            others = judged.value - before
        await _until_quiet(large)
        again = await _small(small, supply, SMALL_BATCHES)
        quiet = sorted([*alone, *again])
        report[shape] = {
            "alone_ms": _latency(alone),
            "beside_ms": _latency(beside),
            "alone_again_ms": _latency(again),
            "p95_ratio": round(_rank(sorted(beside), 95) / _rank(quiet, 95), 3),
            "p50_ratio": round(_rank(sorted(beside), 50) / _rank(quiet, 50), 3),
            "large_lists_judged_meanwhile": others,
            "at_once": at_once,
            "lists_each": lists,
        }
        alone = again
    return report


async def _small(actor: Actor, supply: Supply, batches: int) -> list[float]:
    taken_s = []
    for _ in range(batches):
        lines = supply.take(actor.tenant, SMALL_LISTS)
        taken_s.append((await _send(actor, lines))[0])
        await asyncio.sleep(PAUSE_S)
    return taken_s


@contextmanager
def _large_hospital(
    settings: Settings, status: PlatformStatus, code: str, seed: int, shape: tuple[int, int]
) -> Iterator[Any]:
    """The large hospital sends from a process of its own while the block runs; the lists of its that were judged so far.

    Its machine is not ours: its process yields to everything else here, so that what is measured is the platform's own work for it.
    """
    context = multiprocessing.get_context("spawn")
    judged, stop = context.Value("q", 0), context.Event()
    arguments = (settings.state_dir, status.app_dsn, status.api_url, code, seed, shape, judged, stop)
    process = context.Process(target=_send_as_large, args=arguments, daemon=True)
    process.start()
    try:
        yield judged
    finally:
        stop.set()
        process.join(60)
        process.kill()


def _send_as_large(
    state_dir: Path, app_dsn: str, api_url: str, code: str, seed: int, shape: tuple[int, int], judged: Any, stop: Any
) -> None:
    os.nice(LARGE_NICE)
    asyncio.run(_as_large(Settings(state_dir=state_dir, api_port=0), app_dsn, api_url, code, seed, shape, judged, stop))


async def _as_large(
    settings: Settings, app_dsn: str, api_url: str, code: str, seed: int, shape: tuple[int, int], judged: Any, stop: Any
) -> None:
    plan = synthetic_province(seed)
    lists, at_once = shape
    supply = Supply(
        [line.replace(b'"setl_id":"SYN', b'"setl_id":"SYN%d' % at_once) for line in _base_lines(plan)],
        plan.hospitals[0].code,
    )
    database = Database(app_dsn, pool_size=1, application="fenzhi-bench")
    actor = Actor(
        httpx.AsyncClient(base_url=api_url, timeout=300, trust_env=False),
        code,
        SUBMITTER,
        token_maker(settings, database),
    )

    async def send() -> None:
        while not stop.is_set():
            _, counts = await _send(actor, supply.take(code, lists))
            judged.value += counts["rows"]

    try:
        await asyncio.gather(*(send() for _ in range(at_once)))
    finally:
        await actor.http.aclose()
        await database.close()


async def _until_quiet(actor: Actor) -> None:
    """Wait until nothing of the large hospital is under way: a batch sent after all of its others is judged."""
    with suppress(StepRefused):
        await _send(actor, [b"{}"])


def _latency(taken_s: Sequence[float]) -> dict[str, float]:
    ordered = sorted(taken_s)
    return {"p50": round(1000 * _rank(ordered, 50), 1), "p95": round(1000 * _rank(ordered, 95), 1)}


def _rank(ordered: Sequence[float], percent: int) -> float:
    """A percentile, nearest rank. Unit: seconds."""
    return round(ordered[max(1, -(-len(ordered) * percent // 100)) - 1], 4)

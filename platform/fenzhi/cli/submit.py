"""`fenzhi submit`: a file of settlement lists from one's own disk to its verdicts (上报文件), resumable at any moment.

What was done is written down before and after each step, and the platform is asked which parts it has: a run that was broken off goes
on where it stopped, and never sends a list twice. The file decides: the same content for the same hospital is the same submission.
"""

from __future__ import annotations

import asyncio
import base64
import gzip
import hashlib
import json
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Annotated, Any

import httpx
import typer
from rich.console import Console
from rich.markup import escape
from rich.progress import BarColumn, Progress, TextColumn, TimeRemainingColumn

from fenzhi.access.roles import Role
from fenzhi.cli.flow.client import Actor, StepRefused, fresh_key
from fenzhi.cli.servers import write_private
from fenzhi.cli.status import running_status
from fenzhi.cli.tokens import token_maker
from fenzhi.rules.quantities import yuan_from_fen
from fenzhi.rules.refusals import DataRefused, Refusal
from fenzhi.settings import Settings
from fenzhi.store.session import Database

OK, PARTLY, REFUSED, BROKEN_OFF = 0, 1, 2, 130
PART_BYTES = 4 << 20
TABLE_MOST = 16 << 20
"""Bytes of a workbook or CSV file, compressed on the way (表格文件字节上限)."""
_SQUEEZE_FROM = 64 << 10
_TYPES = {
    ".ndjson": "application/x-ndjson",
    ".jsonl": "application/x-ndjson",
    ".csv": "text/csv",
    ".xlsx": "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet",
}
_STATE = """
query($id: ID!) { batch(id: $id) { id state parts uploadPath annotatedPath verdictsPath job { id }
  counts { rows accepted refused superseding warnings refusedByCode { code rows } }
  verdictSummary { rule code severity times rows } } }
"""
_EXAMPLES = """
query($id: ID!, $severity: VerdictSeverity!, $after: String) { batch(id: $id) {
  verdicts(first: 100, after: $after, severity: $severity) { pageInfo { hasNextPage endCursor } nodes {
    row setlId code path saw message messageEn remedy remedyEn
    price { points totalCostFen basicFundFen reasonCode reason reasonEn } } } } }
"""
_PAGES_MOST = 10
"""Pages of findings looked through for an example of each code (查找样例的页数上限)."""


@dataclass
class Submission:
    """How far a submission has come (上报进度), as kept in the state folder."""

    tenant: str
    file: str
    sha256: str
    mode: str
    create_key: str = field(default_factory=fresh_key)
    seal_key: str = field(default_factory=fresh_key)
    batch: str = ""
    job: str = ""

    @property
    def name(self) -> str:
        """The name of its file of progress."""
        said = f"{self.tenant}\x1f{self.sha256}\x1f{self.mode}"
        return hashlib.sha256(said.encode()).hexdigest()[:32] + ".json"


@dataclass(frozen=True)
class Wanted:
    """What a person wants to see of a submission (所需结果)."""

    watch: bool = True
    annotated: Path | None = None
    verdicts: Path | None = None


@dataclass
class Outcome:
    """What became of a file (上报结果)."""

    batch: str
    state: str
    parts: int
    resumed_parts: int
    """Parts that were there already."""
    bytes_sent: int
    seconds: float
    counts: dict[str, Any] | None = None
    verdicts: list[dict[str, Any]] = field(default_factory=list)
    """By rule and code; `example` is the first finding of the code, with its remedy and price."""
    annotated: str = ""
    verdicts_file: str = ""
    verdicts_command: str = ""
    """Fetches every finding of the batch (取得全部结论)."""

    def exit_code(self) -> int:
        """0 all accepted, or only sealed; 1 some refused; 2 nothing accepted."""
        if self.counts is None or self.counts["refused"] == 0:
            return OK
        return PARTLY if self.counts["accepted"] else REFUSED


def _in_a_folder(target: Path | None) -> Path | None:
    """A file that can be written (可写的目标文件), told before anything is sent."""
    if target is not None and not target.absolute().parent.is_dir():
        raise typer.BadParameter(f"目录不存在 no such folder: {target.parent}")
    return target


def submit(
    file: Annotated[Path, typer.Argument(help="Lists as .ndjson, .csv or .xlsx.", exists=True, dir_okay=False)],
    tenant: Annotated[str, typer.Option("--tenant", help="Code of the hospital that submits.")],
    watch: Annotated[bool, typer.Option("--watch", help="Wait for the verdicts and show them by rule.")] = False,
    atomic: Annotated[bool, typer.Option("--atomic", help="All lists or none.")] = False,
    label: Annotated[str, typer.Option("--label", help="Your own words for the batch.")] = "",
    annotated: Annotated[
        Path | None,
        typer.Option("--annotated", help="Write your workbook with its findings here; watches.", callback=_in_a_folder),
    ] = None,
    verdicts: Annotated[
        Path | None,
        typer.Option("--verdicts", help="Write every finding here, one JSON a line; watches.", callback=_in_a_folder),
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON to standard output and nothing else.")] = False,
) -> int:
    """Submit a file of settlement lists (上报清单文件). Ctrl-C at any moment: the same command goes on.

    Exit codes: 0 all accepted (or sealed, without --watch), 1 some refused, 2 refused, 3 not reached, 130 broken off by Ctrl-C.
    """
    media_type = _TYPES.get(file.suffix.lower())
    if media_type is None:
        raise _refused("FILE_FORMAT", file.suffix, "文件格式不支持。", "The format is not taken.", "使用 .ndjson、.csv 或 .xlsx。", "Use .ndjson, .csv or .xlsx.")  # fmt: skip
    if file.stat().st_size == 0:
        raise _refused("FILE_EMPTY", "0", "文件是空的。", "The file is empty.", "选择含有清单的文件。", "Choose a file that holds lists.")  # fmt: skip
    if annotated is not None and media_type == _TYPES[".ndjson"]:
        raise _refused("FILE_FORMAT", file.suffix, "--annotated 只用于 .xlsx 与 .csv：NDJSON 没有可批注的原表。", "--annotated is for .xlsx and .csv: NDJSON is no table to mark.", "改用 --verdicts 取得逐条结论。", "Use --verdicts for every finding.")  # fmt: skip
    if media_type != _TYPES[".ndjson"] and file.stat().st_size > TABLE_MOST:
        raise _refused("FILE_TOO_LARGE", str(file.stat().st_size), "表格文件过大。", "The table is too large.", "拆分后上报，或使用 .ndjson。", "Split it, or use .ndjson.")  # fmt: skip
    settings = Settings()
    console = Console(stderr=True, highlight=False, soft_wrap=True)
    mode = "ATOMIC" if atomic else "PARTIAL"
    begun = Submission(tenant, str(file), _sha256(file), mode)
    wanted = Wanted(watch or annotated is not None or verdicts is not None, annotated, verdicts)
    try:
        outcome = asyncio.run(_submit(settings, file, media_type, begun, wanted, label, console, as_json))
    except KeyboardInterrupt:
        console.print(
            "已中断；再次执行同一命令，从中断处继续。 [dim]Broken off; the same command goes on from there.[/dim]"
        )
        return BROKEN_OFF
    if as_json:
        print(json.dumps(asdict(outcome), ensure_ascii=False, indent=2))
    else:
        _tell(console, outcome, wanted.watch)
    return outcome.exit_code()


def _refused(code: str, saw: str, zh: str, en: str, remedy_zh: str, remedy_en: str) -> DataRefused:
    return DataRefused((Refusal(code, "FILE", saw, zh, en, remedy_zh, remedy_en),))


def _sha256(file: Path) -> str:
    digest = hashlib.sha256()
    with file.open("rb") as stream:
        while piece := stream.read(1 << 20):
            digest.update(piece)
    return digest.hexdigest()


def parts_of(file: Path, media_type: str) -> Iterator[bytes]:
    """The parts a file is sent in (切分分片): the same file, the same parts. Lines are never cut; a table is one part."""
    if media_type != _TYPES[".ndjson"]:
        yield file.read_bytes()
        return
    held = bytearray()
    with file.open("rb") as stream:
        for line in stream:
            held += line
            if len(held) >= PART_BYTES:
                yield bytes(held)
                held.clear()
    if held:
        yield bytes(held)


@asynccontextmanager
async def _signed_in(settings: Settings, tenant: str) -> AsyncIterator[Actor]:
    """The hospital's submitter against the running platform (上报人). Raises: NotRunning."""
    status = running_status(settings.state_dir)
    database = Database(status.app_dsn, pool_size=1, application="fenzhi-submit")
    try:
        async with httpx.AsyncClient(base_url=status.api_url, timeout=120) as http:
            yield Actor(http, tenant, Role.HOSPITAL_SUBMITTER, token_maker(settings, database))
    finally:
        await database.close()


async def _submit(
    settings: Settings,
    file: Path,
    media_type: str,
    begun: Submission,
    wanted: Wanted,
    label: str,
    console: Console,
    as_json: bool,
) -> Outcome:
    began = time.monotonic()
    folder = settings.state_dir / "submissions"
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    note = folder / begun.name
    if note.exists():
        begun = Submission(**json.loads(note.read_text(encoding="utf-8")))
    write_private(note, json.dumps(asdict(begun)))
    columns = (TextColumn("{task.description}"), BarColumn(), TextColumn("{task.fields[said]}"), TimeRemainingColumn())
    quiet = as_json or not console.is_terminal
    async with _signed_in(settings, begun.tenant) as actor:
        with Progress(*columns, console=console, disable=quiet, transient=True) as progress:
            found = await _opened(actor, begun, note, label)
            outcome = Outcome(found["id"], found["state"], 0, 0, 0, 0)
            if found["state"] == "OPEN":
                size = file.stat().st_size
                task = progress.add_task("上传 upload", total=size, said="")
                for number, content in enumerate(parts_of(file, media_type), start=1):
                    outcome.parts = number
                    sent = await _send(actor, found["uploadPath"], number, content, media_type, begun, note)
                    outcome.resumed_parts += sent == 0
                    outcome.bytes_sent += sent
                    progress.advance(task, len(content))
                    progress.update(task, said=_of(progress.tasks[0].completed, size))
                order = {"idempotencyKey": begun.seal_key, "batch": begun.batch, "parts": outcome.parts}
                await actor.do("batchSeal", "BatchSealInput", order, "batch { id job { id } }")
            else:
                outcome.parts = outcome.resumed_parts = int(found["parts"])
            found = (await actor.ask(_STATE, {"id": begun.batch}))["batch"]
            begun.job = found["job"]["id"] if found["job"] else ""
            write_private(note, json.dumps(asdict(begun)))
            if wanted.watch and begun.job:
                task = progress.add_task("校验 judging", total=None, said="")

                def judged(done: int, total: int) -> None:
                    said = f"{done}/{total} 分片 parts" if total else ""
                    progress.update(task, completed=done, total=total or None, said=said)

                await actor.wait(begun.job, judged)
                found = (await actor.ask(_STATE, {"id": begun.batch}))["batch"]
                outcome.counts, outcome.verdicts = found["counts"], found["verdictSummary"]
                await _add_examples(actor, begun.batch, outcome.verdicts)
                token = f"fenzhi token --tenant {actor.tenant} --role {actor.role}"
                url = f"{actor.http.base_url}".rstrip("/") + found["verdictsPath"]
                outcome.verdicts_command = f'curl -H "Authorization: Bearer $({token})" {url}'
                if wanted.annotated is not None:
                    outcome.annotated = await _fetched(actor, found["annotatedPath"], wanted.annotated)
                if wanted.verdicts is not None:
                    outcome.verdicts_file = await _fetched(actor, found["verdictsPath"], wanted.verdicts)
                note.unlink(missing_ok=True)
    outcome.state = found["state"]
    outcome.seconds = round(time.monotonic() - began, 2)
    return outcome


async def _opened(actor: Actor, begun: Submission, note: Path, label: str) -> dict[str, Any]:
    """The batch of a submission: the one begun earlier, or a new one (取得批次)."""
    if begun.batch:
        found = (await actor.ask(_STATE, {"id": begun.batch}))["batch"]
        if found is not None and found["state"] != "ABANDONED":
            return dict(found)
        begun.create_key, begun.seal_key = fresh_key(), fresh_key()
        write_private(note, json.dumps(asdict(begun)))
    order = {"idempotencyKey": begun.create_key, "purpose": "LISTS", "mode": begun.mode, "label": label}
    made = await actor.do("batchCreate", "BatchCreateInput", order, "batch { id state uploadPath }")
    begun.batch = made["batch"]["id"]
    write_private(note, json.dumps(asdict(begun)))
    return dict(made["batch"])


async def _send(
    actor: Actor, upload_path: str, number: int, content: bytes, media_type: str, begun: Submission, note: Path
) -> int:
    """Send one part unless it is there (上传分片): the bytes sent, 0 where it was. Raises: StepRefused."""
    path = f"{upload_path.rstrip('/')}/{number}"
    digest = f"sha-256=:{base64.b64encode(hashlib.sha256(content).digest()).decode()}:"
    head = await actor.send("HEAD", path)
    if head.status_code == 200 and head.headers.get("repr-digest") == digest:
        return 0
    headers = {"content-type": media_type}
    body = content
    if len(content) > _SQUEEZE_FROM and media_type != _TYPES[".xlsx"]:
        body = await asyncio.to_thread(gzip.compress, content, 1)
        headers["content-encoding"] = "gzip"
    sha256 = base64.b64encode(hashlib.sha256(body).digest()).decode()
    headers["content-digest"] = f"sha-256=:{sha256}:"
    answer = await actor.send("PUT", path, content=body, headers=headers)
    if answer.status_code < 300:
        return len(body)
    # What is refused as a whole can never be sealed: the batch is given up, a mended file begins another.
    await actor.do("batchAbandon", "BatchAbandonInput", {"batch": begun.batch}, "batch { id }")
    note.unlink(missing_ok=True)
    raise _part_refused(answer)


def _part_refused(answer: httpx.Response) -> StepRefused | DataRefused:
    try:
        error = answer.json()["error"]
    except (ValueError, KeyError, TypeError):
        return StepRefused("分片被拒绝。", f"The part was refused: HTTP {answer.status_code}.")
    faults = tuple(
        Refusal(
            one["code"],
            one["path"],
            one["saw"],
            f"{one['path']}：{one['message']}",
            one["messageEn"],
            one["remedy"],
            one["remedyEn"],
        )
        for one in error.get("refusals") or ()
    )
    if faults:
        return DataRefused(faults)
    zh, en = str(error.get("message", "")), str(error.get("messageEn", ""))
    code, hint = str(error["code"]), error.get("hint") or ""
    return StepRefused(f"文件被拒绝：{zh}", f"The file was refused: {en}", code=code, hint=hint)


async def _add_examples(actor: Actor, batch: str, verdicts: list[dict[str, Any]]) -> None:
    """Give each line of the summary the first finding of its code, as far as some pages show it (样例)."""
    for severity in ("ERROR", "WARNING"):
        lacking = {line["code"]: line for line in verdicts if line["severity"] == severity}
        after, pages = None, 0
        while lacking and pages < _PAGES_MOST:
            asked = {"id": batch, "severity": severity, "after": after}
            page = (await actor.ask(_EXAMPLES, asked))["batch"]["verdicts"]
            for found in page["nodes"]:
                if line := lacking.pop(found["code"], None):
                    line["example"] = found
            after, pages = page["pageInfo"]["endCursor"], pages + 1
            if not page["pageInfo"]["hasNextPage"]:
                break


async def _fetched(actor: Actor, path: str, target: Path) -> str:
    answer = await actor.send("GET", path)
    if answer.status_code != 200:
        raise _part_refused(answer)
    target.write_bytes(answer.content)
    return str(target)


def _of(done: float, total: int) -> str:
    return f"{done / 1e6:,.1f}/{total / 1e6:,.1f} MB" if total > 1e6 else f"{done / 1e3:,.0f}/{total / 1e3:,.0f} kB"


def _tell(console: Console, outcome: Outcome, watch: bool) -> None:
    console.print(f"批次 batch {outcome.batch}：{outcome.state}")
    if outcome.resumed_parts:
        console.print(f"续传：{outcome.resumed_parts} 个分片已在平台 [dim]parts were there already[/dim]")
    counts = outcome.counts
    if counts is None:
        if not watch:
            console.print("已封存，待校验；同一命令加 --watch 查看结果 [dim]sealed; the same command with --watch shows its verdicts[/dim]")  # fmt: skip
        return
    took = f"{outcome.seconds} s"
    if outcome.seconds and not outcome.resumed_parts:
        took += f", {round(counts['rows'] / outcome.seconds)}/s"
    console.print(
        f"共 {counts['rows']} 份，受理 {counts['accepted']}，不受理 {counts['refused']}，更正 {counts['superseding']}，"
        f"提示 {counts['warnings']} [dim]rows, accepted, refused, superseding, warnings; {took}[/dim]"
    )
    for line in sorted(outcome.verdicts, key=lambda line: str(line["severity"])):
        _tell_finding(console, line)
    if outcome.annotated:
        console.print(f"批注原表已写入 {escape(outcome.annotated)} [dim]annotated[/dim]")
    if outcome.verdicts_file:
        console.print(f"全部结论已写入 {escape(outcome.verdicts_file)} [dim]every finding[/dim]")
    elif counts["refused"] and not outcome.annotated:
        console.print("逐条结论及价格 [dim]every finding with its price:[/dim]")
        console.print(f"  {outcome.verdicts_command}", markup=False)


def _tell_finding(console: Console, line: dict[str, Any]) -> None:
    """A rule that spoke (一条结论): how many rows, the first of them in words, what to do, and for an error its price."""
    mark = "[red]✗[/red]" if line["severity"] == "ERROR" else "[yellow]·[/yellow]"
    console.print(f"  {mark} {line['rule']} {escape(line['code'])}：{line['rows']} 行 [dim]rows[/dim]")
    found = line.get("example")
    if found is None:
        return
    place = f"第 {found['row']} 行 {found['setlId']}".rstrip()
    console.print(f"      {escape(place)}：{escape(found['message'])} [dim]{escape(found['messageEn'])}[/dim]")
    console.print(f"      → {escape(found['remedy'])} [dim]{escape(found['remedyEn'])}[/dim]")
    if line["severity"] == "ERROR":
        console.print(f"      {_price(found['price'])}")


def _price(price: dict[str, Any]) -> str:
    """What can be said of a price (价格), and why not the rest."""
    zh, en = [], []
    if price["points"] is not None:
        zh, en = [f"{price['points']} 分"], ["points"]
    for name, meant_zh, meant_en in (
        ("totalCostFen", "医疗总费用口径", "yuan of total cost"),
        ("basicFundFen", "统筹基金口径", "yuan of the basic fund"),
    ):
        if price[name] is not None:
            zh.append(f"{meant_zh} {yuan_from_fen(int(price[name]))} 元")
            en.append(meant_en)
    if price["reasonCode"]:
        zh.append(price["reason"])
        en.append(price["reasonEn"])
    return f"价格：{escape('，'.join(zh))} [dim]price: {escape(', '.join(en))}[/dim]"

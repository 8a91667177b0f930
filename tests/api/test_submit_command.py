"""`fenzhi submit` against the platform: it goes on where it was broken off, and its exit code says how it went."""

from __future__ import annotations

import asyncio
import io
import json
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import openpyxl
import pytest
import pytest_asyncio
from rich.console import Console

from builders.submission_place import Place, ndjson, open_place
from builders.world import World
from fenzhi.access.roles import Role
from fenzhi.cli import submit as command
from fenzhi.cli.flow.client import Actor, StepRefused
from fenzhi.cli.main import run
from fenzhi.rules.refusals import DataRefused
from fenzhi.services.submission.template_workbook import template_workbook
from fenzhi.settings import Settings

Submit = Callable[..., Any]


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def place(world: World) -> Place:
    return await open_place(world, "59")


@pytest.fixture
def submit(place: Place, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Submit:
    """Submit a file as the hospital, with jobs worked off meanwhile."""
    monkeypatch.setenv("FENZHI_STATE_DIR", str(tmp_path / "state"))
    monkeypatch.setattr(command, "PART_BYTES", 4_000)

    class Working(Actor):
        async def wait(self, job_id: str, on_progress: Any = None, *, limit_s: float = 900) -> dict[str, Any]:
            await place.world.work_off()
            return await super().wait(job_id, on_progress, limit_s=limit_s)

    @asynccontextmanager
    async def signed_in(_settings: Settings, tenant: str) -> AsyncIterator[Actor]:
        client = await place.client(tenant, Role.HOSPITAL_SUBMITTER)

        async def token(_tenant: str, _role: Role) -> str:
            return client.http.headers["authorization"].removeprefix("Bearer ")

        yield Working(client.http, tenant, Role.HOSPITAL_SUBMITTER, token)

    monkeypatch.setattr(command, "_signed_in", signed_in)

    async def submitted(file: Path, *, watch: bool = True, **wanted: Path) -> command.Outcome:
        kind = command._TYPES[file.suffix]
        begun = command.Submission(place.hospital, str(file), command._sha256(file), "PARTIAL")
        console = Console(file=io.StringIO())
        return await command._submit(Settings(), file, kind, begun, command.Wanted(watch, **wanted), "", console, True)

    return submitted


def written(file: Path, lists: list[Any]) -> Path:
    file.write_bytes(ndjson(lists))
    return file


def notes(tmp_path: Path) -> list[dict[str, Any]]:
    return [json.loads(path.read_text()) for path in (tmp_path / "state" / "submissions").iterdir()]


async def test_a_run_that_was_broken_off_goes_on_where_it_stopped(
    place: Place, submit: Submit, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = written(tmp_path / "lists.ndjson", [place.listed(f"A{n}") for n in range(12)])
    parts = len(list(command.parts_of(file, "application/x-ndjson")))
    assert parts >= 3
    whole = command._send

    async def broken(actor: Actor, path: str, number: int, *rest: Any) -> int:
        if number == 3:
            raise asyncio.CancelledError
        return await whole(actor, path, number, *rest)

    monkeypatch.setattr(command, "_send", broken)
    with pytest.raises(asyncio.CancelledError):
        await submit(file)
    (note,) = notes(tmp_path)
    monkeypatch.setattr(command, "_send", whole)
    outcome = await submit(file, watch=False)
    assert (outcome.batch, outcome.parts, outcome.resumed_parts) == (note["batch"], parts, 2)
    assert (outcome.state, outcome.counts, outcome.exit_code()) == ("SEALED", None, 0)
    outcome = await submit(file)
    assert (outcome.batch, outcome.state, outcome.bytes_sent) == (note["batch"], "JUDGED", 0)
    assert outcome.counts is not None
    assert (outcome.counts["rows"], outcome.counts["accepted"], outcome.exit_code()) == (12, 12, 0)
    assert notes(tmp_path) == []
    again = await submit(file)
    assert (again.batch != outcome.batch, again.exit_code()) == (True, 2)
    assert [(line["code"], line["rows"]) for line in again.verdicts if line["severity"] == "ERROR"] == [
        ("DUPLICATE_LIST", 12)
    ]


async def test_a_batch_whose_creation_was_not_answered_is_the_same_batch(
    place: Place, submit: Submit, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = written(tmp_path / "lists.ndjson", [place.listed("C1")])
    made: list[str] = []
    do = Actor.do

    async def unanswered(self: Actor, name: str, *rest: Any) -> dict[str, Any]:
        answer = await do(self, name, *rest)
        if name == "batchCreate":
            made.append(answer["batch"]["id"])
            raise asyncio.CancelledError
        return answer

    monkeypatch.setattr(Actor, "do", unanswered)
    with pytest.raises(asyncio.CancelledError):
        await submit(file)
    monkeypatch.setattr(Actor, "do", do)
    assert [(await submit(file)).batch] == made


async def test_exit_codes_say_how_it_went_and_the_workbook_comes_back(
    place: Place, submit: Submit, tmp_path: Path
) -> None:
    file = written(tmp_path / "half.ndjson", [place.listed("B1"), place.listed("B2", acct_pay="1.00")])
    outcome = await submit(file)
    assert (outcome.exit_code(), [v["code"] for v in outcome.verdicts if v["severity"] == "ERROR"]) == (
        1,
        ["PAYERS_NOT_TOTAL"],
    )
    file = tmp_path / "book.xlsx"
    file.write_bytes(template_workbook())
    outcome = await submit(file, annotated=tmp_path / "back.xlsx")
    assert outcome.exit_code() == 2
    book = openpyxl.load_workbook(outcome.annotated)
    assert book["清单"]["C2"].fill.fgColor.rgb == "FFFFC7CE"  # Another hospital's list.


async def test_every_rule_that_spoke_says_where_what_to_do_and_at_what_price(
    place: Place, submit: Submit, tmp_path: Path
) -> None:
    file = written(tmp_path / "half.ndjson", [place.listed("D1"), place.listed("D2", acct_pay="1.00")])
    outcome = await submit(file, verdicts=tmp_path / "verdicts.ndjson")
    every = [json.loads(line) for line in (tmp_path / "verdicts.ndjson").read_text(encoding="utf-8").splitlines()]
    assert [(one["row"], one["code"]) for one in every if one["severity"] == "error"] == [(2, "PAYERS_NOT_TOTAL")]
    assert {line["code"]: line["example"]["row"] for line in outcome.verdicts} == {
        one["code"]: one["row"] for one in reversed(every)
    }
    told = io.StringIO()
    outcome.verdicts_file = ""
    command._tell(Console(file=told, soft_wrap=True), outcome, True)
    lines = [line.strip() for line in told.getvalue().splitlines()]
    place_of = next(n for n, line in enumerate(lines) if "PAYERS_NOT_TOTAL" in line)
    assert lines[place_of] == "✗ Q08 PAYERS_NOT_TOTAL：1 行 rows"
    assert lines[place_of + 1].startswith("第 2 行 D2：基金、个人账户与现金合计 ")
    assert lines[place_of + 2].startswith("→ ")
    assert lines[place_of + 3].startswith("价格：")
    known = {"points": "12.5000", "totalCostFen": "123456", "basicFundFen": "100", "reasonCode": None}
    unpriced = {
        "totalCostFen": None,
        "basicFundFen": None,
        "reasonCode": "X",
        "reason": "没有预算点值。",
        "reasonEn": "None.",
    }
    assert command._price(known).startswith("价格：12.5000 分，医疗总费用口径 1234.56 元，统筹基金口径 1.00 元 ")
    assert command._price(known | unpriced).startswith("价格：12.5000 分，没有预算点值。 ")
    assert command._price(known | unpriced | {"points": None}).startswith("价格：没有预算点值。 ")
    assert lines[-1].startswith("curl -H") and lines[-1].endswith(f"/v1/batches/{outcome.batch}/verdicts.ndjson")


def test_ctrl_c_says_that_the_same_command_goes_on(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    async def pressed(*_: Any) -> None:
        raise KeyboardInterrupt

    monkeypatch.setenv("FENZHI_STATE_DIR", str(tmp_path / "state"))
    monkeypatch.setattr(command, "_submit", pressed)
    lists = tmp_path / "lists.ndjson"
    lists.write_bytes(b"{}\n")
    assert run(["submit", str(lists), "--tenant", "H1"]) == 130
    assert "已中断；再次执行同一命令，从中断处继续。" in capsys.readouterr().err


async def test_a_step_that_was_refused_says_so_in_both_languages_and_what_to_do(place: Place) -> None:
    client = await place.submitter()

    async def token(_tenant: str, _role: Role) -> str:
        return client.http.headers["authorization"].removeprefix("Bearer ")

    actor = Actor(client.http, place.hospital, Role.HOSPITAL_SUBMITTER, token)
    made = await actor.do(
        "batchCreate", "BatchCreateInput", {"purpose": "LISTS", "mode": "PARTIAL"}, "batch { id uploadPath }"
    )
    with pytest.raises(StepRefused) as refused:
        await actor.do("batchSeal", "BatchSealInput", {"batch": made["batch"]["id"], "parts": 1}, "batch { id }")
    assert refused.value.zh.startswith("batchSeal：PARTS_MISSING") and refused.value.hint
    assert refused.value.en.startswith("batchSeal was refused: PARTS_MISSING")
    assert not any("\u4e00" <= sign <= "\u9fff" for sign in refused.value.en)


async def test_a_file_that_is_refused_leaves_no_open_batch(place: Place, submit: Submit, tmp_path: Path) -> None:
    file = tmp_path / "book.xlsx"
    file.write_bytes(b"PK\x03\x04 no workbook")
    with pytest.raises(StepRefused) as refused:
        await submit(file)
    assert refused.value.code == "WORKBOOK_UNREADABLE"
    book = openpyxl.load_workbook(io.BytesIO(template_workbook()))
    book["清单"]["AZ1"] = "备注"
    book.save(file)
    with pytest.raises(DataRefused) as faults:
        await submit(file)
    assert [(one.code, one.where) for one in faults.value.refusals] == [("TABLE_STRANGE_COLUMN", "清单!AZ1")]
    assert notes(tmp_path) == []
    client = await place.submitter()
    found = await client.gql("{ batches(first: 2) { nodes { state } } }")
    assert [one["state"] for one in found["batches"]["nodes"]] == ["ABANDONED", "ABANDONED"]


def test_what_cannot_be_sent_is_refused_before_anything_is_asked(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("FENZHI_STATE_DIR", str(tmp_path / "nothing"))
    strange, lists = tmp_path / "lists.doc", tmp_path / "lists.ndjson"
    strange.write_bytes(b"x")
    lists.write_bytes(b"{}\n")
    assert run(["submit", str(strange), "--tenant", "H1"]) == 2
    assert "FILE_FORMAT" in capsys.readouterr().err
    assert run(["submit", str(lists), "--tenant", "H1"]) == 3
    assert "NOT_RUNNING" in capsys.readouterr().err
    empty = tmp_path / "empty.ndjson"
    empty.write_bytes(b"")
    assert run(["submit", str(empty), "--tenant", "H1"]) == 2
    assert "[FILE_EMPTY] 文件是空的。" in capsys.readouterr().err
    assert run(["submit", str(lists), "--tenant", "H1", "--annotated", str(tmp_path / "back.xlsx")]) == 2
    assert "--annotated 只用于 .xlsx 与 .csv" in capsys.readouterr().err
    assert run(["submit", str(lists), "--tenant", "H1", "--verdicts", str(tmp_path / "none" / "out.ndjson")]) == 2
    assert "目录不存在" in capsys.readouterr().err

"""The shell around the commands: exit codes, sentences in both languages, commands handed over to their modules."""

from __future__ import annotations

import json
import sys
import types
from pathlib import Path
from typing import Annotated

import httpx
import pytest
import typer

from fenzhi.cli import entry, main
from fenzhi.rules.refusals import Conflict, DataRefused, FenzhiError, InvariantBroken, Refusal


@pytest.fixture
def borrowed(monkeypatch: pytest.MonkeyPatch) -> types.ModuleType:
    """A module that a command is handed over to."""
    module = types.ModuleType("fenzhi.cli.golden")
    monkeypatch.setitem(sys.modules, "fenzhi.cli.golden", module)
    return module


def raising(error: Exception) -> object:
    def golden() -> None:
        raise error

    return golden


REFUSAL = Refusal("ROW_BAD", "row 3", "x", "第三行有误。", "Row 3 is wrong.", "请改正。", "Mend it.")


@pytest.mark.parametrize(
    ("error", "code", "said"),
    [
        (Conflict("季度已清算。", "The quarter is closed.", code="CLOSED"), 2, "[CLOSED] 季度已清算。"),
        (DataRefused((REFUSAL,)), 2, "[ROW_BAD] 第三行有误。 Row 3 is wrong."),
        (Conflict("连不上。", "Not there.", code="DATABASE_UNREACHABLE"), 3, "DATABASE_UNREACHABLE"),
        (FenzhiError("忙。", "Busy.", code="UNAVAILABLE"), 3, "UNAVAILABLE"),
        (httpx.ConnectError("refused"), 3, "ConnectError"),
        (ConnectionResetError("gone"), 3, "ConnectionResetError"),
        (InvariantBroken("first identity", account="rounding", unexplained_fen=1), 1, "first identity"),
        (RuntimeError("oops"), 1, "RuntimeError: oops"),
    ],
)
def test_a_failure_becomes_a_sentence_and_a_code(
    error: Exception, code: int, said: str, borrowed: types.ModuleType, capsys: pytest.CaptureFixture[str]
) -> None:
    borrowed.golden = raising(error)  # type: ignore[attr-defined]
    assert main.run(["golden"]) == code
    captured = capsys.readouterr()
    assert said in captured.err
    assert captured.out == ""


def test_arguments_are_handed_over_whole(borrowed: types.ModuleType, capsys: pytest.CaptureFixture[str]) -> None:
    def golden(folder: Path, as_json: Annotated[bool, typer.Option("--json")] = False) -> int:
        print(folder, as_json)
        return 2

    borrowed.golden = golden  # type: ignore[attr-defined]
    assert main.run(["golden", "tests/golden", "--json"]) == 2
    assert capsys.readouterr().out == "tests/golden True\n"
    assert main.run(["golden", "--help"]) == 0
    assert "Usage: fenzhi golden" in capsys.readouterr().out
    assert main.run(["golden", "x", "--nonsense"]) == 2


@pytest.mark.parametrize(("outcome", "code"), [(None, 0), (0, 0), (1, 1), (True, 0)])
def test_a_number_returned_is_the_exit_code(outcome: object, code: int, borrowed: types.ModuleType) -> None:
    borrowed.golden = lambda: outcome  # type: ignore[attr-defined]
    assert main.run(["golden"]) == code


def test_an_exit_raised_inside_is_kept(borrowed: types.ModuleType) -> None:
    def golden() -> None:
        raise typer.Exit(2)

    borrowed.golden = golden  # type: ignore[attr-defined]
    assert main.run(["golden"]) == 2


@pytest.mark.parametrize(
    ("arguments", "code"),
    [
        (["--help"], 0),
        (["nonsense"], 2),
        (["token"], 2),
        (["bench"], 2),
        (["bench", "x"], 2),
        (["bench", "grouping", "--cases", "0"], 2),
    ],
)
def test_the_command_line_itself(arguments: list[str], code: int) -> None:
    assert main.run(arguments) == code


def test_a_faulty_setting_is_named(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setenv("FENZHI_API_PORT", "many")
    assert main.run(["status"]) == 2
    assert "FENZHI_API_PORT" in capsys.readouterr().err


def test_all_commands_are_there() -> None:
    names = {command.name or command.callback.__name__ for command in main.app.registered_commands if command.callback}
    assert names == {
        "up", "down", "status", "tenants", "token", "first-operator", "doctor", "migrate", "golden", "probes", "battery", "generate", "demo", "bench", "group", "explain", "submit", "verify", "backup", "restore",
    }  # fmt: skip


def test_a_measurement_is_called_with_its_size_and_printed(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    module = types.ModuleType("fenzhi.cli.bench_clearing")
    module.bench_clearing = lambda cases, seed, areas: {"cases": cases, "seed": seed, "areas": areas}  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "fenzhi.cli.bench_clearing", module)
    assert main.run(["bench", "clearing", "--cases", "7", "--seed", "3", "--areas", "2", "--json"]) == 0
    assert json.loads(capsys.readouterr().out) == {"cases": 7, "seed": 3, "areas": 2}


def test_ctrl_c_before_the_command_was_read_in_ends_quietly(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def pressed(_arguments: list[str]) -> int:
        raise KeyboardInterrupt

    monkeypatch.setattr(main, "run", pressed)
    with pytest.raises(SystemExit) as ended:
        entry.main()
    assert (ended.value.code, capsys.readouterr().err) == (130, "")

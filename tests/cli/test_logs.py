"""Logs are JSON, carry request id and tenant, and leave personal data out."""

from __future__ import annotations

import io
import json
import logging
from collections.abc import Iterator

import pytest
import structlog

from fenzhi.logs import configure_logging, get_logger, log_context
from fenzhi.rules.refusals import InvariantBroken


@pytest.fixture
def output() -> Iterator[io.StringIO]:
    root = logging.getLogger()
    handlers, level = root.handlers[:], root.level
    stream = io.StringIO()
    configure_logging("INFO", stream)
    yield stream
    root.handlers[:] = handlers
    root.setLevel(level)
    structlog.reset_defaults()


def lines(stream: io.StringIO) -> list[dict[str, object]]:
    return [json.loads(line) for line in stream.getvalue().splitlines()]


def test_a_line_carries_its_context(output: io.StringIO) -> None:
    with log_context(request_id="r-1", tenant="4101"):
        get_logger("fenzhi.test").info("batch_sealed", parts=3)
    get_logger("fenzhi.test").info("later")
    first, second = lines(output)
    assert first.pop("at")
    assert first == {
        "event": "batch_sealed",
        "level": "info",
        "logger": "fenzhi.test",
        "parts": 3,
        "request_id": "r-1",
        "tenant": "4101",
    }
    assert "request_id" not in second


@pytest.mark.parametrize("key", ["psn_name", "certno", "brdy", "token", "dsn", "body"])
def test_personal_fields_are_dropped_also_when_nested(key: str, output: io.StringIO) -> None:
    get_logger("fenzhi.test").info("row", **{key: "张三", "row": {key: "张三", "n": 1}})
    (line,) = lines(output)
    assert line[key] == "[dropped]"
    assert line["row"] == {key: "[dropped]", "n": 1}
    assert "张三" not in output.getvalue()


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("证件 11010519491231002X 重复", "证件 [dropped] 重复"),
        ("call 13800138000 now", "call [dropped] now"),
        ("run 202501310000 fen 1380013800012", "run 202501310000 fen 1380013800012"),
        ("postgresql://u:p%40w@h/d", "postgresql://u:[dropped]@h/d"),
        ("redis://:word@h/0", "redis://:[dropped]@h/0"),
    ],
)
def test_identities_telephones_and_passwords_are_dropped_by_shape(
    text: str, expected: str, output: io.StringIO
) -> None:
    get_logger("fenzhi.test").info("seen", saw=text)
    assert lines(output)[0]["saw"] == expected


def test_a_foreign_exception_keeps_its_message_to_itself(output: io.StringIO) -> None:
    try:
        raise ValueError("invalid input: 张三")
    except ValueError:
        get_logger("fenzhi.test").exception("failed")
    (line,) = lines(output)
    assert line["error"] == "builtins.ValueError"
    assert "error_message" not in line
    assert str(line["frames"]).endswith("test_a_foreign_exception_keeps_its_message_to_itself']")
    assert "张三" not in output.getvalue()


def test_our_own_exception_says_what_broke(output: io.StringIO) -> None:
    try:
        raise InvariantBroken("first identity", account="rounding", unexplained_fen=1)
    except InvariantBroken:
        get_logger("fenzhi.test").exception("run_stopped")
    (line,) = lines(output)
    assert line["error_message"] == "first identity: account=rounding unexplained=1 fen"


def test_libraries_log_the_same_way(output: io.StringIO) -> None:
    logging.getLogger("uvicorn.error").addHandler(logging.StreamHandler(io.StringIO()))
    configure_logging("INFO", output)
    logging.getLogger("uvicorn.error").info("Started %s", "11010519491231002X")
    logging.getLogger("uvicorn.access").info("GET /")
    (line,) = lines(output)
    assert (line["event"], line["logger"]) == ("Started [dropped]", "uvicorn.error")


def test_an_unknown_object_is_named_by_its_type_only(output: io.StringIO) -> None:
    class Row:
        def __repr__(self) -> str:
            return "Row(张三)"

    get_logger("fenzhi.test").info("seen", what=Row())
    assert lines(output)[0]["what"] == "<Row>"

"""JSON logs with request id and tenant, without personal data (日志).

One line is one JSON object on standard error. What may be personal is dropped by key, an identity number by its shape,
and of a foreign exception only its class and its frames are written: a driver's message repeats the row it choked on.
"""

from __future__ import annotations

import logging
import re
import sys
import traceback
from collections.abc import Iterator, MutableMapping
from contextlib import contextmanager
from typing import Any, TextIO

import structlog
from structlog.typing import EventDict, WrappedLogger

PERSONAL_KEYS = frozenset(
    """psn_name psn_no certno psn_cert_type brdy tel addr coner_name coner_tel coner_addr name patient_name
    id_number phone address medcasno mdtrt_id ipt_no bank_acct password token authorization cookie dsn parameters params
    variables body payload""".split()
)
DROPPED = "[dropped]"
_IDENTITY_NUMBER = re.compile(r"(?<!\d)\d{17}[\dXx](?!\d)", re.ASCII)
_MOBILE_NUMBER = re.compile(r"(?<!\d)1[3-9]\d{9}(?!\d)", re.ASCII)
_DSN_PASSWORD = re.compile(r"(?<=://)([^\s/@:]*):[^\s@]+@")
_OWN_PACKAGES = ("fenzhi", "fenzhi_graphql", "fenzhi_workers", "fenzhi_migrations")


def configure_logging(level: str = "INFO", stream: TextIO | None = None) -> None:
    """Send the logs of this process, our own and those of libraries, as JSON to `stream` (配置日志), default stderr."""
    shared: list[structlog.typing.Processor] = [
        structlog.contextvars.merge_contextvars,
        structlog.stdlib.add_log_level,
        structlog.stdlib.add_logger_name,
        structlog.processors.TimeStamper(fmt="iso", utc=True, key="at"),
        fold_exception,
        drop_personal_data,
    ]
    formatter = structlog.stdlib.ProcessorFormatter(
        foreign_pre_chain=[structlog.stdlib.PositionalArgumentsFormatter(), *shared],
        processors=[
            structlog.stdlib.ProcessorFormatter.remove_processors_meta,
            structlog.processors.JSONRenderer(ensure_ascii=False, sort_keys=True, default=_type_name),
        ],
    )
    handler = logging.StreamHandler(stream or sys.stderr)
    handler.setFormatter(formatter)
    root = logging.getLogger()
    root.handlers[:] = [handler]
    root.setLevel(level)
    # A server that configured its own handlers before us would otherwise print every line twice and unredacted.
    for name in ("uvicorn", "uvicorn.error", "uvicorn.access", "arq", "arq.worker"):
        library = logging.getLogger(name)
        library.handlers.clear()
        library.propagate = True
    logging.getLogger("uvicorn.access").setLevel(logging.WARNING)
    logging.getLogger("sqlalchemy.engine").setLevel(logging.WARNING)
    logging.getLogger("httpx").setLevel(logging.WARNING)  # Its lines repeat whole addresses, questions and all.
    structlog.configure(
        processors=[*shared, structlog.stdlib.ProcessorFormatter.wrap_for_formatter],
        logger_factory=structlog.stdlib.LoggerFactory(),
        wrapper_class=structlog.stdlib.BoundLogger,
        cache_logger_on_first_use=False,
    )


def get_logger(name: str) -> structlog.stdlib.BoundLogger:
    """The logger of one module (模块日志器)."""
    logger: structlog.stdlib.BoundLogger = structlog.stdlib.get_logger(name)
    return logger


@contextmanager
def log_context(**names: str) -> Iterator[None]:
    """Write `names`, such as request_id and tenant, on every line logged inside (日志上下文)."""
    with structlog.contextvars.bound_contextvars(**names):
        yield


def drop_personal_data(logger: WrappedLogger, method: str, event: EventDict) -> EventDict:
    """Drop personal fields by key and identity, telephone and password texts by shape (去除个人信息)."""
    return {key: (DROPPED if key in PERSONAL_KEYS else _redacted(value)) for key, value in event.items()}


def fold_exception(logger: WrappedLogger, method: str, event: EventDict) -> EventDict:
    """Write an exception as class, frames and, for our own exceptions only, message (异常摘要)."""
    given = event.pop("exc_info", None)
    error = given[1] if isinstance(given, tuple) else given if isinstance(given, BaseException) else sys.exc_info()[1]
    if not given or error is None:
        return event
    kind = type(error)
    event["error"] = f"{kind.__module__}.{kind.__qualname__}"
    if kind.__module__.partition(".")[0] in _OWN_PACKAGES:
        event["error_message"] = str(error)
    sqlstate = getattr(error, "sqlstate", None) or getattr(getattr(error, "orig", None), "sqlstate", None)
    if isinstance(sqlstate, str):
        event["sqlstate"] = sqlstate
    frames = traceback.extract_tb(error.__traceback__)[-12:]
    event["frames"] = [
        f"{frame.filename.rpartition('site-packages/')[2]}:{frame.lineno} {frame.name}" for frame in frames
    ]
    return event


def _redacted(value: Any) -> Any:
    match value:
        case str():
            text = _DSN_PASSWORD.sub(rf"\1:{DROPPED}@", value)
            return _MOBILE_NUMBER.sub(DROPPED, _IDENTITY_NUMBER.sub(DROPPED, text))
        case MutableMapping():
            return {key: (DROPPED if key in PERSONAL_KEYS else _redacted(item)) for key, item in value.items()}
        case list() | tuple():
            return [_redacted(item) for item in value]
        case _:
            return value


def _type_name(value: object) -> str:
    # repr() of an unknown object may show a row; its type is enough to find the line that logged it.
    return f"<{type(value).__name__}>"

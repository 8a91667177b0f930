"""Faults, in three kinds (三类差错).

A fault in data is a `Refusal`: a value, collected with all its siblings and returned to whoever sent the data.
A conflict with the state of affairs is a `FenzhiError` with a stable code. Our own mistake is `InvariantBroken`.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Refusal:
    """One fault in data (校验不通过): what was seen, where, and what to do, in Chinese and English."""

    code: str
    where: str
    """Place: a JSON path, a field name or a row, in the sender's own words."""
    saw: str
    zh: str
    en: str
    remedy_zh: str
    remedy_en: str


class FenzhiError(Exception):
    """A request that conflicts with the state of affairs, or that its sender may not make.

    `code` is stable and documented in docs/refusals; `http_status` is used outside GraphQL.
    """

    code: str = "FENZHI_ERROR"
    http_status: int = 409

    def __init__(self, zh: str, en: str, *, code: str | None = None, hint: str = "", **details: str) -> None:
        super().__init__(en)
        self.zh = zh
        self.en = en
        self.hint = hint
        self.details = details
        if code is not None:
            self.code = code


class Forbidden(FenzhiError):
    """The subject may not do this, or may not know whether the thing exists (无权)."""

    code = "FORBIDDEN"
    http_status = 403


class NotFound(FenzhiError):
    """No such thing in the subject's scope (范围内不存在). Never tells whether another tenant has it."""

    code = "NOT_FOUND"
    http_status = 404


class Conflict(FenzhiError):
    """The state of affairs does not allow it (状态冲突)."""

    code = "CONFLICT"
    http_status = 409


class DataRefused(FenzhiError):
    """Input refused for the faults listed, all at once (数据校验不通过)."""

    code = "DATA_REFUSED"
    http_status = 422

    def __init__(self, refusals: tuple[Refusal, ...]) -> None:
        super().__init__("数据校验不通过。", "The data were refused.")
        self.refusals = refusals


class InvariantBroken(Exception):
    """A law that must hold does not (守恒或不变式被破坏): the run stops and nothing is recorded.

    `law` names the law, `account` the account or hospital where it broke, `unexplained_fen` by how much.
    """

    def __init__(self, law: str, *, account: str = "", unexplained_fen: int = 0, detail: str = "") -> None:
        super().__init__(f"{law}: account={account or '-'} unexplained={unexplained_fen} fen {detail}".strip())
        self.law = law
        self.account = account
        self.unexplained_fen = unexplained_fen

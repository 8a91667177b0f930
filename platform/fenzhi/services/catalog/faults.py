"""Faults of catalog orders (目录业务差错)."""

from __future__ import annotations

from typing import Any

from sqlalchemy import Row

from fenzhi.rules.refusals import Conflict, DataRefused, Refusal

LISTED_MOST = 1_000


def fault(seen: tuple[str, str, str], why: tuple[str, str], remedy: tuple[str, str]) -> Refusal:
    """A refusal from (code, where, saw), (zh, en) and the remedy in both."""
    code, where, saw = seen
    return Refusal(code, where, saw[:200], *why, *remedy)


def document_faults(document: str, where: str = "document") -> list[Refusal]:
    """The fault of a missing document (缺文件依据), or none."""
    if 1 <= len(document.strip()) <= 300:
        return []
    return [
        fault(
            ("DOCUMENT_MISSING", where, document),
            ("须注明政策依据文件（不超过 300 字）。", "The policy document must be named, in at most 300 characters."),
            ("填写文件名称与文号。", "Give the title and number of the document."),
        )
    ]


def reason_faults(reason: str) -> list[Refusal]:
    """The fault of a missing reason (缺理由), or none."""
    if 1 <= len(reason.strip()) <= 500:
        return []
    return [
        fault(
            ("REASON_MISSING", "reason", reason),
            ("须写明理由（不超过 500 字）。", "A reason must be given, in at most 500 characters."),
            ("填写理由。", "Give the reason."),
        )
    ]


def refuse(faults: list[Refusal] | tuple[Refusal, ...]) -> None:
    """Raises: DataRefused with the faults, where there are any; at most `LISTED_MOST` of them."""
    if faults:
        raise DataRefused(tuple(faults[:LISTED_MOST]))


def require_draft(row: Row[Any]) -> None:
    """Raises: Conflict EDITION_NOT_DRAFT unless the edition is a draft."""
    if row.state != "draft":
        raise Conflict(
            f"目录版本不是草稿（当前状态 {row.state}），不可更改。",
            f"The edition is no draft ({row.state}) and may not be changed.",
            code="EDITION_NOT_DRAFT",
            hint="已发布的目录以新版本修订 / revise a published catalog by a new edition",
        )


def moved() -> Conflict:
    """The edition left the expected state meanwhile (状态已变)."""
    return Conflict("目录版本状态已变，请刷新。", "The edition's state has changed.", code="EDITION_STATE")

"""Expected errors as data (业务错误): a mutation answers with its object or with everything that stands in the way."""

from __future__ import annotations

from collections.abc import Awaitable

import strawberry

from fenzhi.rules.refusals import DataRefused, FenzhiError
from fenzhi.services.acts import Answer

ERRORS = "Everything that stood in the way (业务错误)."
"""What every payload says of its `userErrors` (业务错误字段说明)."""


@strawberry.type(description="One thing that stands in the way (业务错误), with a stable code and its place.")
class UserError:
    code: str = strawberry.field(description="Stable code; each has a page in docs/refusals (错误代码).")
    path: list[str] = strawberry.field(description="Where in the input (位置), outermost first.")
    row: int | None = strawberry.field(default=None, description="Row of the list it concerns, from 1 (行号).")
    message: str = strawberry.field(description="What was seen and why it cannot stand, in Chinese (中文说明).")
    message_en: str = strawberry.field(description="The same in English.")
    hint: str | None = strawberry.field(default=None, description="What to do (处理建议).")
    saw: str | None = strawberry.field(default=None, description="What was seen, shortened (所见内容).")


def user_errors(exc: FenzhiError) -> list[UserError]:
    """The user errors an exception stands for."""
    if isinstance(exc, DataRefused):
        return [
            UserError(
                code=r.code,
                path=r.where.split("."),
                message=r.zh,
                message_en=r.en,
                hint=f"{r.remedy_zh} / {r.remedy_en}",
                saw=r.saw[:200],
            )
            for r in exc.refusals
        ]
    return [UserError(code=exc.code, path=[], message=exc.zh, message_en=exc.en, hint=exc.hint or None)]


NOT_THE_CALLERS_BUSINESS = frozenset({"FORBIDDEN", "UNAUTHENTICATED"})
"""Codes that propagate to the top-level errors."""


async def answered(act: Awaitable[Answer]) -> tuple[Answer | None, list[UserError]]:
    """Await an act; its answer, or the user errors that refused it.

    A missing permission is not a user error: it propagates to the top-level `errors` with its code.
    """
    try:
        return await act, []
    except FenzhiError as exc:
        if exc.code in NOT_THE_CALLERS_BUSINESS:
            raise
        return None, user_errors(exc)

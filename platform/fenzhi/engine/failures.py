"""What can go wrong in the bulk engine (批量引擎差错), always typed, never a bare database exception."""

from __future__ import annotations

from fenzhi.rules.refusals import FenzhiError


class EngineFailed(FenzhiError):
    """The bulk engine stopped (批量计算失败). Nothing it computed may be recorded."""

    code = "ENGINE_FAILED"
    http_status = 500


class EngineBoundsExceeded(EngineFailed):
    """A number of this run would not fit the integers of the engine (超出整数范围): refused before it could be wrong."""

    code = "ENGINE_BOUNDS_EXCEEDED"
    http_status = 422


class EngineInputRefused(EngineFailed):
    """The table given to the engine is not what it asks for (输入表不符)."""

    code = "ENGINE_INPUT_REFUSED"
    http_status = 422


def bounds_exceeded(what: str, value: int, bound: int) -> EngineBoundsExceeded:
    """A bound that this run breaks (越界)."""
    return EngineBoundsExceeded(
        f"{what} 为 {value}，超出可精确计算的上限 {bound}。",
        f"{what} is {value}, beyond {bound}, up to which the engine is exact.",
        hint="检查金额、分值或系数是否误填；确属实情时拆分计算。 Check amounts, scores and coefficients, or split the run.",
        what=what,
        value=str(value),
        bound=str(bound),
    )


def input_refused(zh: str, en: str, **details: str) -> EngineInputRefused:
    """A table the engine cannot take (输入表不符)."""
    return EngineInputRefused(zh, en, **details)

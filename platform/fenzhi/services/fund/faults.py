"""Faults common to orders about a pool (基金池指令的校验)."""

from __future__ import annotations

from fenzhi.rules.refusals import Refusal

INSURANCES = ("employee", "resident")
POOL_SCOPES = ("local", "out_of_area")
FEN_MOST = 10**15
"""Ten thousand billion yuan: beyond it an amount is a typing error."""


def pool_faults(insurance: str, pool_scope: str, year: int) -> list[Refusal]:
    """Faults in the naming of a pool (基金池标识校验): INSURANCE_UNKNOWN, POOL_SCOPE_UNKNOWN, YEAR_RANGE."""
    found: list[Refusal] = []
    if insurance not in INSURANCES:
        found.append(
            Refusal(
                "INSURANCE_UNKNOWN", "insurance", insurance, "险种须为 employee 或 resident。",
                "The insurance is employee or resident.", "按险种填写。", "Name the insurance.",
            )
        )  # fmt: skip
    if pool_scope not in POOL_SCOPES:
        found.append(
            Refusal(
                "POOL_SCOPE_UNKNOWN", "poolScope", pool_scope, "基金池范围须为 local 或 out_of_area。",
                "The pool scope is local or out_of_area.", "按本地或异地填写。", "Say local or out_of_area.",
            )
        )  # fmt: skip
    if not 2000 <= year <= 2100:
        found.append(
            Refusal(
                "YEAR_RANGE", "year", str(year), "年度须在 2000 至 2100 之间。", "The year lies between 2000 and 2100.",
                "核对年度。", "Check the year.",
            )
        )  # fmt: skip
    return found


def text_fault(code: str, where: str, value: str, zh: str, en: str) -> list[Refusal]:
    """A fault when a text that must be there is blank or too long (必填文字校验)."""
    if value.strip() and len(value) <= 500:
        return []
    return [
        Refusal(code, where, value[:60], f"{zh}须填写，且不超过 500 字。", f"{en} must be given, in at most 500 characters.",
                "补充后重试。", "Fill it in.")
    ]  # fmt: skip


def amount_fault(where: str, amount_fen: int, *, at_least: int) -> list[Refusal]:
    """A fault when an amount is out of range (金额校验). Units: fen."""
    if at_least <= amount_fen <= FEN_MOST:
        return []
    return [
        Refusal(
            "AMOUNT_RANGE", where, str(amount_fen), f"金额须在 {at_least} 分至 {FEN_MOST} 分之间。",
            f"The amount lies between {at_least} and {FEN_MOST} fen.", "核对金额与单位（分）。", "Check amount and unit (fen).",
        )
    ]  # fmt: skip

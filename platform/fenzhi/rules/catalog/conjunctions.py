"""The procedure grammar of a catalog (手术操作组合语法).

`39.9500/39.9501` asks for any one of its codes (`/`, 任一), `13.7100x001+12.1402/12.1403` for 13.7100x001 and any one of
the other two (`+`, 并且; it binds looser than `/`). What is read is kept as written, repeated codes included, so that an
export is the import.
"""

from __future__ import annotations

import re

Alternatives = tuple[str, ...]
"""Codes of which any one satisfies (任一即可)."""

Conjunction = tuple[Alternatives, ...]
"""Parts that must all be satisfied (须同时满足). Empty: nothing is asked for."""

_PROCEDURE = re.compile(r"\d\d\.(\d[\dx]\d[\dA-Z]|\d[\dx]\d\d\d|\d{3}[A-Z]\d|\d{3}x\d{4})(x\d{3})?", re.ASCII)
_LOST_ZERO = re.compile(r"\d\.\d[\dx]*|\d\d(\.\d{1,3})?", re.ASCII)


def parse_conjunction(text: str) -> Conjunction:
    """The parts of a cell such as `a/b+c` (手术操作组合). Empty text is the empty conjunction.

    Raises: ValueError when a part or an alternative is empty, as in `a//b` or `a+`.

    >>> parse_conjunction("13.7100x001+12.1402/12.1403")
    (('13.7100x001',), ('12.1402', '12.1403'))
    """
    if text == "":
        return ()
    parts = tuple(tuple(part.split("/")) for part in text.split("+"))
    if any(code == "" for part in parts for code in part):
        raise ValueError(f"an empty code between separators: {text!r}")
    return parts


def conjunction_text(parts: Conjunction) -> str:
    """The cell a conjunction was read from (还原文本).

    >>> conjunction_text((("13.7100x001",), ("12.1402", "12.1403")))
    '13.7100x001+12.1402/12.1403'
    """
    return "+".join("/".join(part) for part in parts)


def is_procedure_code(code: str) -> bool:
    """Does the text have the shape of an insurance-edition procedure code (手术操作代码格式)?

    >>> is_procedure_code("06.3100x002"), is_procedure_code("6.31")
    (True, False)
    """
    return _PROCEDURE.fullmatch(code) is not None


def has_lost_zeros(code: str) -> bool:
    """Does the text look like a code a spreadsheet turned into a number (丢零), such as `6.31` for `06.3100`?

    >>> has_lost_zeros("6.31"), has_lost_zeros("06.31"), has_lost_zeros("06.3100")
    (True, True, False)
    """
    return _LOST_ZERO.fullmatch(code) is not None


def base_procedure_code(code: str) -> str:
    """The code without its insurance extension (去扩展码): `99.2800` of `99.2800x005`.

    >>> base_procedure_code("99.2800x005"), base_procedure_code("04.2x02"), base_procedure_code("04.2x00x001")
    ('99.2800', '04.2x02', '04.2x00')
    """
    return code[:7] if len(code) > 8 and code[7] == "x" else code

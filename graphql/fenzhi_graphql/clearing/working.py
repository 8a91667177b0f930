"""The working of a number as the API shows it (计算过程)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import strawberry


@strawberry.type(description="A named number of a step, as exact text (数值).")
class StepValue:
    name: str = strawberry.field(description="What it is (名称).")
    value: str = strawberry.field(description="The exact value; amounts in yuan (数值，金额以元计).")


@strawberry.type(description="One step of a working (计算步骤).")
class Step:
    rule: str = strawberry.field(description="Stable id of the rule (规则).")
    zh: str = strawberry.field(description="What it says, in Chinese (中文说明).")
    en: str = strawberry.field(description="The same in English (英文说明).")
    values: list[StepValue] = strawberry.field(description="The numbers in and out, in order of use (数值).")
    document: str = strawberry.field(description="Policy document it rests on, blank where none applies (文件依据).")


def steps_of(steps: Sequence[Mapping[str, Any]]) -> list[Step]:
    """Stored steps as the API shows them."""
    return [
        Step(
            rule=step["rule"],
            zh=step["zh"],
            en=step["en"],
            values=[StepValue(name=name, value=value) for name, value in step["values"]],
            document=step["document"],
        )
        for step in steps
    ]

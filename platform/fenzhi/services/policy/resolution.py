"""What is in force for an area on a date (生效策略): the national files, the province's and the area's entries, layered."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import date
from typing import Any

from sqlalchemy import Row

from fenzhi.rules.policy.fields import Layer, PolicyDocument, PolicyField, PolicyValue, Standing, read_content
from fenzhi.rules.policy.resolved import ResolvedPolicy, resolve
from fenzhi.rules.refusals import InvariantBroken
from fenzhi.store.policy_files import NationalPolicy, national_policy
from fenzhi.store.repositories import policy
from fenzhi.store.session import UnitOfWork


def definitions() -> NationalPolicy:
    """Every parameter's definition and the national values (参数定义与国家层级取值), read once per process."""
    return national_policy()


async def resolved_policy(
    uow: UnitOfWork, on: date, *, area_id: int | None = None, insurance: str = "", mark: policy.Mark | None = None
) -> ResolvedPolicy:
    """The values in force on a date for the scope's province and area (生效策略), with their fingerprint.

    A province scope has no area of its own: `area_id` names one of its areas, without it the area layer is silent.
    `insurance` blank means values that hold for every insurance. Works in every role of a province's tree and in a job.
    What was resolved before is remembered by the mark of its rows, which is read in this transaction unless the caller did so.
    Raises: InvariantBroken when a stored value no longer reads under its definition.
    """
    area = area_id if area_id is not None else uow.scope.area_id
    place = ("policy", uow.scope.role, uow.scope.province, area, uow.scope.area_id, on, insurance)
    remembered = uow.memory.get((*place, mark or await policy.mark(uow, area, on)))
    if isinstance(remembered, ResolvedPolicy):
        return remembered
    fields = {field.key: field for field in definitions().fields}
    of_province = await policy.province_values(uow, on)
    of_area = await policy.area_values(uow, area, on) if area is not None else []
    values = [*definitions().values, *_read(Layer.PROVINCE, fields, of_province), *_read(Layer.AREA, fields, of_area)]
    found = resolve(definitions().fields, values, on, insurance=insurance)
    uow.memory.put((*place, policy.mark_of(of_province, of_area)), found)
    return found


def _read(layer: Layer, fields: dict[str, PolicyField], rows: Sequence[Row[Any]]) -> Iterator[PolicyValue]:
    for sequence, row in enumerate(rows, start=1):
        field = fields.get(row.key)
        plain = row.value.get("content")
        if field is None:
            raise InvariantBroken("a stored policy key is defined", detail=row.key)
        content = None
        if plain is not None:
            content, faults = read_content(field, plain)
            if faults:
                raise InvariantBroken(
                    "a stored policy value reads as it was written", detail=f"{row.key}: {faults[0].en}"
                )
        document = PolicyDocument(
            row.document,
            row.issued_on,
            standing=Standing.CONSTRUCTED if row.is_constructed else Standing.IN_FORCE,
        )
        yield PolicyValue(
            row.key, layer, row.effective_from, content, document, row.value.get("insurance", ""), sequence
        )

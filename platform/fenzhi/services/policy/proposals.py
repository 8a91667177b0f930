"""Proposing and approving policy values (政策参数的提议与审批): one document, several values, two persons."""

from __future__ import annotations

import json
import uuid
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date
from typing import Any

from sqlalchemy import Row

from fenzhi.access.roles import Duty, TenantKind
from fenzhi.access.subject import SamePerson, Subject, require_second_person
from fenzhi.rules.policy.fields import Layer, PlainContent, PolicyField, Unit, plain_content, read_content
from fenzhi.rules.refusals import Conflict, DataRefused, NotFound, Refusal
from fenzhi.services.acts import Answer, Platform, Request, act, looking
from fenzhi.services.catalog.regroup_tasks import RuleChange, open_tasks
from fenzhi.services.policy.content_checks import content_faults
from fenzhi.services.policy.resolution import definitions
from fenzhi.store.repositories import policy
from fenzhi.store.session import UnitOfWork, new_id

VALUES_MOST = 200
_STRUCTURED = {Unit.LIST, Unit.WEIGHTS, Unit.MAP, Unit.TABLE}
_INSURANCES = ("", "employee", "resident")


@dataclass(frozen=True, slots=True)
class ProposedValue:
    """One value of a proposal (一项取值). Lists, maps and tables are JSON text with text leaves; None withdraws."""

    key: str
    value: str | None
    effective_from: date
    insurance: str = ""


@dataclass(frozen=True, slots=True)
class Proposal:
    """Values that one document sets (按同一文件提议的取值)."""

    values: tuple[ProposedValue, ...]
    document: str
    issued_on: date
    is_constructed: bool = False


@dataclass(frozen=True, slots=True)
class ProposalView:
    """An entry as its readers see it (政策参数条目)."""

    policy_id: uuid.UUID
    layer: Layer
    key: str
    value: str | None
    insurance: str
    effective_from: date
    document: str
    issued_on: date
    is_constructed: bool
    state: str


def text_of(plain: PlainContent | None) -> str | None:
    """A value as one text (取值文本): a scalar as it stands, anything else as JSON."""
    if plain is None or isinstance(plain, str):
        return plain
    return json.dumps(plain, ensure_ascii=False)


def _layer_of(subject: Subject) -> Layer:
    return Layer.PROVINCE if subject.tenant_kind is TenantKind.PROVINCE else Layer.AREA


def _duty(subject: Subject, province: Duty, area: Duty) -> Duty:
    return province if subject.tenant_kind is TenantKind.PROVINCE else area


def _fault(code: str, where: str, saw: str, zh: str, en: str, remedy: tuple[str, str]) -> Refusal:
    return Refusal(code, where, saw[:200], zh, en, *remedy)


def _plain(field: PolicyField, value: str, where: str) -> tuple[object, list[Refusal]]:
    if field.unit not in _STRUCTURED:
        return value, []
    try:
        return json.loads(value), []
    except (ValueError, RecursionError):
        fault = _fault(
            "POLICY_VALUE_SHAPE",
            where,
            value,
            f"{field.zh}：应为 JSON 文本。",
            f"{field.en}: must be JSON text.",
            ('例如 ["1","2","7"]。', 'For instance ["1","2","7"].'),
        )
        return None, [fault]


def _checked(proposal: Proposal, layer: Layer) -> list[dict[str, Any]]:
    """The rows to store. Raises: DataRefused with every fault of every value."""
    faults: list[Refusal] = []
    rows: list[dict[str, Any]] = []
    fields = {field.key: field for field in definitions().fields}
    if not proposal.document.strip() or len(proposal.document) > 300:
        faults.append(
            _fault(
                "DOCUMENT_MISSING",
                "document",
                proposal.document,
                "须注明政策依据文件（不超过 300 字）。",
                "The policy document must be named, in at most 300 characters.",
                ("填写文件名称与文号。", "Give the title and number of the document."),
            )
        )
    if not 1 <= len(proposal.values) <= VALUES_MOST:
        faults.append(
            _fault(
                "POLICY_VALUES_COUNT",
                "values",
                str(len(proposal.values)),
                f"一次须提议 1 至 {VALUES_MOST} 项取值。",
                f"One proposal holds 1 to {VALUES_MOST} values.",
                ("分批提议。", "Propose in several parts."),
            )
        )
    seen: set[tuple[str, date, str]] = set()
    for place, item in enumerate(proposal.values[:VALUES_MOST]):
        where = f"values.{place}"
        found, content = checked_value(item, fields.get(item.key), layer, where)
        twice = (item.key, item.effective_from, item.insurance)
        if twice in seen:
            found.append(
                _fault(
                    "POLICY_VALUE_TWICE",
                    f"{where}.key",
                    item.key,
                    "同一参数、同一施行日期、同一险种重复提议。",
                    "The same parameter, day and insurance are proposed twice.",
                    ("只保留一项。", "Keep one of them."),
                )
            )
        seen.add(twice)
        faults.extend(found)
        rows.append(
            {
                "policy_id": new_id(),
                "key": item.key,
                "value": {"content": content, "insurance": item.insurance},
                "effective_from": item.effective_from,
                "document": proposal.document.strip(),
                "issued_on": proposal.issued_on,
                "is_constructed": proposal.is_constructed,
                "state": "proposed",
            }
        )
    if faults:
        raise DataRefused(tuple(faults))
    return rows


def checked_value(
    item: ProposedValue, field: PolicyField | None, layer: Layer, where: str
) -> tuple[list[Refusal], PlainContent | None]:
    """Every fault of one proposed value of a layer, and the value in plain form (一项取值的校验). None stands for withdrawing."""
    faults: list[Refusal] = []
    if item.insurance not in _INSURANCES:
        faults.append(
            _fault(
                "POLICY_INSURANCE",
                f"{where}.insurance",
                item.insurance,
                "险种须为 employee、resident 或空（全部险种）。",
                "The insurance is employee, resident, or blank for all.",
                ("改为列出的取值。", "Use one of the values listed."),
            )
        )
    if field is None:
        faults.append(
            _fault(
                "POLICY_KEY_UNKNOWN",
                f"{where}.key",
                item.key,
                "没有这个策略参数。",
                "No such policy parameter.",
                ("用 policyDefinitions 查询参数清单。", "Query policyDefinitions for the list."),
            )
        )
        return faults, None
    if layer not in field.layers:
        allowed_zh = "、".join(one.zh for one in field.layers)
        faults.append(
            _fault(
                "POLICY_LAYER",
                f"{where}.key",
                item.key,
                f"{field.zh}：{layer.zh}无权规定，可规定的层级为{allowed_zh}。",
                f"{field.en}: may not be set by {layer.en}.",
                (f"由{field.entered_by.zh}录入。", f"To be entered by {field.entered_by.en}."),
            )
        )
    if item.value is None:
        return faults, None
    plain, shape_faults = _plain(field, item.value, f"{where}.value")
    if shape_faults:
        return faults + shape_faults, None
    content, found = read_content(field, plain, f"{where}.value")
    given = plain_content(field, content)
    special = [] if found else content_faults(field.key, given, f"{where}.value")
    return [*faults, *found, *special], given


async def propose(platform: Platform, subject: Subject, request: Request, proposal: Proposal) -> Answer:
    """Propose values of one's own layer (提议政策参数). Nothing is in force before a second person approves.

    Changes: province_policy or area_policy. Refuses, all at once: POLICY_KEY_UNKNOWN, POLICY_LAYER, POLICY_VALUE_SHAPE,
    POLICY_VALUE_UNIT, POLICY_VALUE_RANGE, POLICY_METHOD_UNKNOWN, POLICY_VALUE_TWICE, POLICY_INSURANCE, DOCUMENT_MISSING.
    """
    duty = _duty(subject, Duty.PROPOSE_PROVINCE_POLICY, Duty.PROPOSE_AREA_POLICY)
    subject.scope_for(duty)
    rows = _checked(proposal, _layer_of(subject))

    async def effect(uow: UnitOfWork) -> Answer:
        who = {
            "proposed_by": uuid.UUID(uow.scope.account_id),
            "proposed_by_person": uuid.UUID(uow.scope.person_id),
        }
        await policy.propose(uow, [row | who for row in rows])
        ids = [str(row["policy_id"]) for row in rows]
        return {"type": "PolicyProposal", "id": ids[0], "ids": ids}

    return await act(platform, subject, duty, request, effect)


async def decide(
    platform: Platform, subject: Subject, request: Request, ids: Sequence[uuid.UUID], *, approve: bool
) -> Answer:
    """Put proposals in force, or reject them, all or none (审批或驳回政策参数), as a second person.

    A changed choice of grouping opens a regroup task per city. Changes: province_policy or area_policy, regroup_task. Raises: SamePerson for an approval by the proposer, NotFound for an entry of
    another tenant, Conflict POLICY_NOT_PROPOSED for one decided already.
    """
    duty = _duty(subject, Duty.APPROVE_PROVINCE_POLICY, Duty.APPROVE_AREA_POLICY)
    wanted = list(dict.fromkeys(ids))

    async def effect(uow: UnitOfWork) -> Answer:
        rows = await policy.proposals(uow, state=None, after=None, limit=len(wanted) + 1, ids=wanted)
        if not wanted or len(rows) != len(wanted):
            raise NotFound("没有该政策参数条目。", "No such policy entry.", code="POLICY_NOT_FOUND")
        if any(row.state != "proposed" for row in rows):
            raise _decided()
        for row in rows:
            require_second_person(str(row.proposed_by_person), uow.scope.person_id)
        if await policy.decide(uow, wanted, "in_force" if approve else "rejected") != len(wanted):
            raise _decided()
        if approve:
            await _regroup_after(uow, rows)
        return {"type": "PolicyProposal", "id": str(wanted[0]), "ids": [str(one) for one in wanted]}

    return await act(platform, subject, duty, request, effect)


async def _regroup_after(uow: UnitOfWork, rows: Sequence[Row[Any]]) -> None:
    """A choice of grouping that takes the place of another leaves a year to regroup; the first of its key changes nothing (重新入组)."""
    grouping = [row for row in rows if row.key.startswith("grouping.")]
    for day in sorted({row.effective_from for row in grouping}):
        changed = [row for row in grouping if row.effective_from == day]
        before = await policy.keys_in_force(uow, [row.key for row in changed], [row.policy_id for row in rows])
        first = next((row for row in changed if row.key in before), None)
        if first is not None:
            await open_tasks(uow, RuleChange("policy", first.policy_id, None, day, first.document))


def _decided() -> Conflict:
    return Conflict("该条目已经审批或驳回。", "The entry was approved or rejected already.", code="POLICY_NOT_PROPOSED")


async def entries(
    platform: Platform,
    subject: Subject,
    *,
    state: str | None,
    after: uuid.UUID | None,
    limit: int,
    ids: Sequence[uuid.UUID] | None = None,
) -> list[ProposalView]:
    """The entries of the subject's own layer, newest first (政策参数条目): of the city where there is one, else the province.

    Below the city only what is in force is seen.
    """
    async with looking(platform, subject, Duty.READ_POLICY) as uow:
        rows = await policy.proposals(uow, state=state, after=after, limit=limit, ids=ids)
        layer = Layer.PROVINCE if uow.scope.area_id is None else Layer.AREA
        return [_view(row, layer) for row in rows]


def _view(row: Row[Any], layer: Layer) -> ProposalView:
    return ProposalView(
        policy_id=row.policy_id,
        layer=layer,
        key=row.key,
        value=text_of(row.value.get("content")),
        insurance=row.value.get("insurance", ""),
        effective_from=row.effective_from,
        document=row.document,
        issued_on=row.issued_on,
        is_constructed=row.is_constructed,
        state=row.state,
    )


__all__ = [
    "Proposal",
    "ProposalView",
    "ProposedValue",
    "SamePerson",
    "checked_value",
    "decide",
    "entries",
    "propose",
    "text_of",
]

"""Policy look-ups (政策查询): what is in force, and which parameters there are."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date

from fenzhi.access.roles import Duty
from fenzhi.access.subject import Subject
from fenzhi.rules.policy.fields import PolicyField, plain_content
from fenzhi.rules.policy.resolved import ResolvedPolicy
from fenzhi.services.acts import Platform, looking
from fenzhi.services.policy.proposals import text_of
from fenzhi.services.policy.resolution import definitions, resolved_policy


@dataclass(frozen=True, slots=True)
class ValueInForce:
    """One value in force with what it rests on (一项生效取值)."""

    field: PolicyField
    value: str
    layer: str
    insurance: str
    effective_from: date
    document: str
    part: str
    issued_on: date | None
    standing: str
    excerpt: str


@dataclass(frozen=True, slots=True)
class PolicyInForce:
    """Everything in force on a day (当日生效政策)."""

    on: date
    insurance: str
    fingerprint: str
    values: tuple[ValueInForce, ...]
    not_entered: tuple[PolicyField, ...]


async def policy_in_force(platform: Platform, subject: Subject, on: date, insurance: str = "") -> PolicyInForce:
    """What is in force on a day for the subject's province and area (当日生效政策), and what nobody entered yet."""
    async with looking(platform, subject, Duty.READ_POLICY) as uow:
        return _shown(await resolved_policy(uow, on, insurance=insurance))


def _shown(policy: ResolvedPolicy) -> PolicyInForce:
    values = []
    for value in policy:
        if value.content is None:
            continue
        field = policy.fields[value.key]
        document = value.document
        values.append(
            ValueInForce(
                field=field,
                value=text_of(plain_content(field, value.content)) or "",
                layer=value.layer.value,
                insurance=value.insurance,
                effective_from=value.effective_from,
                document=document.title,
                part=document.part,
                issued_on=document.issued_on,
                standing=document.standing.value,
                excerpt=document.excerpt or document.gist,
            )
        )
    return PolicyInForce(policy.on_date, policy.insurance, policy.fingerprint(), tuple(values), policy.not_entered())


async def policy_definitions(subject: Subject) -> Sequence[PolicyField]:
    """Every parameter there is (参数清单)."""
    subject.scope_for(Duty.READ_POLICY)
    return definitions().fields

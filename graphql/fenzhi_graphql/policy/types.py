"""Policy as the API shows it (政策参数)."""

from __future__ import annotations

import uuid
from datetime import date
from enum import Enum

import strawberry

from fenzhi.rules.policy.fields import PolicyField
from fenzhi.services.policy import lookups, proposals
from fenzhi_graphql.context import Info
from fenzhi_graphql.node import Node, finds
from fenzhi_graphql.paging import global_id


@strawberry.enum(description="Who speaks; a lower layer overrides a higher one (层级).")
class PolicyLayer(Enum):
    NATION = "nation"
    PROVINCE = "province"
    AREA = "area"


@strawberry.enum(description="State of a policy entry (条目状态).")
class PolicyState(Enum):
    PROPOSED = "proposed"
    IN_FORCE = "in_force"
    REJECTED = "rejected"


@strawberry.type(description="The definition of a policy parameter (参数定义).")
class PolicyDefinition:
    key: str = strawberry.field(description="Key, such as scoring.low_ratio (键).")
    name: str = strawberry.field(description="Name in Chinese (名称).")
    name_en: str = strawberry.field(description="Name in English.")
    unit: str = strawberry.field(
        description="ratio, count, days, places, yuan, flag, method, text, list, weights, map or table (计量单位)."
    )
    meaning: str = strawberry.field(description="What it means, where the name does not say it (含义).")
    entered_by: PolicyLayer = strawberry.field(description="The layer that usually enters it (录入层级).")
    layers: list[PolicyLayer] = strawberry.field(description="Layers that may set it (可规定的层级).")
    allowed: list[str] = strawberry.field(description="Methods or items it may take; empty for any (可选值).")
    minimum: str | None = strawberry.field(description="Lowest value, in its unit, inclusive (下限).")
    maximum: str | None = strawberry.field(description="Highest value, in its unit, inclusive (上限).")
    columns: list[str] = strawberry.field(description="Columns of a table (表列).")
    is_optional: bool = strawberry.field(description="Whether its absence has a meaning (可缺省).")

    @staticmethod
    def of(field: PolicyField) -> PolicyDefinition:
        return PolicyDefinition(
            key=field.key,
            name=field.zh,
            name_en=field.en,
            unit=field.unit.value,
            meaning=field.meaning,
            entered_by=PolicyLayer(field.entered_by.value),
            layers=[PolicyLayer(layer.value) for layer in field.layers],
            allowed=list(field.allowed),
            minimum=None if field.minimum is None else format(field.minimum, "f"),
            maximum=None if field.maximum is None else format(field.maximum, "f"),
            columns=list(field.columns),
            is_optional=field.optional,
        )


@strawberry.type(description="A value in force with the document it rests on (生效取值).")
class PolicyValueInForce:
    definition: PolicyDefinition = strawberry.field(description="What the parameter is (参数定义).")
    value: str = strawberry.field(
        description="The value in the unit of its definition; lists, maps and tables as JSON text (取值)."
    )
    layer: PolicyLayer = strawberry.field(description="Which layer spoke (生效层级).")
    insurance: str = strawberry.field(description="employee, resident, or blank for all (险种).")
    effective_from: date = strawberry.field(description="In force from this day (施行日期).")
    document: str = strawberry.field(description="Title of the document (文件依据).")
    part: str = strawberry.field(description="Chapter or article of the document (章条).")
    issued_on: date | None = strawberry.field(description="Day of issue (发文日期).")
    standing: str = strawberry.field(
        description="in_force, draft, secondary, product or constructed: how the document stands (文件效力)."
    )
    excerpt: str = strawberry.field(description="What the document says, quoted or in our words (原文或要旨).")


@strawberry.type(description="Everything in force on a day (当日生效政策).")
class PolicyInForce:
    on: date = strawberry.field(description="The day asked for (日期).")
    insurance: str = strawberry.field(description="employee, resident, or blank (险种).")
    fingerprint: str = strawberry.field(description="SHA-256 of values and documents, in hex (策略指纹).")
    values: list[PolicyValueInForce] = strawberry.field(description="Values in force, by key (生效取值).")
    not_entered: list[PolicyDefinition] = strawberry.field(
        description="Parameters somebody still has to enter (尚未录入的参数)."
    )

    @staticmethod
    def of(view: lookups.PolicyInForce) -> PolicyInForce:
        return PolicyInForce(
            on=view.on,
            insurance=view.insurance,
            fingerprint=view.fingerprint,
            values=[
                PolicyValueInForce(
                    definition=PolicyDefinition.of(one.field),
                    value=one.value,
                    layer=PolicyLayer(one.layer),
                    insurance=one.insurance,
                    effective_from=one.effective_from,
                    document=one.document,
                    part=one.part,
                    issued_on=one.issued_on,
                    standing=one.standing,
                    excerpt=one.excerpt,
                )
                for one in view.values
            ],
            not_entered=[PolicyDefinition.of(field) for field in view.not_entered],
        )


@strawberry.type(description="A value entered by a province or a pooling area (政策参数条目).")
class PolicyEntry(Node):
    layer: PolicyLayer = strawberry.field(description="Layer that entered it (层级).")
    key: str = strawberry.field(description="Key of the parameter (键).")
    value: str | None = strawberry.field(description="The value as text; null withdraws the layer's own value (取值).")
    insurance: str = strawberry.field(description="employee, resident, or blank for all (险种).")
    effective_from: date = strawberry.field(description="In force from this day (施行日期).")
    document: str = strawberry.field(description="Title of the document (文件依据).")
    issued_on: date = strawberry.field(description="Day of issue (发文日期).")
    is_constructed: bool = strawberry.field(description="Whether the document was made up for a demonstration (构造).")
    state: PolicyState = strawberry.field(description="State (状态).")

    @staticmethod
    def of(view: proposals.ProposalView) -> PolicyEntry:
        return PolicyEntry(
            id=global_id("PolicyEntry", view.policy_id),
            layer=PolicyLayer(view.layer.value),
            key=view.key,
            value=view.value,
            insurance=view.insurance,
            effective_from=view.effective_from,
            document=view.document,
            issued_on=view.issued_on,
            is_constructed=view.is_constructed,
            state=PolicyState(view.state),
        )


@finds("PolicyEntry")
async def find_entry(info: Info, key: str) -> PolicyEntry | None:
    """An entry of the caller's own layer (按标识查政策参数条目)."""
    try:
        wanted = uuid.UUID(key)
    except ValueError:
        return None
    context = info.context
    views = await proposals.entries(context.platform, context.subject, state=None, after=None, limit=1, ids=[wanted])
    return PolicyEntry.of(views[0]) if views else None

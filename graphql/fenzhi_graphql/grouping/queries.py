"""Grouping queries (入组查询)."""

from __future__ import annotations

import uuid

import strawberry

from fenzhi.services.grouping import preview
from fenzhi.services.scoring import explain
from fenzhi_graphql.context import Info
from fenzhi_graphql.grouping.types import CaseExplain, GroupingCaseInput, GroupingPreview
from fenzhi_graphql.paging import key_of


@strawberry.type
class GroupingQuery:
    @strawberry.field(
        metadata={"cost": 3_000},
        description="How one case is grouped and scored, or null when it is not in your scope (病例解释).",
    )
    async def case_explain(self, info: Info, id: strawberry.ID) -> CaseExplain | None:
        context = info.context
        try:
            case_id = uuid.UUID(key_of(id, "InpatientCase"))
        except ValueError:
            return None
        found = await explain.explain_case(context.platform, context.subject, case_id)
        return CaseExplain.of(found) if found is not None else None

    @strawberry.field(
        metadata={"cost": 15_000},
        description="Group and score 1 to 100 cases of a hospital without storing them, as a run of their month would "
        "(入组预检).",
    )
    async def grouping_preview(
        self, info: Info, hospital_code: str, cases: list[GroupingCaseInput]
    ) -> list[GroupingPreview]:
        context = info.context
        found = await preview.preview_cases(
            context.platform, context.subject, hospital_code, [one.as_case() for one in cases]
        )
        return [GroupingPreview.of(one) for one in found]

"""Catalog mutations of a pooling area (市级目录事项): overlays and reference costs."""

from __future__ import annotations

import uuid
from datetime import date

import strawberry

from fenzhi.services.acts import Answer, as_id
from fenzhi.services.catalog import lookups, overlays, reference_costs, scores
from fenzhi_graphql.catalog.mutations import CatalogJobPayload, GroupScoreInput, edition_id_of, job_payload
from fenzhi_graphql.catalog.types import AreaOverlay
from fenzhi_graphql.context import Context, Info
from fenzhi_graphql.outcomes import ERRORS, UserError, answered
from fenzhi_graphql.paging import key_of


@strawberry.input(description="Draft your area's scores over a published edition (起草市级调整).")
class AreaOverlayDraftInput:
    idempotency_key: str = strawberry.field(description="A fresh random key; the same when retrying (幂等键).")
    edition: strawberry.ID = strawberry.field(description="A published edition (已发布的目录).")
    effective_from: date = strawberry.field(description="In force from this day (生效日期).")
    scores: list[GroupScoreInput] = strawberry.field(description="1 to 200 scores (调整清单).")
    document: str = strawberry.field(description="Document (文件依据).")
    is_constructed: bool = strawberry.field(default=False, description="Made up for a demonstration (构造).")


@strawberry.input(description="Publish a drafted overlay (发布市级调整).")
class AreaOverlayPublishInput:
    idempotency_key: str = strawberry.field(description="A fresh random key; the same when retrying (幂等键).")
    overlay: strawberry.ID = strawberry.field(description="A drafted overlay (市级调整草稿).")


@strawberry.input(description="Compute your area's reference costs of a year under an edition (计算上年参照费用).")
class ReferenceCostsComputeInput:
    idempotency_key: str = strawberry.field(description="A fresh random key; the same when retrying (幂等键).")
    edition: strawberry.ID = strawberry.field(description="A published edition (已发布的目录).")
    year: int = strawberry.field(description="Year of the history: the settlement year less one (历史年份).")


@strawberry.type(description="The overlay, or what stood in the way.")
class AreaOverlayPayload:
    overlay: AreaOverlay | None = strawberry.field(description="The overlay (市级调整).")
    user_errors: list[UserError] = strawberry.field(description=ERRORS)


async def _payload(context: Context, answer: Answer | None, errors: list[UserError]) -> AreaOverlayPayload:
    view = None
    if answer is not None:
        view = await lookups.overlay(context.platform, context.subject, uuid.UUID(str(answer["id"])))
    return AreaOverlayPayload(overlay=AreaOverlay.of(view) if view else None, user_errors=errors)


@strawberry.type
class AreaCatalogMutation:
    @strawberry.mutation(
        description="Draft your area's scores within the province's limit (起草市级调整). Role: city_settlement_clerk."
    )
    async def area_overlay_draft(self, info: Info, input: AreaOverlayDraftInput) -> AreaOverlayPayload:
        context = info.context

        async def run() -> Answer:
            order = overlays.NewOverlay(
                edition_id=edition_id_of(input.edition),
                effective_from=input.effective_from,
                scores=tuple(scores.ScoreEdit(one.group_code, one.score) for one in input.scores),
                document=input.document,
                is_constructed=input.is_constructed,
            )
            request = context.request(
                "areaOverlayDraft",
                input.idempotency_key,
                {
                    "edition": str(order.edition_id),
                    "effective_from": order.effective_from.isoformat(),
                    "scores": [[one.group_code, str(one.score)] for one in order.scores],
                    "document": order.document,
                    "is_constructed": order.is_constructed,
                },
            )
            return await overlays.draft_overlay(context.platform, context.subject, request, order)

        answer, errors = await answered(run())
        return await _payload(context, answer, errors)

    @strawberry.mutation(
        description="Publish a drafted overlay as a second person (发布市级调整). Role: city_settlement_approver."
    )
    async def area_overlay_publish(self, info: Info, input: AreaOverlayPublishInput) -> AreaOverlayPayload:
        context = info.context

        async def run() -> Answer:
            overlay_id = as_id(key_of(input.overlay, "AreaOverlay", "overlay"), "overlay")
            request = context.request("areaOverlayPublish", input.idempotency_key, {"overlay": str(overlay_id)})
            return await overlays.publish_overlay(context.platform, context.subject, request, overlay_id)

        answer, errors = await answered(run())
        return await _payload(context, answer, errors)

    @strawberry.mutation(
        description="Compute your area's reference costs of a year, as a job; computed once per edition and year "
        "(计算上年参照费用). Role: city_settlement_clerk."
    )
    async def reference_costs_compute(self, info: Info, input: ReferenceCostsComputeInput) -> CatalogJobPayload:
        context = info.context

        async def run() -> Answer:
            edition_id = edition_id_of(input.edition)
            order: dict[str, object] = {"edition": str(edition_id), "year": input.year}
            request = context.request("referenceCostsCompute", input.idempotency_key, order)
            return await reference_costs.start_reference_costs(
                context.platform, context.subject, request, edition_id, input.year
            )

        answer, errors = await answered(run())
        return await job_payload(info, answer, errors)

"""Catalog mutations of the province (目录编制): code tables, editions, builds, scores, publication."""

from __future__ import annotations

import hashlib
import uuid
from collections.abc import Awaitable, Callable
from datetime import date
from enum import Enum

import strawberry

from fenzhi.rules.catalog.edition_lists import CatalogStandard
from fenzhi.rules.catalog.score_edits import TotalRule
from fenzhi.services.acts import Answer, as_id
from fenzhi.services.catalog import build, code_tables, editions, lookups, scores
from fenzhi_graphql.catalog.types import CatalogEdition, CodeTable, CodeTableKind, GroupingStandard
from fenzhi_graphql.context import Context, Info
from fenzhi_graphql.jobs.types import Job, job_in_scope
from fenzhi_graphql.outcomes import ERRORS, UserError, answered
from fenzhi_graphql.paging import key_of
from fenzhi_graphql.scalars import ExactDecimal

_KEY = "A fresh random key; the same when retrying (幂等键)."


@strawberry.input(
    description="Import a code table of less than 1 MiB; larger ones by PUT /v1/code-tables (导入代码表)."
)
class CodeTableImportInput:
    idempotency_key: str = strawberry.field(description=_KEY)
    kind: CodeTableKind = strawberry.field(description="Diagnoses or procedures (类型).")
    version: str = strawberry.field(description="Version, unique per kind (版本号).")
    document: str = strawberry.field(description="Document (文件依据).")
    is_constructed: bool = strawberry.field(default=False, description="Made up for a demonstration (构造).")
    csv: str = strawberry.field(
        description="CSV with the columns code,name,is_gray and, for procedures, procedure_class (文件内容)."
    )


@strawberry.type(description="The code table, or what stood in the way.")
class CodeTablePayload:
    code_table: CodeTable | None = strawberry.field(description="The code table (代码表).")
    user_errors: list[UserError] = strawberry.field(description=ERRORS)


@strawberry.input(description="Open an empty draft of an edition (新建目录草稿).")
class CatalogEditionDraftInput:
    idempotency_key: str = strawberry.field(description=_KEY)
    code: str = strawberry.field(description="Code, unique in the province (版本编码).")
    title: str = strawberry.field(description="Title (名称).")
    effective_from: date = strawberry.field(description="First discharge date it speaks about (生效日期).")
    scale: int = strawberry.field(description="Scale of the scores, such as 1000 (分值基数).")
    score_decimals: int = strawberry.field(description="Decimal places of scores, 0 to 6 (病种分值小数位).")
    diagnosis_table: str = strawberry.field(description="Version of the diagnosis table (诊断代码表版本号).")
    procedure_table: str = strawberry.field(description="Version of the procedure table (手术操作代码表版本号).")
    document: str = strawberry.field(description="Document (文件依据).")
    is_constructed: bool = strawberry.field(default=False, description="Made up for a demonstration (构造).")
    standard: GroupingStandard = strawberry.field(
        default=GroupingStandard.V2, description="National grouping rules the edition follows (分组方案版本)."
    )


@strawberry.input(description="Build groups and scores of a draft from history (由历史病例测算).")
class CatalogEditionBuildInput:
    idempotency_key: str = strawberry.field(description=_KEY)
    edition: strawberry.ID = strawberry.field(description="A draft (目录草稿).")
    years: list[int] = strawberry.field(
        description="History years, oldest first, at most as many as policy has weights; fewer take the latest (年份)."
    )
    base_group: str = strawberry.field(
        default="", description="Code of the base group, for the base-disease method of scores (基准病种)."
    )


@strawberry.input(description="Bring imported scores of a built draft to the built scale (分值换算).")
class CatalogEditionConvertScoresInput:
    idempotency_key: str = strawberry.field(description=_KEY)
    edition: strawberry.ID = strawberry.field(description="A draft built from history (目录草稿).")
    document: str = strawberry.field(description="Document the conversion rests on (文件依据).")
    is_constructed: bool = strawberry.field(default=False, description="Made up for a demonstration (构造).")


@strawberry.enum(description="What happens to Σ score × cases of last year after an edit (总分值处理).")
class ScoreTotalRule(Enum):
    RENORMALISE = strawberry.enum_value(
        "renormalise", description="One factor on all scores keeps the total (全部分值乘同一系数)."
    )
    REJECT = strawberry.enum_value("reject", description="An edit that moves the total is refused (变化即不予通过).")


@strawberry.input(description="A new score of one group (病种新分值).")
class GroupScoreInput:
    group_code: str = strawberry.field(description="Group code (病种编码).")
    score: ExactDecimal = strawberry.field(description="New score, in points of the scale (新分值).")
    row_version: str = strawberry.field(
        default="", description="The group's rowVersion as you read it; a stale one is refused (行版本)."
    )


@strawberry.input(description="Edit scores of a draft within the province's limit (调整病种分值).")
class GroupScoreEditInput:
    idempotency_key: str = strawberry.field(description=_KEY)
    edition: strawberry.ID = strawberry.field(description="A draft (目录草稿).")
    edits: list[GroupScoreInput] = strawberry.field(description="1 to 200 new scores (调整清单).")
    reason: str = strawberry.field(description="Why (理由).")
    total_rule: ScoreTotalRule = strawberry.field(
        default=ScoreTotalRule.RENORMALISE, description="How the total is kept (总分值处理)."
    )


@strawberry.input(description="Hand a draft over for review (送审).")
class CatalogEditionSubmitInput:
    idempotency_key: str = strawberry.field(description=_KEY)
    edition: strawberry.ID = strawberry.field(description="A draft (目录草稿).")


@strawberry.input(description="Publish an edition in review (发布目录).")
class CatalogEditionPublishInput:
    idempotency_key: str = strawberry.field(description=_KEY)
    edition: strawberry.ID = strawberry.field(description="An edition in review (审核中的目录).")


@strawberry.input(description="Send an edition in review back to its editors (退回草稿).")
class CatalogEditionRejectInput:
    idempotency_key: str = strawberry.field(description=_KEY)
    edition: strawberry.ID = strawberry.field(description="An edition in review (审核中的目录).")
    reason: str = strawberry.field(description="Why (理由).")


@strawberry.type(description="The edition, or what stood in the way.")
class CatalogEditionPayload:
    edition: CatalogEdition | None = strawberry.field(description="The edition (目录版本).")
    user_errors: list[UserError] = strawberry.field(description=ERRORS)


@strawberry.type(description="What an edit or a conversion did to the scores, or what stood in the way.")
class ScoreRevisionPayload:
    edition: CatalogEdition | None = strawberry.field(description="The edition (目录版本).")
    changed: int | None = strawberry.field(description="Scores changed (变动病种数).")
    factor: str | None = strawberry.field(description="The exact factor on the scores, a fraction (系数).")
    residual: str | None = strawberry.field(
        description="Σ score × cases after minus before, from rounding alone; blank for a conversion (舍入尾差)."
    )
    user_errors: list[UserError] = strawberry.field(description=ERRORS)


@strawberry.type(description="The job that does it, or what stood in the way.")
class CatalogJobPayload:
    job: Job | None = strawberry.field(description="The job (作业).")
    user_errors: list[UserError] = strawberry.field(description=ERRORS)


def edition_id_of(value: strawberry.ID) -> uuid.UUID:
    """The key of an edition's id. Raises: DataRefused."""
    return as_id(key_of(value, "CatalogEdition", "edition"), "edition")


async def edition_payload(context: Context, answer: Answer | None, errors: list[UserError]) -> CatalogEditionPayload:
    """The edition an act answered with."""
    view = None
    if answer is not None:
        view = await lookups.edition(context.platform, context.subject, uuid.UUID(str(answer["id"])))
    return CatalogEditionPayload(edition=CatalogEdition.of(view) if view else None, user_errors=errors)


async def job_payload(context: Info, answer: Answer | None, errors: list[UserError]) -> CatalogJobPayload:
    """The job an act answered with."""
    job = await job_in_scope(context, uuid.UUID(str(answer["id"]))) if answer is not None else None
    return CatalogJobPayload(job=job, user_errors=errors)


async def _moved(context: Context, run: Callable[[], Awaitable[Answer]]) -> CatalogEditionPayload:
    answer, errors = await answered(run())
    return await edition_payload(context, answer, errors)


async def _revised(context: Context, run: Callable[[], Awaitable[Answer]]) -> ScoreRevisionPayload:
    answer, errors = await answered(run())
    payload = await edition_payload(context, answer, errors)
    return ScoreRevisionPayload(
        edition=payload.edition,
        changed=int(answer["changed"]) if answer else None,
        factor=str(answer["factor"]) if answer else None,
        residual=str(answer["residual"]) if answer else None,
        user_errors=errors,
    )


@strawberry.type
class CatalogMutation:
    @strawberry.mutation(description="Import a code table (导入代码表). Role: province_catalog_editor.")
    async def code_table_import(self, info: Info, input: CodeTableImportInput) -> CodeTablePayload:
        context = info.context
        content = input.csv.encode()
        order = code_tables.NewCodeTable(input.kind.value, input.version, input.document, input.is_constructed)
        request = context.request(
            "codeTableImport",
            input.idempotency_key,
            {
                "kind": order.kind,
                "version": order.version,
                "document": order.document,
                "is_constructed": order.is_constructed,
                "sha256": hashlib.sha256(content).hexdigest(),
            },
        )
        answer, errors = await answered(
            code_tables.import_code_table(context.platform, context.subject, request, order, content)
        )
        view = None
        if answer is not None:
            view = await lookups.code_table(context.platform, context.subject, uuid.UUID(str(answer["id"])))
        return CodeTablePayload(code_table=CodeTable.of(view) if view else None, user_errors=errors)

    @strawberry.mutation(description="Open an empty draft (新建目录草稿). Role: province_catalog_editor.")
    async def catalog_edition_draft(self, info: Info, input: CatalogEditionDraftInput) -> CatalogEditionPayload:
        context = info.context
        order = editions.NewEdition(
            code=input.code,
            title=input.title,
            effective_from=input.effective_from,
            scale=input.scale,
            score_decimals=input.score_decimals,
            diagnosis_table=input.diagnosis_table,
            procedure_table=input.procedure_table,
            document=input.document,
            is_constructed=input.is_constructed,
            standard=CatalogStandard(str(input.standard.value)),
        )
        request = context.request(
            "catalogEditionDraft",
            input.idempotency_key,
            {
                "code": order.code,
                "title": order.title,
                "effective_from": order.effective_from.isoformat(),
                "scale": order.scale,
                "score_decimals": order.score_decimals,
                "diagnosis_table": order.diagnosis_table,
                "procedure_table": order.procedure_table,
                "document": order.document,
                "is_constructed": order.is_constructed,
                # An order of the plain kind keeps the digest it always had, so that its repetition is still known.
                **({"standard": order.standard.value} if order.standard is not CatalogStandard.V2 else {}),
            },
        )
        return await _moved(context, lambda: editions.draft_edition(context.platform, context.subject, request, order))

    @strawberry.mutation(
        description="Build groups and scores of a draft from history, as a job (由历史病例测算). "
        "Role: province_catalog_editor."
    )
    async def catalog_edition_build(self, info: Info, input: CatalogEditionBuildInput) -> CatalogJobPayload:
        context = info.context

        async def run() -> Answer:
            edition_id = edition_id_of(input.edition)
            order: dict[str, object] = {"edition": str(edition_id), "years": list(input.years)}
            if input.base_group:
                order["base_group"] = input.base_group
            request = context.request("catalogEditionBuild", input.idempotency_key, order)
            return await build.start_build(
                context.platform, context.subject, request, edition_id, input.years, input.base_group
            )

        answer, errors = await answered(run())
        return await job_payload(info, answer, errors)

    @strawberry.mutation(
        description="Bring imported scores of a built draft to the built scale, once (分值换算). "
        "Role: province_catalog_editor."
    )
    async def catalog_edition_convert_scores(
        self, info: Info, input: CatalogEditionConvertScoresInput
    ) -> ScoreRevisionPayload:
        context = info.context

        async def run() -> Answer:
            edition_id = edition_id_of(input.edition)
            conversion = scores.Conversion(input.document, input.is_constructed)
            request = context.request(
                "catalogEditionConvertScores",
                input.idempotency_key,
                {
                    "edition": str(edition_id),
                    "document": conversion.document,
                    "is_constructed": conversion.is_constructed,
                },
            )
            return await scores.convert_scores(context.platform, context.subject, request, edition_id, conversion)

        return await _revised(context, run)

    @strawberry.mutation(
        description="Edit scores of a draft within the province's limit (调整病种分值). Role: province_catalog_editor."
    )
    async def group_score_edit(self, info: Info, input: GroupScoreEditInput) -> ScoreRevisionPayload:
        context = info.context

        async def run() -> Answer:
            edition_id = edition_id_of(input.edition)
            edits = [scores.ScoreEdit(one.group_code, one.score, one.row_version) for one in input.edits]
            request = context.request(
                "groupScoreEdit",
                input.idempotency_key,
                {
                    "edition": str(edition_id),
                    "edits": [
                        [one.group_code, str(one.score), *([one.row_version] if one.row_version else [])]
                        for one in edits
                    ],
                    "reason": input.reason,
                    "total_rule": input.total_rule.name,
                },
            )
            return await scores.edit_group_scores(
                context.platform,
                context.subject,
                request,
                edition_id,
                edits,
                input.reason,
                TotalRule[input.total_rule.name],
            )

        return await _revised(context, run)

    @strawberry.mutation(description="Hand a draft over for review (送审). Role: province_catalog_editor.")
    async def catalog_edition_submit(self, info: Info, input: CatalogEditionSubmitInput) -> CatalogEditionPayload:
        context = info.context

        async def run() -> Answer:
            edition_id = edition_id_of(input.edition)
            request = context.request("catalogEditionSubmit", input.idempotency_key, {"edition": str(edition_id)})
            return await editions.submit_edition(context.platform, context.subject, request, edition_id)

        return await _moved(context, run)

    @strawberry.mutation(
        description="Publish an edition as a second person (发布目录). Role: province_catalog_approver."
    )
    async def catalog_edition_publish(self, info: Info, input: CatalogEditionPublishInput) -> CatalogEditionPayload:
        context = info.context

        async def run() -> Answer:
            edition_id = edition_id_of(input.edition)
            request = context.request("catalogEditionPublish", input.idempotency_key, {"edition": str(edition_id)})
            return await editions.publish_edition(context.platform, context.subject, request, edition_id)

        return await _moved(context, run)

    @strawberry.mutation(
        description="Send an edition in review back to its editors (退回草稿). Role: province_catalog_approver."
    )
    async def catalog_edition_reject(self, info: Info, input: CatalogEditionRejectInput) -> CatalogEditionPayload:
        context = info.context

        async def run() -> Answer:
            edition_id = edition_id_of(input.edition)
            request = context.request(
                "catalogEditionReject",
                input.idempotency_key,
                {"edition": str(edition_id), "reason": input.reason},
            )
            return await editions.reject_edition(context.platform, context.subject, request, edition_id, input.reason)

        return await _moved(context, run)

"""The league of data quality in GraphQL (数据质量排名)."""

from __future__ import annotations

from datetime import datetime

import strawberry

from fenzhi.services.acts import Answer, as_id
from fenzhi.services.scorecard import quality_league
from fenzhi_graphql.context import Info
from fenzhi_graphql.jobs.types import Job, job_in_scope, uuid_of
from fenzhi_graphql.node import Node, finds
from fenzhi_graphql.outcomes import ERRORS, UserError, answered
from fenzhi_graphql.paging import Connection, connection, global_id, key_of, keys_of, page_size
from fenzhi_graphql.scalars import ExactDecimal

_KEY = "A fresh random key; the same when retrying (幂等键)."
_CODES = "timeliness 及时率, completeness 完整率, first_pass 首次通过率, grouping 入组率 or code_accuracy 编码准确率"


@strawberry.type(description="One rate with both of its parts (指标).")
class QualityRate:
    code: str = strawberry.field(description=f"{_CODES} (代码).")
    numerator: int = strawberry.field(description="Lists, or cases, that count for it (分子).")
    denominator: int = strawberry.field(description="Lists uploaded for the first time, or cases settled (分母).")
    value: ExactDecimal | None = strawberry.field(
        description="Printed with four places, half up; null where nothing was counted (值)."
    )


@strawberry.type(description="The weight of a rate (权重).")
class QualityWeight:
    code: str = strawberry.field(description=f"{_CODES} (代码).")
    weight: ExactDecimal = strawberry.field(description="Weight, printed with four places (权重).")


@strawberry.type(description="A hospital's place in the league (排名).")
class QualityLeagueRow:
    hospital_code: str = strawberry.field(description="Institution code (机构编码).")
    rank: int | None = strawberry.field(
        description="Rank; equal scores share one and the next is skipped; null where the hospital cannot be judged (名次)."
    )
    score: ExactDecimal | None = strawberry.field(
        description="Weighted score of 1, printed with four places, half up (得分)."
    )
    rates: list[QualityRate] = strawberry.field(description="The five rates (各项指标).")


@strawberry.type(
    description="The league of data quality of a settlement month (数据质量排名); counties and hospitals see published ones."
)
class QualityLeague(Node):
    settlement_month: int = strawberry.field(description="yyyymm (结算年月).")
    state: str = strawberry.field(description="draft or published; withdrawn for a replaced draft (状态).")
    weights: list[QualityWeight] = strawberry.field(description="Weights by policy (权重).")
    policy_fingerprint: str = strawberry.field(description="SHA-256 of the policy it was drafted by (政策指纹).")
    published_at: datetime | None = strawberry.field(description="When it was published (公布时间).")
    rows: list[QualityLeagueRow] = strawberry.field(description="Places in order of rank, then of code (排名).")

    @staticmethod
    def of(view: quality_league.LeagueView) -> QualityLeague:
        return QualityLeague(
            id=global_id("QualityLeague", view.league_id),
            settlement_month=view.settlement_month,
            state=view.state,
            weights=[QualityWeight(code=code, weight=ExactDecimal(weight)) for code, weight in view.weights],
            policy_fingerprint=view.policy_fingerprint,
            published_at=view.published_at,
            rows=[
                QualityLeagueRow(
                    hospital_code=row.hospital_code,
                    rank=row.rank,
                    score=ExactDecimal(row.score) if row.score is not None else None,
                    rates=[
                        QualityRate(
                            code=one.code,
                            numerator=one.numerator,
                            denominator=one.denominator,
                            value=ExactDecimal(one.printed) if one.printed is not None else None,
                        )
                        for one in row.rates
                    ],
                )
                for row in view.rows
            ],
        )


@strawberry.input(description="Have the league of a month drafted (起草排名).")
class QualityLeagueDraftInput:
    idempotency_key: str = strawberry.field(description=_KEY)
    settlement_month: int = strawberry.field(description="yyyymm (结算年月).")


@strawberry.input(description="Publish a drafted league as a second person (公布排名).")
class QualityLeaguePublishInput:
    idempotency_key: str = strawberry.field(description=_KEY)
    quality_league: strawberry.ID = strawberry.field(description="The league (排名).")


@strawberry.type(description="The drafting job, or what stood in the way.")
class QualityLeagueDraftPayload:
    job: Job | None = strawberry.field(description="The job that drafts (作业).")
    user_errors: list[UserError] = strawberry.field(description=ERRORS)


@strawberry.type(description="The league, or what stood in the way.")
class QualityLeaguePayload:
    quality_league: QualityLeague | None = strawberry.field(description="The league (排名).")
    user_errors: list[UserError] = strawberry.field(description=ERRORS)


async def _in_scope(info: Info, key: str) -> QualityLeague | None:
    found = uuid_of(key)
    view = await quality_league.league_by_id(info.context.platform, info.context.subject, found) if found else None
    return QualityLeague.of(view) if view else None


@finds("QualityLeague")
async def _league_node(info: Info, key: str) -> Node | None:
    return await _in_scope(info, key)


@strawberry.type
class QualityLeagueQuery:
    @strawberry.field(description="Leagues of data quality in your scope, the newest first (数据质量排名列表).")
    async def quality_leagues(
        self, info: Info, first: int, after: str | None = None, settlement_month: int | None = None
    ) -> Connection[QualityLeague]:
        context = info.context
        size = page_size(first)
        place = f"qualityLeagues/{settlement_month}"
        keys = keys_of(context, place, after)
        last = uuid_of(str(keys[0])) if keys else None
        views = await quality_league.leagues(context.platform, context.subject, last, size + 1, settlement_month)
        return connection(context, place, views, size, QualityLeague.of, lambda view: [str(view.league_id)])


@strawberry.type
class QualityLeagueMutation:
    @strawberry.mutation(
        description="Have the league of data quality of a month drafted; a draft that stands is replaced (起草排名). "
        "Role: city_settlement_clerk."
    )
    async def quality_league_draft(self, info: Info, input: QualityLeagueDraftInput) -> QualityLeagueDraftPayload:
        context = info.context
        month = input.settlement_month
        request = context.request("qualityLeagueDraft", input.idempotency_key, {"month": month})
        answer, errors = await answered(quality_league.want_league(context.platform, context.subject, request, month))
        job = await job_in_scope(info, uuid_of(str(answer["id"]))) if answer else None
        return QualityLeagueDraftPayload(job=job, user_errors=errors)

    @strawberry.mutation(
        description="Publish a drafted league to the counties and hospitals of the area (公布排名). Role: city_settlement_approver."
    )
    async def quality_league_publish(self, info: Info, input: QualityLeaguePublishInput) -> QualityLeaguePayload:
        context = info.context

        async def act() -> Answer:
            league_id = as_id(key_of(input.quality_league, "QualityLeague", "qualityLeague"), "qualityLeague")
            request = context.request("qualityLeaguePublish", input.idempotency_key, {"league": str(league_id)})
            return await quality_league.publish_league(context.platform, context.subject, request, league_id)

        answer, errors = await answered(act())
        found = await _in_scope(info, str(answer["id"])) if answer else None
        return QualityLeaguePayload(quality_league=found, user_errors=errors)

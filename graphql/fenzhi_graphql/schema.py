"""The schema (模式): one query and one mutation type, put together from the nouns."""

from __future__ import annotations

from typing import Any

import strawberry
import structlog
from graphql import ExecutionResult, GraphQLError
from strawberry.extensions import DisableIntrospection, MaxTokensLimiter, ParserCache, ValidationCache
from strawberry.schema.config import StrawberryConfig

from fenzhi.rules.refusals import FenzhiError
from fenzhi.telemetry.metrics import OPERATION_NAMES
from fenzhi_graphql.audit.queries import AuditQuery
from fenzhi_graphql.catalog.area_mutations import AreaCatalogMutation
from fenzhi_graphql.catalog.desk_mutations import CatalogDeskMutation
from fenzhi_graphql.catalog.mutations import CatalogMutation
from fenzhi_graphql.catalog.provisional_fields import ProvisionalMutation, ProvisionalQuery
from fenzhi_graphql.catalog.queries import CatalogQuery
from fenzhi_graphql.catalog.regroup_fields import RegroupMutation, RegroupQuery
from fenzhi_graphql.clearing.answers import StatementMutation
from fenzhi_graphql.clearing.between_areas import BetweenAreasMutation, BetweenAreasQuery
from fenzhi_graphql.clearing.mutations import ClearingMutation
from fenzhi_graphql.clearing.queries import ClearingQuery
from fenzhi_graphql.context import Context
from fenzhi_graphql.deadlines.mutations import DeadlineMutation
from fenzhi_graphql.deadlines.queries import DeadlineQuery
from fenzhi_graphql.events.mutations import EventMutation
from fenzhi_graphql.events.queries import EventQuery
from fenzhi_graphql.fund.mutations import FundMutation
from fenzhi_graphql.fund.queries import FundQuery
from fenzhi_graphql.fund.year_mutations import YearMutation
from fenzhi_graphql.fund.year_queries import YearQuery
from fenzhi_graphql.grouping.queries import GroupingQuery
from fenzhi_graphql.identity.mutations import IdentityMutation
from fenzhi_graphql.identity.queries import IdentityQuery
from fenzhi_graphql.jobs.queries import JobsQuery
from fenzhi_graphql.limits import NO_PRICES, TOKENS_MOST, Prices, limits_extension, prices_of, without_suggestion
from fenzhi_graphql.node import NodeQuery
from fenzhi_graphql.observed import observed
from fenzhi_graphql.point_value.mutations import PointValueMutation
from fenzhi_graphql.point_value.queries import PointValueQuery
from fenzhi_graphql.policy.mutations import PolicyMutation
from fenzhi_graphql.policy.queries import PolicyQuery
from fenzhi_graphql.registry.mutations import RegistryMutation
from fenzhi_graphql.registry.queries import RegistryQuery
from fenzhi_graphql.review.mutations import ReviewMutation
from fenzhi_graphql.review.queries import ReviewQuery
from fenzhi_graphql.scalars import SCALARS
from fenzhi_graphql.scorecard.league import QualityLeagueMutation, QualityLeagueQuery
from fenzhi_graphql.scorecard.mutations import ScorecardMutation
from fenzhi_graphql.scorecard.queries import ScorecardQuery
from fenzhi_graphql.sight import WitnessingExecutor
from fenzhi_graphql.submission.filing_mutations import FilingMutation
from fenzhi_graphql.submission.filing_queries import FilingQuery
from fenzhi_graphql.submission.mutations import SubmissionMutation
from fenzhi_graphql.submission.personal import PersonalMutation
from fenzhi_graphql.submission.queries import SubmissionQuery
from fenzhi_graphql.submission.simulation import QcSimulationMutation, QcSimulationQuery

_log = structlog.get_logger("fenzhi.api")

QUERIES: tuple[type[Any], ...] = (
    NodeQuery,
    RegistryQuery,
    IdentityQuery,
    JobsQuery,
    FundQuery,
    YearQuery,
    DeadlineQuery,
    PolicyQuery,
    CatalogQuery,
    RegroupQuery,
    ProvisionalQuery,
    SubmissionQuery,
    FilingQuery,
    QcSimulationQuery,
    EventQuery,
    GroupingQuery,
    PointValueQuery,
    ClearingQuery,
    BetweenAreasQuery,
    ReviewQuery,
    ScorecardQuery,
    QualityLeagueQuery,
    AuditQuery,
)
MUTATIONS: tuple[type[Any], ...] = (
    RegistryMutation,
    IdentityMutation,
    FundMutation,
    YearMutation,
    DeadlineMutation,
    PolicyMutation,
    CatalogMutation,
    AreaCatalogMutation,
    CatalogDeskMutation,
    RegroupMutation,
    ProvisionalMutation,
    SubmissionMutation,
    FilingMutation,
    QcSimulationMutation,
    EventMutation,
    PointValueMutation,
    ClearingMutation,
    StatementMutation,
    BetweenAreasMutation,
    ReviewMutation,
    ScorecardMutation,
    QualityLeagueMutation,
    PersonalMutation,
)

Query = strawberry.type(
    type("Query", QUERIES, {}),
    description="Everything that can be asked. Each answer stays inside your tenant's scope.",
)
Mutation = strawberry.type(
    type("Mutation", MUTATIONS, {}),
    description="Everything that can be changed. Each mutation takes one input with an idempotency key.",
)


class FenzhiSchema(strawberry.Schema):
    """The schema, with the price of each field, and errors that say what a caller may know and nothing else."""

    prices: Prices = NO_PRICES

    def process_errors(self, errors: list[GraphQLError], execution_context: Any = None) -> None:
        """Expected errors are not logged as faults; the rest is, without their arguments."""
        context = getattr(execution_context, "context", None)
        for error in errors:
            original = error.original_error
            if original is not None and not isinstance(original, FenzhiError | GraphQLError | ValueError):
                _log.error(
                    "fault",
                    kind=type(original).__name__,
                    where=".".join(map(str, error.path or ())),
                    request_id=context.request_id if isinstance(context, Context) else "",
                    exc_info=original,
                )


def masked(error: GraphQLError, request_id: str) -> GraphQLError:
    """The error as a caller may see it: expected errors with their code, our own mistakes as one sentence and the request id."""
    original = error.original_error
    is_input = isinstance(original, ValueError) and error.path is None  # A scalar refused a value before anything ran.
    if original is None or isinstance(original, GraphQLError) or is_input:
        extensions = {"code": "GRAPHQL_INVALID", **(error.extensions or {}), "requestId": request_id}
        return GraphQLError(
            without_suggestion(error.message), nodes=error.nodes, path=error.path, extensions=extensions
        )
    if isinstance(original, FenzhiError):
        extensions = {
            "code": original.code,
            "messageEn": original.en,
            "hint": original.hint,
            "requestId": request_id,
        }
        refusals = getattr(original, "refusals", ())
        if refusals:
            extensions["refusals"] = [
                {"code": r.code, "path": r.where, "message": r.zh, "messageEn": r.en} for r in refusals
            ]
        return GraphQLError(original.zh, path=error.path, extensions=extensions)
    return GraphQLError(
        f"内部错误，请求号 {request_id}。Internal error, request {request_id}.",
        path=error.path,
        extensions={"code": "INTERNAL", "requestId": request_id},
    )


def build_schema(*, introspection: bool = True) -> FenzhiSchema:
    """The executable schema (构建模式). Introspection stays closed unless the caller's role opens it."""
    extensions: list[Any] = [
        observed,
        lambda: MaxTokensLimiter(max_token_count=TOKENS_MOST),
        limits_extension,
        lambda: ParserCache(maxsize=256),
        lambda: ValidationCache(maxsize=256),
    ]
    if not introspection:
        extensions.append(lambda: DisableIntrospection())
    schema = FenzhiSchema(
        query=Query,
        mutation=Mutation,
        extensions=extensions,
        execution_context_class=WitnessingExecutor,
        config=StrawberryConfig(
            auto_camel_case=True, scalar_map=SCALARS, disable_field_suggestions=True, batching_config=None
        ),
    )
    schema.prices = prices_of(schema._schema)
    kinds = (schema._schema.query_type, schema._schema.mutation_type)
    OPERATION_NAMES.add(name for kind in kinds if kind is not None for name in kind.fields)
    OPERATION_NAMES.add(("__schema", "__type", "__typename"))
    return schema


__all__ = ["MUTATIONS", "QUERIES", "ExecutionResult", "build_schema", "masked"]

"""The API process (接口服务): GraphQL at /graphql, upload and download paths, health."""

from __future__ import annotations

import asyncio
import base64
import gc
import hashlib
import json
import re
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path
from typing import Any

import msgspec
from cross_web import HTTPException, StarletteRequestAdapter
from cryptography.hazmat.primitives.asymmetric.ec import EllipticCurvePublicKey
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPublicKey
from jwt import PyJWKSet
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route
from strawberry.asgi import GraphQL
from strawberry.http import GraphQLHTTPResponse, GraphQLRequestData
from strawberry.types import ExecutionResult

from fenzhi.access.issuer_keys import KeyHosts
from fenzhi.access.roles import Role
from fenzhi.access.tokens import PublicKey, TrustedKeys, Unauthenticated, Verifier
from fenzhi.access.webhook_hosts import WebhookHosts
from fenzhi.logs import configure_logging
from fenzhi.rules.refusals import FenzhiError
from fenzhi.services.acts import Platform
from fenzhi.services.audit.sight import Sight, witness
from fenzhi.services.identity.failures import LockedOut
from fenzhi.services.identity.trust import Trust, TrustedIssuer
from fenzhi.services.jobs.observation import watch_connections
from fenzhi.services.opening import is_ready, open_platform
from fenzhi.settings import Settings
from fenzhi.telemetry.exposition import keep_pulse, metrics_at
from fenzhi.telemetry.metrics import OPERATION_NAMES
from fenzhi.telemetry.traces import tracing
from fenzhi_graphql.asgi import Envelope
from fenzhi_graphql.catalog.rest import catalog_routes
from fenzhi_graphql.context import Context
from fenzhi_graphql.draining import Draining
from fenzhi_graphql.jobs.rest import job_routes
from fenzhi_graphql.limits import BODY_MOST
from fenzhi_graphql.persisted import Operations, RequestRefused, read_body, request_of
from fenzhi_graphql.rate import Budgets, RateLimited, Rates
from fenzhi_graphql.schema import FenzhiSchema, build_schema, masked
from fenzhi_graphql.sign_in import SignIn
from fenzhi_graphql.submission.national import national_routes
from fenzhi_graphql.submission.rest import UPLOAD_MOST, submission_routes
from fenzhi_graphql.turns import RequestTurns

UPLOAD_PREFIXES = ("/v1/batches/", "/v1/code-tables/", "/v1/catalog-editions/", "/v1/nhsa/", "/v1/settlement-records")
"""Paths that take large bodies (上传路径)."""


class ReadRequest(StarletteRequestAdapter):
    """A request whose body was read, checked and completed before the view was called (已读请求)."""

    def __init__(self, request: Request) -> None:
        super().__init__(request)
        self.body: dict[str, Any] = request.state.body


class FenzhiView(GraphQL[Context, None]):
    """GraphQL over POST with JSON, nothing else: no GET, no batching, no multipart, no page in the browser, no subscriptions."""

    request_adapter_class = ReadRequest

    def __init__(self, schema: FenzhiSchema, cursor_key: bytes) -> None:
        super().__init__(schema, graphql_ide=None, allow_queries_via_get=False, multipart_uploads_enabled=False)
        self._cursor_key = cursor_key

    async def get_context(self, request: Any, response: Any) -> Context:
        request.state.sight = sight = Sight()
        return Context(
            platform=request.app.state.platform,
            subject=request.state.subject,
            request_id=request.state.request_id,
            cursor_key=self._cursor_key,
            idempotency_header=request.headers.get("idempotency-key", ""),
            kept_operation=request.state.kept_operation,
            charge=request.state.charge,
            sight=sight,
        )

    def encode_json(self, data: object) -> bytes:
        """UTF-8 as it is: Chinese can be read in any terminal, and takes half the bytes."""
        return msgspec.json.encode(data)

    async def parse_http_body(self, request: Any) -> GraphQLRequestData:
        """The operation of the request."""
        body = request.body
        return GraphQLRequestData(
            query=body["query"],
            variables=body.get("variables"),
            operation_name=body.get("operationName"),
            extensions=body.get("extensions"),
        )

    async def process_result(self, request: Any, result: ExecutionResult, strict: bool = False) -> GraphQLHTTPResponse:
        if result.errors:
            result.errors = [masked(error, request.state.request_id) for error in result.errors]
        if result.data is not None:
            state = request.state
            await witness(request.app.state.platform, state.subject, state.sight, state.request_id)
        return await super().process_result(request, result)


_CELL = re.compile(r"([^!]{1,31})!([A-Z]{1,3})([1-9][0-9]{0,6})", re.ASCII)


def problem(exc: FenzhiError, request_id: str) -> JSONResponse:
    """An expected error of a path outside GraphQL (错误响应)."""
    body: dict[str, Any] = {
        "code": exc.code,
        "message": exc.zh,
        "messageEn": exc.en,
        "hint": exc.hint,
        "requestId": request_id,
    }
    refusals = getattr(exc, "refusals", ())
    if refusals:
        body["refusals"] = [
            {
                "code": r.code,
                "path": r.where,
                "saw": r.saw,
                "message": r.zh,
                "messageEn": r.en,
                "remedy": r.remedy_zh,
                "remedyEn": r.remedy_en,
            }
            | cell_of(r.where)
            for r in refusals
        ]
    headers = {"www-authenticate": "Bearer"} if exc.http_status == 401 else {}
    if exc.http_status == 503:
        headers["retry-after"] = "2"
    if isinstance(exc, RateLimited | LockedOut):
        headers["retry-after"] = str(exc.retry_after_s)
    return JSONResponse({"error": body}, status_code=exc.http_status, headers=headers)


def cell_of(where: str) -> dict[str, Any]:
    """Sheet, column and row of a place that is a cell (单元格位置), or nothing."""
    found = _CELL.fullmatch(where)
    return {"sheet": found[1], "column": found[2], "row": int(found[3])} if found else {}


async def _refused(request: Request, exc: Exception) -> Response:
    assert isinstance(exc, FenzhiError)
    return problem(exc, request.state.request_id)


def verifier_of(settings: Settings) -> Verifier:
    """The trusted keys of the one issuer (可信公钥), read again when they rotate. Raises: ValueError when there is none."""
    path = settings.token_keys_file
    if path is None:
        raise ValueError("no issuer: set FENZHI_JWT_ISSUER and FENZHI_JWT_PUBLIC_KEYS")

    def read() -> dict[str, PublicKey]:
        jwks = PyJWKSet.from_dict(json.loads(Path(path).read_text(encoding="utf-8")))
        return {
            jwk.key_id: jwk.key
            for jwk in jwks.keys
            if jwk.key_id and isinstance(jwk.key, EllipticCurvePublicKey | RSAPublicKey)
        }

    return Verifier(issuer=settings.token_issuer, audience=settings.jwt_audience, keys=TrustedKeys(read))


def trust_of(settings: Settings, platform: Platform) -> Trust:
    """Whom a process believes: the issuer of the settings, and those registered on the platform (令牌信任). Raises: ValueError."""
    hosts = KeyHosts(settings.jwks_hosts)
    if settings.jwt_keys_url:
        own = TrustedIssuer(settings.token_issuer, settings.jwt_keys_url, settings.jwt_audience)
        return Trust(None, platform.database, remote=own, hosts=hosts)
    return Trust(verifier_of(settings), platform.database, hosts=hosts)


def routes(cursor_key: bytes) -> list[Route]:
    """Every path of the API (路径表). The probes enumerate this list."""
    free = FenzhiView(build_schema(introspection=True), cursor_key)
    closed = FenzhiView(build_schema(introspection=False), cursor_key)

    async def graphql(request: Request) -> Response:
        request.state.subject = await request.app.state.sign_in.subject(request)
        is_developer = request.state.subject.role is Role.INTEGRATION_DEVELOPER
        body = request_of(await read_body(request))
        request.state.body = request.app.state.operations.resolve(body, may_write=is_developer)
        request.state.kept_operation = request.app.state.operations.name_of(request.state.body["query"])
        view = free if is_developer else closed
        try:
            async with request.app.state.turns.turn(request.state.subject.tenant):
                response = await view.run(request)
        except HTTPException as exc:
            raise RequestRefused("请求无法执行。", exc.reason) from exc
        retry_after_s = getattr(request.state, "retry_after_s", None)
        if retry_after_s is not None:
            response.status_code = 429
            response.headers["retry-after"] = str(retry_after_s)
        return response

    async def healthz(_request: Request) -> Response:
        return JSONResponse({"status": "ok"})

    async def readyz(request: Request) -> Response:
        parts = await is_ready(request.app.state.platform)
        draining: Draining | None = getattr(request.app.state, "draining", None)
        if draining is not None and draining.is_on:
            return JSONResponse(parts | {"draining": True}, status_code=503)
        return JSONResponse(parts, status_code=200 if parts["database"] else 503)

    return [
        Route("/graphql", graphql, methods=["POST"]),
        Route("/healthz", healthz, methods=["GET"]),
        Route("/readyz", readyz, methods=["GET"]),
        *submission_routes(),
        *national_routes(),
        *catalog_routes(),
        *job_routes(),
    ]


def application(
    platform: Platform,
    trust: Trust | Verifier,
    cursor_key: bytes,
    *,
    budgets: Budgets | None = None,
    operations: Operations | None = None,
) -> Starlette:
    """The application over an open platform (应用). Tests build it this way too."""
    app = Starlette(routes=routes(cursor_key), exception_handlers={FenzhiError: _refused})
    app.state.platform = platform
    app.state.sign_in = SignIn(trust, platform, budgets)
    app.state.operations = operations or Operations()
    app.state.turns = RequestTurns()
    return app


def wrapped(app: Any, draining: Draining | None = None) -> Envelope:
    """The application inside its envelope of limits."""
    return Envelope(
        app,
        deadline_s=15,
        body_most=BODY_MOST,
        upload_most=UPLOAD_MOST,
        upload_prefixes=UPLOAD_PREFIXES,
        draining=draining,
    )


def rates_of(settings: Settings) -> Rates:
    """The budget of one client from the settings (流量参数)."""
    return Rates(
        units_per_s=settings.rate_units_per_s, burst=settings.rate_burst_units, at_once=settings.rate_requests_at_once
    )


def master_key_of(settings: Settings) -> bytes:
    """The master key from the settings. Raises: ValueError when there is none."""
    if settings.master_key is None:
        raise ValueError("FENZHI_MASTER_KEY (base64 of 32 random bytes) is not set")
    return base64.b64decode(settings.master_key.get_secret_value(), validate=True)


@contextmanager
def settled_memory() -> Iterator[None]:
    """Set aside what lives as long as the process (内存固化): schemas and modules, some hundred thousand objects.

    The garbage collector would look at all of them again and again, and hold every request for a tenth of a second each time.
    """
    gc.collect()
    gc.freeze()
    try:
        yield
    finally:
        gc.unfreeze()


def create_app() -> Any:
    """The ASGI application of one API process (接口进程入口), from the environment."""
    settings = Settings()
    configure_logging(settings.log_level)
    if settings.app_database_url is None or settings.redis_url is None:
        raise ValueError("FENZHI_APP_DATABASE_URL and FENZHI_REDIS_URL must be set")
    master_key = master_key_of(settings)
    cursor_key = hashlib.sha256(b"fenzhi/cursor/" + master_key).digest()
    app_dsn = settings.app_database_url.get_secret_value()
    redis_url = settings.redis_url.get_secret_value()

    draining = Draining()

    @asynccontextmanager
    async def lifespan(app: Starlette) -> AsyncIterator[None]:
        async with open_platform(
            app_dsn,
            redis_url,
            master_key,
            is_development=settings.development,
            application="fenzhi-api",
            key_hosts=KeyHosts(settings.jwks_hosts),
            webhook_hosts=WebhookHosts.of(settings.webhook_hosts, settings.webhook_networks),
            webhook_ca_file=settings.webhook_ca_file,
        ) as platform:
            app.state.platform = platform
            app.state.sign_in = SignIn(trust_of(settings, platform), platform, Budgets(rates_of(settings)))
            app.state.operations = Operations.read(
                settings.persisted_operations, trusted_only=settings.trusted_operations_only
            )
            OPERATION_NAMES.add(app.state.operations.names.values())
            app.state.turns = RequestTurns()
            watch_connections(platform)
            with (
                metrics_at("api", settings.metrics_host, settings.metrics_port),
                tracing(settings.otlp_endpoint, "fenzhi-api", settings.trace_one_in),
                settled_memory(),
                draining.by_sigterm(settings.api_drain_s),
            ):
                pulse = asyncio.create_task(keep_pulse())
                yield
                pulse.cancel()

    app = Starlette(routes=routes(cursor_key), lifespan=lifespan, exception_handlers={FenzhiError: _refused})
    app.state.draining = draining
    return wrapped(app, draining)


__all__ = ["Unauthenticated", "application", "create_app", "wrapped"]

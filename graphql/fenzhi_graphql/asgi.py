"""Pure ASGI middleware (中间件): request id, deadline, body cap, one log line per request without personal data.

Never Starlette's BaseHTTPMiddleware: it hides disconnects and loses context variables.
"""

from __future__ import annotations

import asyncio
import re
import time
import uuid
from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any

import structlog
from starlette.responses import JSONResponse

from fenzhi.rules.refusals import FenzhiError
from fenzhi.telemetry.metrics import FAULTS, HTTP_IN_FLIGHT, HTTP_REQUESTS, HTTP_SECONDS, METHODS, OTHER
from fenzhi.telemetry.traces import Span, SpanKind, fail, span, tell, trace_id
from fenzhi_graphql.draining import Draining

Scope = MutableMapping[str, Any]
Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
App = Callable[[Scope, Receive, Send], Awaitable[None]]

_REQUEST_ID = re.compile(rb"[A-Za-z0-9._-]{8,64}")
_log = structlog.get_logger("fenzhi.api")


BODY_IDLE_S = 15.0
"""How long a client may send nothing of a body it has begun (请求体停顿上限)."""


BODY_GRACE_S = 10.0
"""How long may be waited for a body before its pace counts (请求体宽限)."""
BODY_PACE = 1_024
"""Bytes per second that a body must bring on average after that (请求体最低速率)."""


class BodyTooLarge(FenzhiError):
    """The body is larger than this path takes (请求体过大)."""

    code = "BODY_TOO_LARGE"
    http_status = 413

    def __init__(self, most: int = 0) -> None:
        super().__init__(f"请求体超过 {most} 字节。", f"The body exceeds {most} bytes.")


class BodySlow(FenzhiError):
    """The body did not arrive in time (请求体过慢)."""

    code = "BODY_SLOW"
    http_status = 408

    def __init__(self) -> None:
        super().__init__("请求体未在时限内到达。", "The body did not arrive in time.")


class Envelope:
    """Wraps every request: id, deadline, body cap, log line (请求外层)."""

    def __init__(
        self,
        app: App,
        *,
        deadline_s: float,
        body_most: int,
        upload_most: int,
        upload_prefixes: tuple[str, ...],
        body_idle_s: float = BODY_IDLE_S,
        body_grace_s: float = BODY_GRACE_S,
        draining: Draining | None = None,
    ) -> None:
        self._app = app
        self._deadline_s = deadline_s
        self._body_most = body_most
        self._upload_most = upload_most
        self._upload_prefixes = upload_prefixes
        self._body_idle_s = body_idle_s
        self._body_grace_s = body_grace_s
        self._draining = draining

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        with span("http", SpanKind.SERVER) as traced:
            await self._answer(scope, receive, send, traced)

    async def _answer(self, scope: Scope, receive: Receive, send: Send, traced: Span) -> None:
        headers = dict(scope["headers"])
        given = headers.get(b"x-request-id", b"")
        request_id = given.decode() if _REQUEST_ID.fullmatch(given) else uuid.uuid4().hex
        scope.setdefault("state", {})["request_id"] = request_id
        path: str = scope["path"]
        is_upload = path.startswith(self._upload_prefixes) and scope["method"] in ("PUT", "POST")
        most = self._upload_most if is_upload else self._body_most
        streams = path.endswith("/events") or path.endswith(".ndjson")
        began = time.monotonic()
        status = 500
        started = False
        received = 0
        waited = 0.0
        is_whole = False
        stated = headers.get(b"content-length", b"")
        is_stated_too_large = stated.isdigit() and int(stated[:20]) > most

        async def counted() -> Message:
            nonlocal received, is_whole, waited
            if is_whole:
                return await receive()
            if is_stated_too_large:
                raise BodyTooLarge(most)
            asked = time.monotonic()
            try:
                async with asyncio.timeout(self._body_idle_s):
                    message = await receive()
            except TimeoutError as exc:
                raise BodySlow from exc
            waited += time.monotonic() - asked
            if message["type"] == "http.request":
                received += len(message.get("body", b""))
                is_whole = not message.get("more_body", False)
                if received > most:
                    raise BodyTooLarge(most)
                if not is_whole and received < BODY_PACE * (waited - self._body_grace_s):
                    raise BodySlow
            return message

        async def named(message: Message) -> None:
            nonlocal status, started
            if message["type"] == "http.response.start":
                started = True
                status = message["status"]
                message["headers"] = [
                    *message.get("headers", ()),
                    (b"x-request-id", request_id.encode()),
                    (b"cache-control", b"no-store"),
                    (b"x-content-type-options", b"nosniff"),
                ]
                if self._draining is not None and self._draining.is_on:
                    message["headers"].append((b"connection", b"close"))
            await send(message)

        async def answer(status_: int, code: str, zh: str, en: str) -> None:
            if started:
                return
            body = {"error": {"code": code, "message": zh, "messageEn": en, "requestId": request_id}}
            # What is left of a body that was refused is not worth waiting for.
            headers = {"connection": "close"} if status_ in (BodySlow.http_status, BodyTooLarge.http_status) else None
            await JSONResponse(body, status_code=status_, headers=headers)(scope, receive, named)

        HTTP_IN_FLIGHT.inc()
        try:
            async with asyncio.timeout(None if streams else self._deadline_s * (12 if is_upload else 1)):
                await self._app(scope, counted, named)
        except (BodyTooLarge, BodySlow) as exc:
            await answer(exc.http_status, exc.code, exc.zh, exc.en)
        except TimeoutError:
            await answer(503, "DEADLINE", "处理超时，请稍后重试。", "The request took too long; try again.")
        except Exception as exc:
            FAULTS.labels("http").inc()
            _log.error("fault", request_id=request_id, kind=type(exc).__name__, path=path)
            await answer(500, "INTERNAL", f"内部错误，请求号 {request_id}。", f"Internal error, request {request_id}.")
        finally:
            state = scope.get("state", {})
            if leave := state.pop("leave", None):
                leave()
            seconds = time.monotonic() - began
            route = getattr(scope.get("route"), "path", OTHER)
            HTTP_IN_FLIGHT.dec()
            HTTP_REQUESTS.labels(route, METHODS.label(scope["method"]), str(status)).inc()
            HTTP_SECONDS.labels(route).observe(seconds)
            traced.update_name(f"{METHODS.label(scope['method'])} {route}")
            tell(
                traced,
                http_request_method=METHODS.label(scope["method"]),
                http_route=route,
                http_response_status_code=status,
            )
            if status >= 500:
                fail(traced)
            _log.info(
                "request",
                request_id=request_id,
                method=scope["method"],
                path=path,
                status=status,
                ms=round(seconds * 1000, 1),
                tenant=state.get("tenant", ""),
                role=state.get("role", ""),
                **({"trace_id": found} if (found := trace_id()) else {}),
            )

"""The paths of the national adapter (国家接口通道): one message a request, answered in the national envelope whatever happens."""

from __future__ import annotations

from datetime import datetime
from typing import Any
from zoneinfo import ZoneInfo

import msgspec
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from fenzhi.rules.refusals import DataRefused, FenzhiError, Refusal
from fenzhi.services.submission.national.message import answer, read_message
from fenzhi.services.submission.national.transactions import admit, carry_out

_ZONE = ZoneInfo("Asia/Shanghai")
_REFUSED = frozenset({400, 404, 409, 422})
"""What a message was refused with is told in the envelope, under status 200; who may not ask, or must wait, is told by the status too."""


async def message(request: Request) -> Response:
    """`POST /v1/nhsa/{infno}`: one message of transactions 4101A, 4102, 4103, 4104, 4105, 3606 or 3607."""
    msgid = ""
    received = datetime.now(_ZONE).strftime("%Y-%m-%d %H:%M:%S")
    subject = await request.app.state.sign_in.subject(request)  # Who is nobody is told so as on every other path.
    try:
        infno = request.path_params["infno"]
        admit(subject, infno)
        body = await request.body()
        given = read_message(body, infno)
        msgid = given.msgid
        async with request.app.state.turns.turn(subject.tenant):
            output = await carry_out(request.app.state.platform, subject, given, body, request.state.request_id)
        return _json(answer(msgid, received, output), 200, {})
    except DataRefused as exc:
        return _json(answer(msgid, received, None, exc.refusals), 200, {})
    except FenzhiError as exc:
        status = 200 if exc.http_status in _REFUSED else exc.http_status
        headers = {"www-authenticate": "Bearer"} if status == 401 else {}
        retry = getattr(exc, "retry_after_s", 2 if status == 503 else None)
        if retry is not None:
            headers["retry-after"] = str(retry)
        refusal = Refusal(exc.code, "", "", exc.zh, exc.en, exc.hint or "", exc.hint or "")
        return _json(answer(msgid, received, None, (refusal,)), status, headers)


def _json(content: dict[str, Any], status: int, headers: dict[str, str]) -> Response:
    return Response(msgspec.json.encode(content), status, headers, "application/json")


def national_routes() -> list[Route]:
    """The paths (路径)."""
    return [Route("/v1/nhsa/{infno}", message, methods=["POST"])]

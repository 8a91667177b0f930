"""Upload and download paths of submission (上报通道)."""

from __future__ import annotations

import asyncio
import base64
import binascii
import hashlib
import re
import uuid
from collections.abc import AsyncIterator

import msgspec
from starlette.requests import ClientDisconnect, Request
from starlette.responses import JSONResponse, Response, StreamingResponse
from starlette.routing import Route

from fenzhi.rules.quantities import yuan_from_fen
from fenzhi.rules.submission.verdict_price import Price
from fenzhi.services.acts import Request as Order
from fenzhi.services.acts import as_id
from fenzhi.services.audit.sight import Sight, witness
from fenzhi.services.submission import lookups, parts
from fenzhi.services.submission.annotated_workbook import annotated
from fenzhi.services.submission.ownership import no_such_batch
from fenzhi.services.submission.part_formats import XLSX_TYPE
from fenzhi.services.submission.settlement_records import import_records
from fenzhi.services.submission.template_workbook import template_workbook
from fenzhi.services.submission.verdict_price import PriceBook
from fenzhi_graphql.asgi import BodyTooLarge
from fenzhi_graphql.paging import key_of

UPLOAD_MOST = parts.PART_MOST + 1024
"""Bytes after which the envelope stops reading; the path itself answers typed before that."""
_SHA_256 = re.compile(r"(?:^|,)\s*sha-256\s*=\s*:([A-Za-z0-9+/=]+):", re.ASCII)


def _place(request: Request) -> tuple[uuid.UUID, int]:
    batch_id = as_id(key_of(request.path_params["batch"], "Batch", "batch"), "batch")
    number = request.path_params["part"]
    return batch_id, int(number) if number.isdecimal() and len(number) < 7 else 0


def _stated_digest(request: Request) -> bytes | None:
    """The SHA-256 of Content-Digest (RFC 9530), or none where the header has none. Raises: PartUnreadable."""
    given = request.headers.get("content-digest", "")
    found = _SHA_256.search(given)
    if found is None:
        return None
    try:
        digest = base64.b64decode(found[1], validate=True)
    except binascii.Error:
        digest = b""
    if len(digest) != 32:
        raise parts.PartUnreadable(
            "Content-Digest 不是 SHA-256 摘要。", "Content-Digest holds no SHA-256.", code="CONTENT_DIGEST"
        )
    return digest


def _too_large() -> parts.PartTooLarge:
    return parts.PartTooLarge(
        f"分片超过 {parts.PART_MOST} 字节，请拆分。", f"The part exceeds {parts.PART_MOST} bytes; split it."
    )


def _truncated() -> parts.PartTruncated:
    return parts.PartTruncated(
        "上传中断，未保存。", "The upload broke off; nothing was kept.", hint="重新上传本分片 / send it again"
    )


async def _whole_body(request: Request) -> bytes:
    """The body, whole. Raises: PartTooLarge, PartTruncated."""
    stated = request.headers.get("content-length", "")
    length = int(stated) if stated.isdecimal() else None
    if length is not None and length > parts.PART_MOST:
        raise _too_large()
    body = bytearray()
    try:
        async for piece in request.stream():
            body += piece
            if len(body) > parts.PART_MOST:
                raise _too_large()
    except BodyTooLarge as exc:
        raise _too_large() from exc
    except ClientDisconnect as exc:
        raise _truncated() from exc
    if length is not None and len(body) != length:
        raise _truncated()
    return bytes(body)


async def put_part(request: Request) -> Response:
    """`PUT /v1/batches/{id}/parts/{n}`: keep one part of an open batch; 201 when new, 200 when it was there already."""
    subject = await request.app.state.sign_in.subject(request)
    platform = request.app.state.platform
    batch_id, number = _place(request)
    await parts.may_receive(platform, subject, batch_id, number)
    digest = _stated_digest(request)
    content = await _whole_body(request)
    async with request.app.state.turns.turn(subject.tenant):
        kept = await parts.put_part(
            platform,
            subject,
            batch_id,
            number,
            content,
            encoding=request.headers.get("content-encoding", ""),
            sha256=digest,
            media_type=request.headers.get("content-type", ""),
        )
    body = {
        "part": kept.part_no,
        "bytes": kept.size,
        "sha256": kept.sha256.hex(),
        "format": kept.format,
        "charset": kept.charset,
    }
    return JSONResponse(body, status_code=201 if kept.is_new else 200, headers=_digest_header(kept))


async def head_part(request: Request) -> Response:
    """`HEAD /v1/batches/{id}/parts/{n}`: size and digest of a part that is kept."""
    subject = await request.app.state.sign_in.subject(request)
    batch_id, number = _place(request)
    kept = await parts.part_view(request.app.state.platform, subject, batch_id, number)
    return Response(headers={**_digest_header(kept), "content-length": str(kept.size)})


def _digest_header(kept: parts.PartView) -> dict[str, str]:
    """Repr-Digest (RFC 9530): of the part itself, however it was compressed on the way."""
    return {"repr-digest": f"sha-256=:{base64.b64encode(kept.sha256).decode()}:"}


async def verdicts(request: Request) -> Response:
    """`GET /v1/batches/{id}/verdicts.ndjson`: every verdict of a batch, one a line, in order of row."""
    subject = await request.app.state.sign_in.subject(request)
    platform = request.app.state.platform
    batch_id = as_id(key_of(request.path_params["batch"], "Batch", "batch"), "batch")
    if await lookups.batch(platform, subject, batch_id) is None:
        raise no_such_batch()

    async def lines() -> AsyncIterator[bytes]:
        encoder = msgspec.json.Encoder()
        book = PriceBook(platform, subject, batch_id)
        pages = lookups.every_verdict(platform, subject, batch_id)
        while True:
            # Each page is a request of its own: pages are much work, and whoever reads them slowly holds up nobody.
            async with request.app.state.turns.turn(subject.tenant):
                page = await anext(pages, None)
                if page is None:
                    return
                prices = await book.prices(page)
                sight = Sight(operations={"GET verdicts.ndjson"})
                sight.row(*((batch_id, view.row_no) for view in page))
                await witness(platform, subject, sight, request.state.request_id)
                told = [encoder.encode(_wire(view, price)) + b"\n" for view, price in zip(page, prices, strict=True)]
            yield b"".join(told)

    return StreamingResponse(lines(), media_type="application/x-ndjson")


def _wire(view: lookups.VerdictView, price: Price) -> dict[str, object]:
    return {
        "row": view.row_no,
        "setl_id": view.setl_id,
        "rule": view.rule,
        "code": view.code,
        "severity": view.severity,
        "path": view.path,
        "saw": view.saw,
        "message": view.zh,
        "message_en": view.en,
        "remedy": view.remedy_zh,
        "remedy_en": view.remedy_en,
        "price": {
            "points": price.points,
            "total_cost": None if price.total_cost_fen is None else yuan_from_fen(price.total_cost_fen),
            "basic_fund": None if price.basic_fund_fen is None else yuan_from_fen(price.basic_fund_fen),
            "reason_code": None if price.why is None else price.why.value,
            "reason": price.zh,
            "reason_en": price.en,
        },
    }


async def annotated_part(request: Request) -> Response:
    """`GET /v1/batches/{id}/annotated.xlsx?part=1`: the hospital's own table with its findings marked."""
    subject = await request.app.state.sign_in.subject(request)
    batch_id = as_id(key_of(request.path_params["batch"], "Batch", "batch"), "batch")
    number = request.query_params.get("part", "1")
    part = int(number) if number.isascii() and number.isdecimal() and len(number) < 7 else 0
    content = await annotated(request.app.state.platform, subject, batch_id, part, request.state.request_id)
    return _workbook(content, "annotated.xlsx")


async def template(request: Request) -> Response:
    """`GET /v1/templates/settlement-lists.xlsx`: the template of a table of lists."""
    await request.app.state.sign_in.subject(request)
    return _workbook(await asyncio.to_thread(template_workbook), "settlement-lists.xlsx")


def _workbook(content: bytes, name: str) -> Response:
    return Response(content, media_type=XLSX_TYPE, headers={"content-disposition": f'attachment; filename="{name}"'})


async def settlement_records(request: Request) -> Response:
    """`POST /v1/settlement-records`: import what the core system settled, one record a line, all or none."""
    subject = await request.app.state.sign_in.subject(request)
    body = await _whole_body(request)
    order = Order(
        "settlementRecordsImport",
        request.headers.get("idempotency-key", ""),
        {"sha256": hashlib.sha256(body).hexdigest()},
        request.state.request_id,
    )
    answer = await import_records(request.app.state.platform, subject, order, body)
    return JSONResponse({name: answer[name] for name in ("records", "repeated", "lists")}, status_code=201)


def submission_routes() -> list[Route]:
    """The paths (路径)."""
    return [
        Route("/v1/batches/{batch}/parts/{part}", put_part, methods=["PUT"]),
        Route("/v1/batches/{batch}/parts/{part}", head_part, methods=["HEAD"]),
        Route("/v1/batches/{batch}/verdicts.ndjson", verdicts, methods=["GET"]),
        Route("/v1/batches/{batch}/annotated.xlsx", annotated_part, methods=["GET"]),
        Route("/v1/settlement-records", settlement_records, methods=["POST"]),
        Route("/v1/templates/settlement-lists.xlsx", template, methods=["GET"]),
    ]

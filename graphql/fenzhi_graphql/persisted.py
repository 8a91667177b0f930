"""Reading a GraphQL request (请求解析), and operations kept by their hash (预存操作).

A client may send `extensions.persistedQuery.sha256Hash` instead of a document that the operator has put into the file of operations.
Nothing is ever added by a request. Where only trusted operations are accepted, everybody but an integration developer needs one of them.
"""

from __future__ import annotations

import asyncio
import hashlib
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import msgspec
from starlette.requests import Request

from fenzhi.rules.refusals import FenzhiError
from fenzhi_graphql.asgi import BodySlow
from fenzhi_graphql.limits import TEXT_MOST

VALUES_MOST = 20_000
"""Commas and opening brackets of one body: no fewer than its values."""
BODY_DEADLINE_S = 10.0
_NAMED = re.compile(r"\b(?:query|mutation)\s+([_A-Za-z][_0-9A-Za-z]{0,63})\b")
_HASH = re.compile(r"[0-9a-f]{64}")


class RequestRefused(FenzhiError):
    """The request is not a GraphQL request as this platform takes it (请求格式不符)."""

    code = "REQUEST_MALFORMED"
    http_status = 400


class WrongMediaType(RequestRefused):
    """The body is not plain JSON (媒体类型不符)."""

    code = "MEDIA_TYPE"
    http_status = 415


@dataclass(frozen=True, slots=True)
class Operations:
    """The operations of the file (预存操作表): SHA-256 → document."""

    texts: Mapping[str, str] = field(default_factory=dict)
    trusted_only: bool = False
    names: Mapping[str, str] = field(default_factory=dict)
    """SHA-256 → the name the operator gave the operation inside its document (操作名); for metrics."""

    @staticmethod
    def read(file: Path | None, *, trusted_only: bool = False) -> Operations:
        """Read a JSON object of hash and document (读取). Raises: ValueError naming a hash that is not its document's."""
        texts = {} if file is None else msgspec.json.decode(file.read_bytes(), type=dict[str, str])
        for digest, text in texts.items():
            if digest != sha256_of(text) or len(text) > TEXT_MOST:
                raise ValueError(f"{file}: {digest} is not the SHA-256 of its document, or the document is too long")
        names = {digest: found[1] for digest, text in texts.items() if (found := _NAMED.search(text))}
        return Operations(texts, trusted_only, names)

    def name_of(self, text: str) -> str:
        """The name of a document that is kept, else empty (预存操作名)."""
        return self.names.get(sha256_of(text), "") if self.names else ""

    def resolve(self, body: dict[str, Any], *, may_write: bool) -> dict[str, Any]:
        """The request with its document put in (填入文档). Raises: RequestRefused."""
        digest = _stated_hash(body)
        text = body.get("query")
        if digest is not None and text is None:
            text = self.texts.get(digest)
            if text is None:
                raise RequestRefused(
                    "没有此哈希的预存操作。", "No operation of this hash is kept.", code="PERSISTED_QUERY_NOT_FOUND"
                )
        elif digest is not None and text is not None and digest != sha256_of(text):
            raise RequestRefused("哈希与文档不符。", "The hash is not the document's.", code="PERSISTED_QUERY_MISMATCH")
        if not text:
            raise RequestRefused("请求没有查询文档。", "The request has no document.")
        if self.trusted_only and not may_write and sha256_of(text) not in self.texts:
            raise RequestRefused("只接受预存操作。", "Only operations that are kept are accepted.", code="NOT_TRUSTED")
        return body | {"query": text}


def sha256_of(text: str) -> str:
    """The SHA-256 of a document in lower-case hexadecimal (文档哈希)."""
    return hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()


def _stated_hash(body: Mapping[str, Any]) -> str | None:
    stated = (body.get("extensions") or {}).get("persistedQuery")
    if stated is None:
        return None
    digest = stated.get("sha256Hash") if isinstance(stated, dict) else None
    if not isinstance(digest, str) or not _HASH.fullmatch(digest):
        raise RequestRefused("预存操作的哈希格式不符。", "The hash of a kept operation is 64 lower-case hex digits.")
    return digest


async def read_body(request: Request) -> bytes:
    """The body of a GraphQL request within its deadline (读取请求体). Raises: WrongMediaType, BodyTooLarge, BodySlow."""
    if request.headers.get("content-encoding", "identity").strip().lower() not in ("", "identity"):
        raise WrongMediaType("请求体不得压缩。", "The body may not be compressed.", code="CONTENT_ENCODING")
    media = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    if media != "application/json":
        raise WrongMediaType("请求体须为 application/json。", "The body must be application/json.")
    try:
        async with asyncio.timeout(BODY_DEADLINE_S):
            return await request.body()
    except TimeoutError as exc:
        raise BodySlow from exc


def request_of(raw: bytes | str) -> dict[str, Any]:
    """The one request in a body (解析请求). Raises: RequestRefused; never does more than the limits allow."""
    data = raw.encode() if isinstance(raw, str) else raw
    if data.count(b",") + data.count(b"[") + data.count(b"{") > VALUES_MOST:
        raise RequestRefused(
            f"请求超过 {VALUES_MOST} 个值。", f"The request holds more than {VALUES_MOST} values.", code="TOO_MUCH"
        )
    try:
        body = msgspec.json.decode(data)
    except (msgspec.DecodeError, RecursionError, UnicodeDecodeError) as exc:
        raise RequestRefused("请求体不是合格的 JSON。", "The body is not well-formed JSON.") from exc
    if not isinstance(body, dict):
        raise RequestRefused("一次只接受一个请求。", "One request at a time: the body is one JSON object.")
    for name, kind in (("query", str), ("operationName", str), ("variables", dict), ("extensions", dict)):
        if body.get(name) is not None and not isinstance(body[name], kind):
            raise RequestRefused(f"{name} 的类型不符。", f"{name} has the wrong type.")
    return body

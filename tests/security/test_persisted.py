"""Operations kept by their hash, and what is refused before a document is parsed."""

from __future__ import annotations

import hashlib
import json
from collections.abc import AsyncIterator
from pathlib import Path

import httpx
import pytest

from builders.world import World
from fenzhi.access.roles import Role
from fenzhi.access.tokens import Verifier
from fenzhi_graphql.app import application, wrapped
from fenzhi_graphql.persisted import VALUES_MOST, Operations, RequestRefused, request_of

KEPT = "{ hospitals(first: 2) { nodes { code } } }"
FREE = "{ hospitals(first: 1) { nodes { code } } }"


def sha(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()


def by_hash(digest: str) -> dict[str, object]:
    return {"extensions": {"persistedQuery": {"version": 1, "sha256Hash": digest}}}


def client(world: World, operations: Operations, token: httpx.Headers) -> httpx.AsyncClient:
    verifier = Verifier("fenzhi-development", "fenzhi", {world.key.key_id: world.key.private.public_key()})
    app = wrapped(application(world.platform, verifier, b"c" * 32, operations=operations))
    transport = httpx.ASGITransport(app=app, raise_app_exceptions=False)
    return httpx.AsyncClient(transport=transport, base_url="http://fenzhi.test", headers=token)


def test_a_file_whose_hash_lies_is_refused(tmp_path: Path) -> None:
    file = tmp_path / "operations.json"
    file.write_text(json.dumps({sha(KEPT): KEPT}))
    assert Operations.read(file).texts == {sha(KEPT): KEPT}
    file.write_text(json.dumps({sha(KEPT): FREE}))
    with pytest.raises(ValueError, match="is not the SHA-256"):
        Operations.read(file)
    assert Operations.read(None).texts == {}


async def test_by_hash_by_text_and_by_neither(world: World) -> None:
    token = (await world.client("410100", Role.CITY_SETTLEMENT_CLERK)).http.headers
    async with client(world, Operations({sha(KEPT): KEPT}), token) as http:
        kept = await http.post("/graphql", json=by_hash(sha(KEPT)))
        assert len(kept.json()["data"]["hospitals"]["nodes"]) == 2
        assert (await http.post("/graphql", json={"query": KEPT})).json() == kept.json()
        assert (await http.post("/graphql", json={"query": FREE})).status_code == 200
        for body, code in (
            (by_hash(sha(FREE)), "PERSISTED_QUERY_NOT_FOUND"),
            ({"query": FREE} | by_hash(sha(KEPT)), "PERSISTED_QUERY_MISMATCH"),
            (by_hash("../../etc/passwd"), "REQUEST_MALFORMED"),
            (by_hash(sha(KEPT).upper()), "REQUEST_MALFORMED"),
            ({"extensions": {"persistedQuery": [1]}}, "REQUEST_MALFORMED"),
            ({}, "REQUEST_MALFORMED"),
        ):
            answer = await http.post("/graphql", json=body)
            assert (answer.status_code, answer.json()["error"]["code"]) == (400, code)
        # A hash sent with its text is not kept: nothing is added by a request.
        assert (await http.post("/graphql", json={"query": FREE} | by_hash(sha(FREE)))).status_code == 200
        assert (await http.post("/graphql", json=by_hash(sha(FREE)))).status_code == 400


async def test_only_trusted_operations_where_the_operator_says_so(world: World) -> None:
    token = (await world.client("410100", Role.CITY_SETTLEMENT_CLERK)).http.headers
    async with client(world, Operations({sha(KEPT): KEPT}, trusted_only=True), token) as http:
        assert (await http.post("/graphql", json=by_hash(sha(KEPT)))).status_code == 200
        assert (await http.post("/graphql", json={"query": KEPT})).status_code == 200
        refused = await http.post("/graphql", json={"query": FREE})
        assert (refused.status_code, refused.json()["error"]["code"]) == (400, "NOT_TRUSTED")


@pytest.mark.parametrize(
    "raw",
    [
        b"",
        b"[]",
        b'[{"query":"{ __typename }"}]',
        b'"{ __typename }"',
        b"{",
        b"\xff\xfe{}",
        b'{"query": NaN}',
        b'{"query": 1}',
        b'{"query": "{ __typename }", "variables": []}',
        b'{"query": "{ __typename }", "operationName": {}}',
        b'{"query": "{ __typename }", "variables": {"a":' + b"[" * 5000 + b"]" * 5000 + b"}}",
        b'{"variables": {"a":' + b'{"a":' * 4000 + b"1" + b"}" * 4000 + b"}}",
        b'{"variables": {"a": [' + b"1," * VALUES_MOST + b"1]}}",
    ],
    ids=[
        "empty", "batch", "batch of one", "text", "cut", "utf-16", "NaN", "number", "list variables", "object name",
        "deep lists", "deep objects", "many values",
    ],
)  # fmt: skip
def test_what_is_no_request_is_refused_by_name(raw: bytes) -> None:
    with pytest.raises(RequestRefused) as refusal:
        request_of(raw)
    assert refusal.value.http_status == 400


@pytest.mark.parametrize(
    ("headers", "status", "code"),
    [
        ({"content-type": "text/plain"}, 415, "MEDIA_TYPE"),
        ({"content-type": "multipart/form-data; boundary=x"}, 415, "MEDIA_TYPE"),
        ({"content-type": "application/x-www-form-urlencoded"}, 415, "MEDIA_TYPE"),
        ({"content-type": "application/graphql"}, 415, "MEDIA_TYPE"),
        ({"content-type": ""}, 415, "MEDIA_TYPE"),
        ({"content-type": "application/json", "content-encoding": "gzip"}, 415, "CONTENT_ENCODING"),
        ({"content-type": "application/json", "content-encoding": "br, gzip"}, 415, "CONTENT_ENCODING"),
        ({"content-type": "application/json; charset=utf-8"}, 200, ""),
    ],
)
async def test_only_plain_json_is_read(world: World, headers: dict[str, str], status: int, code: str) -> None:
    signed_in = await world.client("410100", Role.CITY_SETTLEMENT_CLERK)
    answer = await signed_in.http.post("/graphql", content=b'{"query":"{ __typename }"}', headers=headers)
    assert answer.status_code == status
    assert answer.json().get("error", {}).get("code", "") == code


async def test_a_body_beyond_the_cap_is_refused_stated_or_streamed(world: World) -> None:
    signed_in = await world.client("410100", Role.CITY_SETTLEMENT_CLERK)
    pulled = 0

    async def endless() -> AsyncIterator[bytes]:
        nonlocal pulled
        for _ in range(800):
            pulled += 1
            yield b" " * 65_536

    json_type = {"content-type": "application/json"}
    stated = await signed_in.http.post(
        "/graphql", content=endless(), headers=json_type | {"content-length": "52428800"}
    )
    assert (stated.status_code, stated.json()["error"]["code"], pulled) == (413, "BODY_TOO_LARGE", 0)
    streamed = await signed_in.http.post("/graphql", content=endless(), headers=json_type)
    assert (streamed.status_code, streamed.json()["error"]["code"]) == (413, "BODY_TOO_LARGE")
    assert pulled <= 18

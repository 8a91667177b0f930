"""The upload path: caps, digests, encodings, broken uploads; what is kept is sealed; another's batch does not exist."""

from __future__ import annotations

import base64
import hashlib
import json
from collections.abc import AsyncIterator

import pytest
import pytest_asyncio
import zstandard
from sqlalchemy import text

from builders.submission_place import Place, ndjson, open_place, zipped
from builders.world import Client, World
from fenzhi.access.roles import Role
from fenzhi.access.scope import DatabaseRole, Scope
from fenzhi.services.submission import parts
from fenzhi.store.keyring import SealBroken
from fenzhi.store.repositories import registry


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def place(world: World) -> Place:
    return await open_place(world, "53")


@pytest_asyncio.fixture
async def uploading(place: Place) -> tuple[Client, str, str]:
    client = await place.submitter()
    batch = await place.create(client)
    return client, batch["uploadPath"], batch["id"]


def digest(content: bytes) -> str:
    return f"sha-256=:{base64.b64encode(hashlib.sha256(content).digest()).decode()}:"


async def put(client: Client, path: str, content: bytes, **headers: str) -> tuple[int, str]:
    response = await client.http.put(
        path, content=content, headers={k.replace("_", "-"): v for k, v in headers.items()}
    )
    body = response.json()
    return response.status_code, body["error"]["code"] if "error" in body else body["sha256"]


async def test_a_part_is_the_same_part_however_it_was_compressed(
    place: Place, uploading: tuple[Client, str, str]
) -> None:
    client, path, _ = uploading
    content = ndjson([place.listed("U1"), place.listed("U2")])
    name = hashlib.sha256(content).hexdigest()
    assert await put(client, path + "1", content) == (201, name)
    assert await put(client, path + "1", zipped(content), content_encoding="gzip") == (200, name)
    two_frames = zstandard.compress(content[:100]) + zstandard.compress(content[100:])
    assert await put(client, path + "1", two_frames, content_encoding="zstd") == (200, name)
    assert await put(client, path + "1", content + b"\n") == (409, "PART_DIFFERS")
    head = await client.http.head(path + "1")
    assert (head.status_code, head.headers["content-length"]) == (200, str(len(content)))
    assert head.headers["repr-digest"] == digest(content)
    assert (await client.http.head(path + "2")).status_code == 404


async def test_a_digest_that_does_not_fit_keeps_nothing(place: Place, uploading: tuple[Client, str, str]) -> None:
    client, path, _ = uploading
    packed = zipped(b"{}\n")
    wrong = digest(b"another")
    assert await put(client, path + "1", packed, content_encoding="gzip", content_digest=wrong) == (
        400,
        "CONTENT_DIGEST",
    )
    assert await put(client, path + "1", b"{}", content_digest="sha-256=:AAAA:") == (400, "CONTENT_DIGEST")
    assert (await client.http.head(path + "1")).status_code == 404
    good = digest(packed)
    assert (await put(client, path + "1", packed, content_encoding="gzip", content_digest=good))[0] == 201


async def test_truncated_uploads_keep_nothing(place: Place, uploading: tuple[Client, str, str]) -> None:
    client, path, _ = uploading
    content = ndjson([place.listed(f"V{n}") for n in range(50)])
    for encoding, packed in (("gzip", zipped(content)), ("zstd", zstandard.compress(content))):
        assert await put(client, path + "1", packed[:-20], content_encoding=encoding) == (400, "PART_TRUNCATED")
        assert await put(client, path + "1", content, content_encoding=encoding) == (400, "PART_UNREADABLE")
    short = await put(client, path + "1", content[:100], content_length=str(len(content)))
    assert short == (400, "PART_TRUNCATED")

    told = iter([{"type": "http.request", "body": content[:100], "more_body": True}, {"type": "http.disconnect"}])
    sent: list[dict[str, object]] = []

    async def receive() -> dict[str, object]:
        return next(told)

    async def send(message: dict[str, object]) -> None:
        sent.append(message)

    headers = [(b"authorization", client.http.headers["authorization"].encode())]
    where = {"path": path + "1", "raw_path": path.encode() + b"1", "root_path": "", "query_string": b""}
    scope = {"type": "http", "http_version": "1.1", "method": "PUT", "scheme": "http", "headers": headers, **where}
    await place.world.app(scope, receive, send)
    assert sent[0]["status"] == 400
    assert (await client.http.head(path + "1")).status_code == 404


async def test_bodies_beyond_the_caps_are_refused(uploading: tuple[Client, str, str]) -> None:
    client, path, _ = uploading
    big = bytes(parts.PART_MOST + 1)
    assert await put(client, path + "1", big) == (413, "PART_TOO_LARGE")

    async def in_pieces() -> AsyncIterator[bytes]:
        for start in range(0, len(big), 1 << 20):
            yield big[start : start + (1 << 20)]

    response = await client.http.put(path + "1", content=in_pieces())
    assert (response.status_code, response.json()["error"]["code"]) == (413, "PART_TOO_LARGE")
    bomb = bytes(parts.INFLATED_MOST + 1)
    assert await put(client, path + "1", zipped(bomb), content_encoding="gzip") == (413, "PART_TOO_LARGE")
    assert await put(client, path + "1", zstandard.compress(bomb), content_encoding="zstd") == (413, "PART_TOO_LARGE")
    many = b"\n" * (parts.LINES_MOST + 1)
    assert await put(client, path + "1", many) == (413, "PART_TOO_MANY_LINES")
    assert await put(client, path + "1", b"{}", content_encoding="br") == (415, "CONTENT_ENCODING")


async def test_places_that_are_no_part_of_ones_own_open_batch(place: Place, uploading: tuple[Client, str, str]) -> None:
    client, path, batch_id = uploading
    for number in ("0", "10001", "1x", "-1"):
        assert await put(client, path + number, b"{}") == (404, "NOT_FOUND"), number
    for tenant, role in (
        (place.county_hospital, Role.HOSPITAL_SUBMITTER),
        (place.other_hospital, Role.HOSPITAL_SUBMITTER),
        (place.city, Role.CITY_SETTLEMENT_CLERK),
        (place.other_city, Role.CITY_SETTLEMENT_CLERK),
    ):
        stranger = await place.client(tenant, role)
        assert await put(stranger, path + "1", b"{}") == (404, "NOT_FOUND"), tenant
        assert (await stranger.http.head(path + "1")).status_code == 404
        assert (await place.seal(stranger, batch_id))["userErrors"][0]["code"] == "NOT_FOUND", tenant
    for role in (Role.HOSPITAL_VIEWER,):
        viewer = await place.client(place.hospital, role)
        assert await put(viewer, path + "1", b"{}") == (403, "FORBIDDEN")
    anonymous = await client.http.put(path + "1", content=b"{}", headers={"authorization": ""})
    assert anonymous.status_code == 401
    assert await put(client, "/v1/batches/nonsense/parts/1", b"{}") == (422, "DATA_REFUSED")


async def test_nothing_personal_lies_open_in_the_store(place: Place) -> None:
    await place.submit([place.listed("N1")])
    world = place.world
    async with world.platform.database.unit_of_work(Scope(role=DatabaseRole.OPERATOR, tenant="operator")) as uow:
        area = await registry.area_by_code(uow, place.city)
    assert area is not None
    scope = Scope(role=DatabaseRole.WORKER, tenant="t", province_id=area.province_id, area_id=area.area_id)
    async with world.platform.database.unit_of_work(scope) as uow:
        kept = await uow.rows(
            text(
                "select p.case_id, p.key_id, p.sealed_fields, p.person_index, b.sealed_bytes, c::text as facts "
                "from inpatient_case c join case_personal p using (area_id, case_id) "
                "join batch_part b on b.batch_id = c.batch_id where c.setl_id = 'N1'"
            )
        )
    (row,) = kept
    secrets = ["合成患者姓名", "CERTN1", "PERSONN1", "RECORDN1", "MN1"]
    for secret in secrets:
        assert secret.encode() not in row.sealed_fields
        assert secret.encode() not in row.sealed_bytes
        assert secret.encode() not in row.person_index
        assert secret not in row.facts
    keyring = world.platform.keyring
    opened = keyring.unseal(area.area_id, row.key_id, row.sealed_fields, row.case_id.bytes)
    assert json.loads(opened) == {
        "psn_no": "PERSONN1",
        "psn_name": "合成患者姓名",
        "certno": "CERTN1",
        "brdy": "1950-01-01",
        "medcasno": "RECORDN1",
        "mdtrt_id": "MN1",
    }
    assert row.person_index == keyring.person_index(area.area_id, "PERSONN1")
    with pytest.raises(SealBroken):
        keyring.unseal(area.area_id, row.key_id, row.sealed_fields, bytes(16))
    with pytest.raises(SealBroken):
        keyring.unseal(area.area_id + 1, row.key_id, row.sealed_fields, row.case_id.bytes)

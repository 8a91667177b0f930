"""Signatures of national messages: known answers both ways, and a province that asks for them."""

from __future__ import annotations

import base64
import json
from datetime import datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

import pytest
import pytest_asyncio

from builders.national import envelope, list_of
from builders.submission_place import Place, enter_policy, open_place
from builders.world import World, new_key
from fenzhi.access.roles import Role
from fenzhi.services.submission.national.message import decoded
from fenzhi.services.submission.national.signature import PROVIDERS, SignatureKind, signed_text, sm3

REGISTER = (
    "mutation($i: MessageKeyRegisterInput!) { messageKeyRegister(input: $i) { registered userErrors { code path } } }"
)
SECRET = "a shared secret of a test"
PRIVATE = bytes.fromhex("3945208F7B2144B13F36E38AC6D39F95889393692860B51A42FB81EF4DF7C5B8")
PUBLIC = (
    "09F9DF311E5421A150DD7D161E4BC5C672179FAD1833FC076BB08FF356F35020"
    "CCEA490CE26775A52DC6EA718CC1AA600AED05FBF35E084A6632F6072DA9AD13"
)
STANDARD_R = "F5A03B0648D2C4630EEAC513E1BB81A15944DA3827D5B74143AC7EACEEE720B3"
STANDARD_S = "B1B6AA29DF212FD8763182BC0D421CA1BB9038FD1F7F42D4840B69C485BBC1AA"


def test_sm3_as_in_the_standard() -> None:
    assert sm3(b"abc").hex() == "66c7f0f462eeedd9d1f2d46bdc10e4e24167c4875cf2f7a2297da02b8f4ba8e0"


def test_sm2_as_in_the_standard() -> None:
    provider = PROVIDERS[SignatureKind.SM2]
    known = base64.b64encode(bytes.fromhex(STANDARD_R + STANDARD_S)).decode()
    assert provider.verify(b"message digest", bytes.fromhex(PUBLIC), known)
    assert not provider.verify(b"message digesT", bytes.fromhex(PUBLIC), known)
    own = provider.sign(b"text", PRIVATE)
    assert provider.verify(b"text", bytes.fromhex(PUBLIC), own)
    for broken in ("", "AAAA", own[:-4], "x" * 88, base64.b64encode(b"\0" * 64).decode()):
        assert not provider.verify(b"text", bytes.fromhex(PUBLIC), broken)


def test_what_is_signed_keeps_a_numbers_own_text() -> None:
    message = decoded(b'{"msgid":"M1","infno":"4101A","input":{"b":1.50,"a":[true,null,"\xe5\xad\x97"]},"cainfo":"X"}')
    assert signed_text(message).decode() == 'infno=4101A&input={"a":[true,null,"字"],"b":1.50}&msgid=M1'


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def place(world: World) -> Place:
    return await open_place(world, "93")


async def asked(place: Place, kind: str) -> None:
    await enter_policy(place.world, place.province, {"submission.national_signature": kind})


async def register(place: Place, **changes: Any) -> dict[str, Any]:
    clerk = await place.client(place.city, Role.CITY_SETTLEMENT_CLERK)
    order = {
        "idempotencyKey": new_key(),
        "hospital": place.hospital,
        "signature": "SM3",
        "secret": SECRET,
        "validFrom": "2020-01-01",
        "validTo": "2099-12-31",
    } | changes
    return (await clerk.gql(REGISTER, {"i": order}))["messageKeyRegister"]  # type: ignore[no-any-return]


def now(off: timedelta = timedelta()) -> str:
    return (datetime.now(ZoneInfo("Asia/Shanghai")) + off).strftime("%Y-%m-%d %H:%M:%S")


async def sent(place: Place, setl_id: str, kind: SignatureKind, key: bytes, **changes: Any) -> tuple[int, str]:
    message = envelope(place, "4101A", list_of(place, setl_id), signtype=kind.value, inf_time=now()) | changes
    text = signed_text(decoded(json.dumps(message).encode()))
    message["cainfo"] = changes.get("cainfo", PROVIDERS[kind].sign(text, key))
    client = await place.submitter()
    response = await client.http.post("/v1/nhsa/4101A", content=json.dumps(message, ensure_ascii=False).encode())
    answer = response.json()
    return response.status_code, "" if answer["infcode"] == "0" else answer["output"]["refusals"][0]["code"]


async def test_a_province_that_asks_for_signatures(place: Place) -> None:
    await asked(place, "SM3")
    assert (await register(place))["registered"]
    sm3_key = SECRET.encode()
    refused = (401, "SIGNATURE_REFUSED")
    assert await sent(place, "S1", SignatureKind.SM3, sm3_key) == (200, "")
    assert await sent(place, "S2", SignatureKind.SM3, b"another secret of a test") == refused
    assert await sent(place, "S2", SignatureKind.SM3, sm3_key, inf_time=now(timedelta(minutes=-6))) == refused
    assert await sent(place, "S2", SignatureKind.SM3, sm3_key, inf_time=now(timedelta(minutes=6))) == refused
    assert await sent(place, "S2", SignatureKind.SM3, sm3_key, cainfo="") == refused
    assert await sent(place, "S2", SignatureKind.SM2, PRIVATE) == refused
    await asked(place, "SM2")
    assert await sent(place, "S2", SignatureKind.SM2, PRIVATE) == refused
    assert (await register(place, signature="SM2", secret=PUBLIC))["registered"]
    assert await sent(place, "S2", SignatureKind.SM2, PRIVATE) == (200, "")
    assert await sent(place, "S3", SignatureKind.SM3, sm3_key) == refused


@pytest.mark.parametrize(
    ("changes", "codes"),
    [
        ({"secret": "short"}, ["MESSAGE_KEY"]),
        ({"signature": "SM2", "secret": "zz"}, ["MESSAGE_KEY"]),
        ({"secret": "x", "validFrom": "2030-01-01", "validTo": "2029-01-01"}, ["MESSAGE_KEY", "DATES_REVERSED"]),
        ({"hospital": "H37010001"}, ["NOT_FOUND"]),
    ],
)
async def test_a_key_that_cannot_be_one(place: Place, changes: dict[str, Any], codes: list[str]) -> None:
    assert [e["code"] for e in (await register(place, **changes))["userErrors"]] == codes


async def test_another_city_registers_no_key_here(place: Place) -> None:
    clerk = await place.client(place.other_city, Role.CITY_SETTLEMENT_CLERK)
    order = {
        "idempotencyKey": new_key(),
        "hospital": place.hospital,
        "signature": "SM3",
        "secret": SECRET,
        "validFrom": "2020-01-01",
        "validTo": "2099-12-31",
    }
    answer = (await clerk.gql(REGISTER, {"i": order}))["messageKeyRegister"]
    assert [e["code"] for e in answer["userErrors"]] == ["NOT_FOUND"]

"""National messages for tests (国家接口报文样例): a 4101A list without payers, in the envelope a hospital's system sends."""

from __future__ import annotations

import json
import uuid
from typing import Any

from builders.submission_place import Place
from builders.world import Client
from fenzhi.access.roles import Role

RECORD = {
    "medfee_sumamt": "27068.00",
    "acct_pay": "568.00",
    "psn_cashpay": "5500.00",
    "payinfo": [
        {"fund_pay_type": "310100", "fund_payamt": "20000.00"},
        {"fund_pay_type": "330100", "fund_payamt": "1000.00"},
    ],
    "iteminfo": [{"med_chrgitm": "09", "amt": "27068.00"}],
}


def envelope(place: Place, infno: str, content: dict[str, Any], **changes: Any) -> dict[str, Any]:
    """A message in the national envelope, with a fresh `msgid`."""
    return {
        "infno": infno,
        "msgid": f"{place.hospital}{uuid.uuid4().hex[:18]}",
        "mdtrtarea_admvs": place.city,
        "insuplc_admdvs": place.city,
        "recer_sys_code": "FENZHI",
        "signtype": "",
        "cainfo": "",
        "infver": "V1.0",
        "opter": "T01",
        "inf_time": "2025-01-10 08:00:00",
        "fixmedins_code": place.hospital,
        "input": content,
    } | changes


def list_of(place: Place, setl_id: str, **changes: Any) -> dict[str, Any]:
    """The `input` of a sound 4101A list, numbers as a hospital's system writes them."""
    given = place.listed(setl_id)
    setlinfo = {
        name: value
        for name, value in given.items()
        if name not in ("diseinfo", "oprninfo", "payinfo", "iteminfo", "version", *RECORD)
    }
    setlinfo |= {"hi_type": setlinfo.pop("insutype"), "insuplc": setlinfo.pop("insu_admdvs"), "age": 75.0}
    return {
        "setlinfo": setlinfo | changes,
        "diseinfo": given["diseinfo"],
        "oprninfo": given["oprninfo"],
        "opspdiseinfo": [],
        "icuinfo": [],
        "bldinfo": [],
    }


def record_of(place: Place, setl_id: str, **changes: Any) -> dict[str, Any]:
    """What the core system settled for the list."""
    return {"fixmedins_code": place.hospital, "setl_id": setl_id, **RECORD} | changes


async def send(client: Client, message: dict[str, Any] | bytes, infno: str = "") -> dict[str, Any]:
    """Send a message; the answering envelope."""
    body = message if isinstance(message, bytes) else json.dumps(message, ensure_ascii=False).encode()
    path = infno or (message["infno"] if isinstance(message, dict) else "4101A")
    response = await client.http.post(f"/v1/nhsa/{path}", content=body)
    assert response.status_code == 200, (response.status_code, response.text)
    return response.json()  # type: ignore[no-any-return]


async def file(place: Place, setl_id: str, **changes: Any) -> dict[str, Any]:
    """File a list by 4101A; its output."""
    answer = await send(await place.submitter(), envelope(place, "4101A", list_of(place, setl_id, **changes)))
    assert answer["infcode"] == "0", answer
    return answer["output"]  # type: ignore[no-any-return]


async def set_state(place: Place, setl_id: str, stas_type: str) -> dict[str, Any]:
    """Ask by 4102 for a state; the answering envelope."""
    row = {"setl_id": setl_id, "psn_no": f"PERSON{setl_id}", "stas_type": stas_type}
    return await send(await place.submitter(), envelope(place, "4102", {"data": [row]}))


async def import_records(place: Place, *records: dict[str, Any]) -> dict[str, Any]:
    """Import settlement records as the city."""
    clerk = await place.client(place.city, Role.CITY_SETTLEMENT_CLERK)
    body = b"".join(json.dumps(one).encode() + b"\n" for one in records)
    response = await clerk.http.post(
        "/v1/settlement-records", content=body, headers={"idempotency-key": uuid.uuid4().hex}
    )
    assert response.status_code == 201, response.text
    return response.json()  # type: ignore[no-any-return]

"""Webhooks against a real receiver: signed, once taken not sent again, tried for three days, never where they may not go."""

from __future__ import annotations

import hashlib
import hmac
import ipaddress
import ssl
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID
from sqlalchemy import func, update

from builders.submission_place import Place, open_place
from builders.webhook_receiver import Received, Receiver
from builders.world import World, new_key
from fenzhi.access.roles import Role
from fenzhi.access.scope import DatabaseRole, Scope
from fenzhi.access.webhook_hosts import WebhookHosts
from fenzhi.services.events import sending
from fenzhi.store.repositories import registry
from fenzhi.store.tables.events import job_timer, webhook_delivery, webhook_endpoint, webhook_secret

NODE = "webhookEndpoint { id url state kinds note } userErrors { code path }"
REGISTER = f"mutation($i: WebhookRegisterInput!) {{ webhookRegister(input: $i) {{ {NODE} }} }}"
ROTATE = f"mutation($i: WebhookRotateInput!) {{ webhookRotate(input: $i) {{ {NODE} }} }}"
DISABLE = f"mutation($i: WebhookStepInput!) {{ webhookDisable(input: $i) {{ {NODE} }} }}"
TRY = f"mutation($i: WebhookStepInput!) {{ webhookTestSend(input: $i) {{ {NODE} }} }}"
LIST = "{ webhookEndpoints { id state } }"
LOG = """
query($e: ID, $s: WebhookDeliveryState) { webhookDeliveries(first: 100, webhookEndpoint: $e, state: $s) { nodes {
  eventId kind url state nextAt endedAt attempts { attemptNo outcome status } } } }
"""
EVENTS = "{ events(first: 100) { nodes { eventId seq kind } } }"
SECRET, SECOND = "0123456789abcdef0123456789abcdef", "fedcba9876543210fedcba9876543210"


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def place(world: World) -> Place:
    return await open_place(world, "S2")


@pytest_asyncio.fixture(loop_scope="session")
async def receiver(place: Place) -> AsyncIterator[Receiver]:
    """A receiver the operator allows for as long as the test lasts; its addresses are disabled afterwards."""
    async with Receiver().running() as opened:
        allow(place, (opened.host,), ("127.0.0.1/32",))
        yield opened
        client = await place.client(place.hospital, Role.HOSPITAL_SUBMITTER)
        for one in (await client.gql(LIST))["webhookEndpoints"]:
            if one["state"] == "ACTIVE":
                await do(place, DISABLE, {"webhookEndpoint": one["id"]})
        allow(place, (), ())


def allow(place: Place, hosts: tuple[str, ...], networks: tuple[str, ...]) -> None:
    object.__setattr__(place.world.platform, "webhook_hosts", WebhookHosts.of(hosts, networks))


async def do(place: Place, mutation: str, order: dict[str, Any], tenant: str = "") -> dict[str, Any]:
    client = await place.client(tenant or place.hospital, Role.HOSPITAL_SUBMITTER)
    answer = await client.gql(mutation, {"i": {"idempotencyKey": new_key(), **order}})
    return next(iter(answer.values()))  # type: ignore[no-any-return]


async def registered(place: Place, url: str, **changes: Any) -> str:
    made = await do(place, REGISTER, {"url": url, "secret": SECRET} | changes)
    assert made["userErrors"] == [], made
    return made["webhookEndpoint"]["id"]  # type: ignore[no-any-return]


async def log(place: Place, endpoint: str, state: str | None = None) -> list[dict[str, Any]]:
    client = await place.client(place.hospital, Role.HOSPITAL_SUBMITTER)
    answer = await client.gql(LOG, {"e": endpoint, "s": state})
    return answer["webhookDeliveries"]["nodes"]  # type: ignore[no-any-return]


async def worker_scope(place: Place) -> Scope:
    operator = Scope(role=DatabaseRole.OPERATOR, tenant="operator")
    async with place.world.platform.database.unit_of_work(operator) as uow:
        row = next(one for one in await registry.areas(uow) if one.code == place.city)
    return Scope(DatabaseRole.WORKER, place.city, province_id=row.province_id, area_id=row.area_id)


async def later(place: Place, *, first_days_ago: int | None = None) -> None:
    """Let the pauses be over; or let the first attempts have been so many days ago."""
    async with place.world.platform.database.unit_of_work(await worker_scope(place)) as uow:
        values: dict[str, Any] = {"next_at": func.now()}
        if first_days_ago is not None:
            values["first_at"] = func.now() - timedelta(days=first_days_ago)
        await uow.execute(update(webhook_delivery).where(webhook_delivery.c.state == "due").values(**values))
        await uow.execute(update(webhook_endpoint).values(busy_until=None))
        await uow.execute(update(job_timer).where(job_timer.c.kind == "events.deliver").values(due_at=func.now()))
    await place.world.work_off()


def is_signed(one: Received, secret: str) -> bool:
    stated = one.headers["fenzhi-signature"].split(",")
    timestamp = stated[0].removeprefix("t=")
    assert timestamp == one.headers["fenzhi-timestamp"]
    wanted = hmac.new(secret.encode(), f"{timestamp}.".encode() + one.body, hashlib.sha256).hexdigest()
    return f"v1={wanted}" in stated[1:]


async def test_an_event_arrives_signed_and_once(place: Place, receiver: Receiver) -> None:
    endpoint = await registered(place, receiver.url("/ok"))
    await place.submit([place.listed("W1")])
    await place.world.work_off()
    [one] = receiver.at("/ok")
    assert is_signed(one, SECRET) and not is_signed(one, SECOND)
    events = (await (await place.submitter()).gql(EVENTS))["events"]["nodes"]
    message = one.message
    assert (message["id"], message["seq"], message["kind"]) == (
        events[-1]["eventId"],
        events[-1]["seq"],
        "batch_judged",
    )
    assert message["tenant"] == place.hospital
    assert message["facts"] == {"accepted": "1", "refused": "0", "rows": "1", "state": "judged"}
    assert one.headers["fenzhi-event-id"] == message["id"]
    assert abs(int(one.headers["fenzhi-timestamp"]) - datetime.now(UTC).timestamp()) < 120
    for word in ("W1", "P1", "certno", "psn_name"):
        assert word not in one.body.decode()
    [entry] = await log(place, endpoint)
    assert (entry["state"], [a["outcome"] for a in entry["attempts"]]) == ("DELIVERED", ["delivered"])
    await later(place)
    assert len(receiver.at("/ok")) == 1


async def test_it_hears_of_the_kinds_it_asked_for_and_from_now_on(place: Place, receiver: Receiver) -> None:
    await registered(place, receiver.url("/ok"), kinds=["STATEMENT_PUBLISHED"])
    await registered(place, receiver.url("/later"), kinds=["BATCH_JUDGED"])
    await place.submit([place.listed("W2")])
    await place.world.work_off()
    assert receiver.at("/ok") == []
    assert len(receiver.at("/later")) == 1


async def test_a_failing_receiver_is_tried_again_and_then_taken_note_of(place: Place, receiver: Receiver) -> None:
    endpoint = await registered(place, receiver.url("/flaky"))
    await do(place, TRY, {"webhookEndpoint": endpoint})
    await place.world.work_off()
    [entry] = await log(place, endpoint)
    assert (entry["kind"], entry["state"], entry["attempts"]) == (
        "webhook_test",
        "DUE",
        [{"attemptNo": 1, "outcome": "http_error", "status": 500}],
    )
    assert entry["nextAt"] is not None and len(receiver.at("/flaky")) == 1
    await later(place)
    await later(place)
    [entry] = await log(place, endpoint)
    assert (entry["state"], [a["status"] for a in entry["attempts"]]) == ("DELIVERED", [500, 500, 204])
    ids = {one.message["id"] for one in receiver.at("/flaky")}
    assert len(ids) == 1 and len(receiver.at("/flaky")) == 3


async def test_after_three_days_it_is_dead_and_shown(place: Place, receiver: Receiver) -> None:
    endpoint = await registered(place, receiver.url("/fail"))
    await do(place, TRY, {"webhookEndpoint": endpoint})
    await place.world.work_off()
    await later(place, first_days_ago=3)
    [entry] = await log(place, endpoint, "DEAD")
    assert entry["endedAt"] is not None and entry["nextAt"] is None
    assert [a["attemptNo"] for a in entry["attempts"]] == [1, 2]
    await later(place)
    assert len(receiver.at("/fail")) == 2


@pytest.mark.parametrize(
    ("path", "outcome", "status"), [("/redirect", "redirect_refused", 302), ("/slow", "timed_out", None)]
)
async def test_redirects_are_not_followed_and_silence_ends(
    place: Place, receiver: Receiver, monkeypatch: pytest.MonkeyPatch, path: str, outcome: str, status: int | None
) -> None:
    monkeypatch.setattr(sending, "SEND_S", 1.5)
    endpoint = await registered(place, receiver.url(path))
    await do(place, TRY, {"webhookEndpoint": endpoint})
    await place.world.work_off()
    [entry] = await log(place, endpoint)
    assert entry["state"] == "DUE"
    assert entry["attempts"] == [{"attemptNo": 1, "outcome": outcome, "status": status}]
    assert receiver.at("/elsewhere") == []


async def test_where_it_may_not_go_it_does_not_go(place: Place, receiver: Receiver) -> None:
    endpoint = await registered(place, receiver.url("/ok"))
    allow(place, (receiver.host,), ())
    await do(place, TRY, {"webhookEndpoint": endpoint})
    await place.world.work_off()
    allow(place, (), ("127.0.0.1/32",))
    await later(place)
    allow(place, (receiver.host,), ("127.0.0.1/32",))
    [entry] = await log(place, endpoint)
    assert [a["outcome"] for a in entry["attempts"]] == ["address_refused", "host_not_allowed"]
    assert receiver.received == []
    await later(place)
    assert len(receiver.at("/ok")) == 1


async def test_nobody_there_is_an_outcome_too(place: Place, receiver: Receiver) -> None:
    async with Receiver().running() as gone:
        allow(place, (receiver.host, gone.host), ("127.0.0.1/32",))
        endpoint = await registered(place, gone.url("/ok"))
    await do(place, TRY, {"webhookEndpoint": endpoint})
    await place.world.work_off()
    [entry] = await log(place, endpoint)
    assert [a["outcome"] for a in entry["attempts"]] == ["unreachable"]


async def test_a_new_secret_overlaps_with_the_old_one(place: Place, receiver: Receiver) -> None:
    endpoint = await registered(place, receiver.url("/ok"))
    rotated = await do(place, ROTATE, {"webhookEndpoint": endpoint, "secret": SECOND, "overlapHours": 24})
    assert rotated["userErrors"] == []
    await do(place, TRY, {"webhookEndpoint": endpoint})
    await place.world.work_off()
    [one] = receiver.at("/ok")
    assert is_signed(one, SECRET) and is_signed(one, SECOND)
    third = "third-secret-" + SECRET
    await do(place, ROTATE, {"webhookEndpoint": endpoint, "secret": third, "overlapHours": 0})
    await do(place, TRY, {"webhookEndpoint": endpoint})
    await place.world.work_off()
    last = receiver.at("/ok")[-1]
    assert is_signed(last, third) and not is_signed(last, SECRET) and not is_signed(last, SECOND)
    async with place.world.platform.database.unit_of_work(await worker_scope(place)) as uow:
        rows = await uow.rows(webhook_secret.select())
    assert rows and not any(SECRET.encode() in bytes(row.sealed_secret) for row in rows)


async def test_a_disabled_address_hears_nothing_more(place: Place, receiver: Receiver) -> None:
    endpoint = await registered(place, receiver.url("/fail"))
    await do(place, TRY, {"webhookEndpoint": endpoint})
    await place.world.work_off()
    assert (await do(place, DISABLE, {"webhookEndpoint": endpoint}))["webhookEndpoint"]["state"] == "DISABLED"
    await later(place)
    assert len(receiver.at("/fail")) == 1
    assert [one["state"] for one in await log(place, endpoint)] == ["DROPPED"]
    again = await do(place, DISABLE, {"webhookEndpoint": endpoint})
    assert [e["code"] for e in again["userErrors"]] == ["WEBHOOK_DISABLED"]
    assert [e["code"] for e in (await do(place, TRY, {"webhookEndpoint": endpoint}))["userErrors"]] == [
        "WEBHOOK_DISABLED"
    ]


async def test_every_fault_of_a_registration_is_named_at_once(place: Place, receiver: Receiver) -> None:
    order = {"url": "https://evil.example/in", "secret": "short", "note": "备" * 201}
    refused = await do(place, REGISTER, order)
    assert [(e["code"], e["path"]) for e in refused["userErrors"]] == [
        ("WEBHOOK_HOST_NOT_ALLOWED", ["url"]),
        ("WEBHOOK_NOTE_SHAPE", ["note"]),
        ("WEBHOOK_SECRET_WEAK", ["secret"]),
    ]
    for number in range(5):
        await registered(place, receiver.url(f"/n{number}"))
    most = await do(place, REGISTER, {"url": receiver.url("/ok"), "secret": SECRET})
    assert [e["code"] for e in most["userErrors"]] == ["WEBHOOKS_MOST"]
    endpoint = (await (await place.submitter()).gql(LIST))["webhookEndpoints"][-1]["id"]
    wide = await do(place, ROTATE, {"webhookEndpoint": endpoint, "secret": SECOND, "overlapHours": 169})
    assert [e["code"] for e in wide["userErrors"]] == ["WEBHOOK_OVERLAP_RANGE"]


async def test_the_same_key_registers_once(place: Place, receiver: Receiver) -> None:
    client = await place.client(place.hospital, Role.HOSPITAL_SUBMITTER)
    order = {"i": {"idempotencyKey": new_key(), "url": receiver.url("/ok"), "secret": SECRET}}
    first, second = [(await client.gql(REGISTER, order))["webhookRegister"] for _ in range(2)]
    assert first == second and first["userErrors"] == []
    order["i"]["secret"] = SECOND
    other = (await client.gql(REGISTER, order))["webhookRegister"]
    assert [e["code"] for e in other["userErrors"]] == ["IDEMPOTENCY_KEY_REUSED"]


async def test_another_tenants_address_does_not_exist(place: Place, receiver: Receiver) -> None:
    endpoint = await registered(place, receiver.url("/ok"))
    for tenant in (place.county_hospital, place.other_hospital):
        for mutation, more in ((DISABLE, {}), (TRY, {}), (ROTATE, {"secret": SECOND, "overlapHours": 1})):
            refused = await do(place, mutation, {"webhookEndpoint": endpoint} | more, tenant)
            assert [e["code"] for e in refused["userErrors"]] == ["NOT_FOUND"]
        client = await place.client(tenant, Role.HOSPITAL_SUBMITTER)
        assert endpoint not in [one["id"] for one in (await client.gql(LIST))["webhookEndpoints"]]
    clerk = await place.client(place.city, Role.CITY_SETTLEMENT_CLERK)
    assert (await clerk.gql(LIST))["webhookEndpoints"] == []
    viewer = await place.client(place.hospital, Role.HOSPITAL_VIEWER)
    assert (await viewer.raw(LIST))["errors"][0]["extensions"]["code"] == "FORBIDDEN"


async def test_a_worker_that_died_after_sending_sends_again_under_the_same_id(
    place: Place, receiver: Receiver, monkeypatch: pytest.MonkeyPatch
) -> None:
    endpoint = await registered(place, receiver.url("/ok"))
    await do(place, TRY, {"webhookEndpoint": endpoint})

    def dies(name: str) -> None:
        if name == "events.sent":
            raise RuntimeError("the worker is gone")

    with monkeypatch.context() as patch:
        patch.setattr("fenzhi.services.events.deliver.failpoint", dies)
        with pytest.raises(RuntimeError):
            await place.world.work_off()
    from fenzhi.store.tables.jobs import job

    async with place.world.platform.database.unit_of_work(await worker_scope(place)) as uow:
        await uow.execute(update(job).where(job.c.kind == "events.deliver").values(not_before=None))
    await place.world.work_off()
    ids = [one.message["id"] for one in receiver.at("/ok")]
    assert len(ids) == 2 and len(set(ids)) == 1
    [entry] = await log(place, endpoint)
    assert (entry["state"], len(entry["attempts"])) == ("DELIVERED", 1)


async def test_the_certificate_is_verified(place: Place, receiver: Receiver, tmp_path: Path) -> None:
    trusted, _ = certificate(tmp_path, "trusted")
    server = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    server.load_cert_chain(trusted, tmp_path / "trusted.key")
    plain = place.world.platform.webhook_trust
    async with Receiver().running(server) as secure:
        allow(place, (secure.host, receiver.host), ("127.0.0.1/32",))
        endpoint = await registered(place, secure.url("/ok"))
        await do(place, TRY, {"webhookEndpoint": endpoint})
        await place.world.work_off()
        assert secure.received == []
        context = ssl.create_default_context(cafile=str(trusted))
        object.__setattr__(place.world.platform, "webhook_trust", context)
        try:
            await later(place)
        finally:
            object.__setattr__(place.world.platform, "webhook_trust", plain)
        [entry] = await log(place, endpoint)
        assert [a["outcome"] for a in entry["attempts"]] == ["tls_refused", "delivered"]
        assert is_signed(secure.at("/ok")[0], SECRET)


def certificate(folder: Path, name: str) -> tuple[Path, Path]:
    """A certificate of its own signing for 127.0.0.1."""
    key = ec.generate_private_key(ec.SECP256R1())
    named = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
    now = datetime.now(UTC)
    made = (
        x509.CertificateBuilder()
        .subject_name(named)
        .issuer_name(named)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - timedelta(days=1))
        .not_valid_after(now + timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName([x509.IPAddress(ipaddress.ip_address("127.0.0.1"))]), False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), True)
        .sign(key, hashes.SHA256())
    )
    paths = folder / f"{name}.pem", folder / f"{name}.key"
    paths[0].write_bytes(made.public_bytes(serialization.Encoding.PEM))
    paths[1].write_bytes(
        key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    )
    return paths

"""The budget of a client: exact to the unit, with a clock of our own; and as a caller meets it."""

from __future__ import annotations

import asyncio
import base64

import httpx
import pytest

from builders.world import World
from fenzhi.access.roles import Role
from fenzhi.access.tokens import Verifier
from fenzhi_graphql.app import application, wrapped
from fenzhi_graphql.limits import ASKING
from fenzhi_graphql.rate import REQUEST_UNITS, Budgets, RateLimited, Rates

ONE, OTHER, ELSEWHERE = ("410100", "his"), ("410100", "erp"), ("370100", "his")


class Clock:
    """A clock that stands until it is moved."""

    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


def budgets(**rates: int) -> tuple[Budgets, Clock]:
    clock = Clock()
    return Budgets(Rates(**({"units_per_s": 100, "burst": 1000, "at_once": 3} | rates)), clock), clock


def test_a_budget_is_used_up_to_the_unit_and_comes_back_with_time() -> None:
    tried, clock = budgets()
    tried.charge(ONE, 1000)
    assert tried.left(ONE) == 0
    with pytest.raises(RateLimited) as refusal:
        tried.charge(ONE, 1)
    assert (refusal.value.code, refusal.value.http_status, refusal.value.retry_after_s) == ("RATE_LIMITED", 429, 1)
    clock.now += 0.5
    assert tried.left(ONE) == 50
    with pytest.raises(RateLimited):
        tried.charge(ONE, 51)
    assert tried.left(ONE) == 50
    tried.charge(ONE, 50)
    clock.now += 3600
    assert tried.left(ONE) == 1000


def test_the_wait_told_is_enough_and_no_longer_than_needed() -> None:
    tried, clock = budgets()
    tried.charge(ONE, 1000)
    with pytest.raises(RateLimited) as refusal:
        tried.charge(ONE, 450)
    assert refusal.value.retry_after_s == 5
    clock.now += 4
    with pytest.raises(RateLimited):
        tried.charge(ONE, 450)
    clock.now += 1
    tried.charge(ONE, 450)


def test_a_document_dearer_than_the_bucket_waits_for_a_full_one() -> None:
    tried, clock = budgets()
    tried.charge(ONE, 1)
    with pytest.raises(RateLimited):
        tried.charge(ONE, 5000)
    clock.now += 1
    tried.charge(ONE, 5000)
    assert tried.left(ONE) == 0


def test_tenants_and_clients_do_not_share() -> None:
    tried, _clock = budgets()
    tried.charge(ONE, 1000)
    assert (tried.left(OTHER), tried.left(ELSEWHERE)) == (1000, 1000)


def test_as_many_at_once_as_allowed_and_each_leaves_once() -> None:
    tried, _clock = budgets(burst=10_000)
    leaving = [tried.enter(ONE) for _ in range(3)]
    with pytest.raises(RateLimited) as refusal:
        tried.enter(ONE)
    assert refusal.value.retry_after_s == 1
    tried.enter(OTHER)
    leaving[0]()
    leaving[0]()
    tried.enter(ONE)
    with pytest.raises(RateLimited):
        tried.enter(ONE)
    assert tried.left(ONE) == 10_000 - 4 * REQUEST_UNITS


def test_a_clock_that_steps_back_gives_nothing_and_takes_nothing() -> None:
    tried, clock = budgets()
    tried.charge(ONE, 400)
    clock.now -= 500
    assert tried.left(ONE) == 600
    clock.now += 500
    assert tried.left(ONE) == 600


def test_forgetting_gives_nobody_more() -> None:
    tried, clock = budgets(callers_most=2)
    tried.charge(ONE, 1000)
    for number in range(5):
        tried.charge((str(number), "his"), 1)
    assert tried.left(ONE) == 0
    clock.now += 11
    for number in range(5, 10):
        tried.left((str(number), "his"))
    assert len(tried._buckets) == 2


async def test_a_caller_meets_429_with_the_time_to_wait(world: World) -> None:
    """Over HTTP: before the document is looked at, and when the document is too dear."""
    clock = Clock()
    document = "{ hospitals(first: 100) { nodes { id code } } }"
    cost = ASKING + 100 + 100 * 2
    rates = Rates(units_per_s=10, burst=2 * REQUEST_UNITS + cost, at_once=4)
    verifier = Verifier("fenzhi-development", "fenzhi", {world.key.key_id: world.key.private.public_key()})
    app = wrapped(application(world.platform, verifier, b"c" * 32, budgets=Budgets(rates, clock)))
    signed_in = await world.client("410100", Role.CITY_SETTLEMENT_CLERK)
    transport = httpx.ASGITransport(app=app, raise_app_exceptions=False)
    async with httpx.AsyncClient(
        transport=transport, base_url="http://fenzhi.test", headers=signed_in.http.headers
    ) as http:
        first = await http.post("/graphql", json={"query": document})
        asked = first.json()["extensions"]["cost"]["requested"]
        assert first.status_code == 200
        second = await http.post("/graphql", json={"query": document})
        assert second.status_code == 429
        assert second.json()["errors"][0]["extensions"]["code"] == "RATE_LIMITED"
        assert int(second.headers["retry-after"]) >= 1
        clock.now += int(second.headers["retry-after"])
        assert (await http.post("/graphql", json={"query": document})).status_code == 200
        assert asked == cost
        while (third := await http.post("/graphql", json={"query": "{ __typename }"})).status_code == 200:
            pass
        assert third.status_code == 429
        answer = await http.get(f"/v1/jobs/{_node('Job')}/events")
        assert (answer.status_code, answer.json()["error"]["code"]) == (429, "RATE_LIMITED")
        assert int(answer.headers["retry-after"]) >= 1
        clock.now += 3600
        together = await asyncio.gather(*(http.post("/graphql", json={"query": "{ __typename }"}) for _ in range(12)))
        assert {r.status_code for r in together} <= {200, 429}
        assert (await http.post("/graphql", json={"query": "{ __typename }"})).status_code == 200


def _node(kind: str) -> str:
    return base64.urlsafe_b64encode(f"{kind}:00000000-0000-7000-8000-00000000dead".encode()).decode().rstrip("=")

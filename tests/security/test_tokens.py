"""Tokens that must not be believed: every forgery over every path, revocation in time, keys that rotate."""

from __future__ import annotations

import random

import pytest
from cryptography.hazmat.primitives.asymmetric import ec
from graphql import build_schema
from sqlalchemy import text

from fenzhi.access.roles import Role, TenantKind
from fenzhi.access.scope import AUTHENTICATION_SCOPE
from fenzhi.access.tokens import PublicKey, TrustedKeys, Unauthenticated, Verifier
from fenzhi.cli.battery.factor_attacks import MONEY_FIELDS, try_lockout, try_second_factor
from fenzhi.cli.battery.forger import Forger, Holder
from fenzhi.cli.battery.issuer_attacks import try_issuers
from fenzhi.cli.battery.stage import Keys, Stage
from fenzhi.cli.battery.tally import Tally
from fenzhi.cli.battery.tokens import forget_failures, is_let_in, send, transports, try_forgeries, try_revocation
from fenzhi.cli.probes.enumerate import questions
from fenzhi.cli.probes.judge import Judge
from fenzhi.cli.probes.paths import ask_path
from fenzhi.cli.probes.world import ProbedWorld, Tenant
from fenzhi.services.identity.failures import note_account_failure
from fenzhi.services.registry.accounts import development_account
from fenzhi.store.repositories.identity import FAILURES_MOST
from fenzhi_graphql.app import routes
from fenzhi_graphql.print_schema import schema_text


async def test_every_forgery_is_refused_alike_on_every_path(stage: Stage) -> None:
    tally = Tally()
    await try_forgeries(stage, tally, random.Random(1), "H99010001", Role.HOSPITAL_SUBMITTER, sampled_paths=5)
    assert tally.failures == []
    paths = {f"{method} {path}" for method, path in transports()}
    assert {
        "POST /graphql",
        "PUT /v1/batches/probe/parts/probe",
        "HEAD /v1/batches/probe/parts/probe",
        "GET /v1/batches/probe/verdicts.ndjson",
        "GET /v1/jobs/probe/events",
    } <= paths
    assert tally.tried["POST /graphql"] > 200
    assert all(tally.tried[path] > 30 for path in paths)


async def test_what_was_taken_away_is_gone_within_thirty_seconds(untouched_stage: Stage) -> None:
    tally = Tally()
    await try_revocation(untouched_stage, tally)
    assert tally.failures == []
    assert tally.tried["revocation"] == 3
    assert max(tally.figures["revoked_after_s"].values()) < 8


async def test_issuers_and_their_keys_are_believed_as_registered_and_no_further(stage: Stage) -> None:
    tally = Tally()
    await try_issuers(stage, tally, random.Random(3), 60)
    assert tally.failures == []
    assert tally.figures["readings_per_wave"]["readings"] == [1, 1, 1, 1, 1]
    assert tally.figures["issuer_ended_after_s"] < 30


async def test_five_failures_lock_an_address_and_an_account(stage: Stage) -> None:
    tally = Tally()
    await try_lockout(stage, tally)
    assert tally.failures == []


async def test_money_is_refused_without_a_second_factor_and_with_a_forged_one(untouched_stage: Stage) -> None:
    tally = Tally()
    await try_second_factor(untouched_stage, tally, 4)
    assert tally.failures == []
    assert set(tally.figures["second_factor_fields"]) >= MONEY_FIELDS


async def test_an_answer_to_a_locked_account_proves_nothing_of_a_wall(stage: Stage) -> None:
    tenant, role = "H99012201", Role.HOSPITAL_VIEWER
    world = ProbedWorld(stage.cast, {tenant: Tenant(tenant, TenantKind.HOSPITAL, "990122")})
    asked = next(q for q in questions(build_schema(schema_text())) if q.field == "cases")
    open_, locked = Judge(world), Judge(world)
    subject, _ = await development_account(stage.platform.database, tenant, role)
    async with stage.platform.database.unit_of_work(AUTHENTICATION_SCOPE) as uow:
        account = await uow.scalar(text("select account_id from account where subject = :s"), {"s": subject})
    for _ in range(FAILURES_MOST):
        await note_account_failure(stage.platform.database, str(account), "a test")
    try:
        await locked.ask(asked, tenant, role)
        await ask_path(
            locked, next(r for r in routes(b"") if r.path == "/v1/batches/{batch}/verdicts.ndjson"), "GET", tenant, role
        )
        headers = [*(await stage.cast.actor(tenant, role).headers()).items()]
        answer = await send(stage, "GET", "/v1/jobs/probe/events", headers)
    finally:
        await forget_failures(stage.platform)
    assert locked.verdicts.judged == set() and len(locked.verdicts.unheard) == locked.verdicts.probes > 1
    assert all(line.endswith("LOCKED_OUT") for line in locked.verdicts.unheard)
    assert set(locked.verdicts.unheard) <= set(locked.verdicts.unjudged)
    assert answer.status_code == 429 and not is_let_in(answer)
    await open_.ask(asked, tenant, role)
    assert open_.verdicts.unheard == [] and open_.verdicts.probes == 1


def test_the_forger_can_make_a_good_token() -> None:
    keys = Keys.fresh()
    forger = Forger(
        keys, Holder("dev:x", "410100", "city_settlement_clerk", 1, "410200", "county_auditor"), random.Random(2)
    )
    verifier = Verifier("fenzhi-development", "fenzhi", keys.trusted())
    assert verifier.verify(forger.good()).tenant == "410100"
    assert verifier.verify(forger.good_rotated()).role == "city_settlement_clerk"


class Rotation:
    """A set of keys that changes, and how often it was read."""

    def __init__(self) -> None:
        self.now, self.reads = 0.0, 0
        self.keys: dict[str, PublicKey] = {"old": ec.generate_private_key(ec.SECP256R1()).public_key()}
        self.fails = False

    def read(self) -> dict[str, PublicKey]:
        self.reads += 1
        if self.fails:
            raise OSError("away")
        return self.keys


def test_keys_rotate_while_random_ids_cause_one_reading_a_minute() -> None:
    source = Rotation()
    keys = TrustedKeys(source.read, lambda: source.now)
    for number in range(1000):
        assert f"random-{number}" not in keys
    assert source.reads == 1
    source.keys = source.keys | {"new": ec.generate_private_key(ec.SECP256R1()).public_key()}
    assert "new" not in keys
    source.now = 60.0
    assert "new" in keys and "old" in keys
    assert source.reads == 2
    for number in range(1000):
        assert f"random-{number}" not in keys
    assert source.reads == 2
    source.now, source.fails = 120.0, True
    assert "unknown" not in keys
    assert source.reads == 3
    assert set(keys) == {"old", "new"} and len(keys) == 2
    source.now, source.fails, source.keys = 180.0, False, {"new": source.keys["new"]}
    assert "unknown" not in keys
    assert set(keys) == {"new"}


def test_a_key_that_was_taken_out_verifies_no_more() -> None:
    keys = Keys.fresh()
    forger = Forger(
        keys, Holder("dev:x", "410100", "city_settlement_clerk", 1, "410200", "county_auditor"), random.Random(3)
    )
    only_rsa = {name: key for name, key in keys.trusted().items() if name != keys.elliptic.key_id}
    verifier = Verifier("fenzhi-development", "fenzhi", only_rsa)
    assert verifier.verify(forger.good_rotated()).subject == "dev:x"
    with pytest.raises(Unauthenticated):
        verifier.verify(forger.good())

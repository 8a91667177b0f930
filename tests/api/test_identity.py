"""Accounts and roles by GraphQL: opened by one administrator, granted by another, exclusive powers, a second factor, signing out."""

from __future__ import annotations

import uuid
from typing import Any

import pytest
from sqlalchemy import text

from builders.one_person import cast_of, client_with
from builders.world import Client, World, new_key
from fenzhi.access.development_issuer import ISSUER, issue_development_token
from fenzhi.access.roles import ADMINISTRATORS, KIND_OF_ROLE, ROLES_OF_DUTY, Duty, Role
from fenzhi.access.scope import AUTHENTICATION_SCOPE
from fenzhi.cli.flow.identity import grant_role, open_account
from fenzhi.rules.refusals import Conflict
from fenzhi.services.registry.accounts import development_account, development_subject

CITY, OTHER_CITY = "410100", "410200"
OPEN = """
mutation($i: AccountOpenInput!) { accountOpen(input: $i) {
  account { uuid subject memberships { role } } userErrors { code path } } }
"""
GRANT = """
mutation($i: RoleGrantInput!) { roleGrant(input: $i) { accountId grant { id state } userErrors { code } } }
"""
STEP = "mutation($i: RoleGrantStepInput!) { %s(input: $i) { grant { state } userErrors { code } } }"
REVOKE = "mutation($i: RoleRevokeInput!) { roleRevoke(input: $i) { accountId userErrors { code } } }"
ACCOUNTS = "{ accounts(first: 100) { nodes { id uuid subject isLocked memberships { tenant role } } } }"


async def opened(world: World, city: str = CITY, person: str | None = None) -> tuple[str, str]:
    """A fresh account of a city: its subject and UUID."""
    subject = f"person-{uuid.uuid4().hex[:8]}"
    made = await open_account(
        cast_of(world),
        city,
        Role.CITY_SETTLEMENT_CLERK,
        issuer=ISSUER,
        subject=subject,
        person=person or str(uuid.uuid4()),
    )
    return subject, made


async def grant(client: Client, subject: str, tenant: str, role: Role) -> dict[str, Any]:
    order = {"idempotencyKey": new_key(), "issuer": ISSUER, "subject": subject, "tenant": tenant, "role": role.name}
    return dict((await client.gql(GRANT, {"i": order}))["roleGrant"])


async def step(client: Client, name: str, grant_id: str) -> dict[str, Any]:
    return dict((await client.gql(STEP % name, {"i": {"idempotencyKey": new_key(), "grant": grant_id}}))[name])


def codes(payload: dict[str, Any]) -> list[str]:
    return [error["code"] for error in payload["userErrors"]]


def of_person(world: World, subject: str, tenant: str, role: Role, **kwargs: Any) -> Client:
    token = issue_development_token(world.key, subject, tenant, role.value, kwargs.pop("epoch", 0), **kwargs).token
    return client_with(world, token)


async def test_a_role_with_power_takes_two_persons(world: World) -> None:
    subject, account = await opened(world)
    system = await world.client(CITY, Role.CITY_SYSTEM_ADMINISTRATOR)
    security = await world.client(CITY, Role.CITY_SECURITY_ADMINISTRATOR)
    clerk = of_person(world, subject, CITY, Role.CITY_SETTLEMENT_CLERK)
    assert (await clerk.http.post("/graphql", json={"query": "{ __typename }"})).status_code == 401

    own = await grant(security, subject, CITY, Role.CITY_SETTLEMENT_CLERK)
    assert own["grant"]["state"] == "PROPOSED"
    assert codes(await step(security, "roleGrantApprove", own["grant"]["id"])) == ["SAME_PERSON"]
    assert (await step(security, "roleGrantReject", own["grant"]["id"]))["grant"] == {"state": "REJECTED"}
    assert codes(await step(security, "roleGrantReject", own["grant"]["id"])) == ["GRANT_DECIDED"]

    proposed = await grant(system, subject, CITY, Role.CITY_SETTLEMENT_CLERK)
    assert (proposed["accountId"], proposed["grant"]["state"]) == (account, "PROPOSED")
    refused = await system.raw(
        STEP % "roleGrantApprove", {"i": {"idempotencyKey": new_key(), "grant": proposed["grant"]["id"]}}
    )
    assert refused["errors"][0]["extensions"]["code"] == "FORBIDDEN"
    assert (await step(security, "roleGrantApprove", proposed["grant"]["id"]))["grant"] == {"state": "GRANTED"}
    assert (await clerk.gql("{ poolingAreas { code } }"))["poolingAreas"] == [{"code": CITY}]

    order = {"idempotencyKey": new_key(), "accountId": account, "tenant": CITY, "role": "CITY_SETTLEMENT_CLERK"}
    assert (await security.gql(REVOKE, {"i": order}))["roleRevoke"]["userErrors"] == []
    again = of_person(world, subject, CITY, Role.CITY_SETTLEMENT_CLERK)
    assert (await again.http.post("/graphql", json={"query": "{ __typename }"})).status_code == 401


async def test_a_role_without_power_is_granted_by_the_security_administrator_alone(world: World) -> None:
    subject, account = await opened(world)
    security = await world.client(CITY, Role.CITY_SECURITY_ADMINISTRATOR)
    granted = await grant(security, subject, "H41010001", Role.HOSPITAL_VIEWER)
    assert (granted["accountId"], granted["grant"], codes(granted)) == (account, None, [])
    mine = [n for n in (await security.gql(ACCOUNTS))["accounts"]["nodes"] if n["uuid"] == account]
    assert mine[0]["memberships"] == [{"tenant": "H41010001", "role": "HOSPITAL_VIEWER"}]


async def test_nobody_reaches_beyond_the_own_area(world: World) -> None:
    subject, account = await opened(world)
    mine = await world.client(CITY, Role.CITY_SECURITY_ADMINISTRATOR)
    other = await world.client(OTHER_CITY, Role.CITY_SECURITY_ADMINISTRATOR)
    province = await world.client("410000", Role.PROVINCE_SECURITY_ADMINISTRATOR)
    for stranger in (other, province):
        assert account not in {n["uuid"] for n in (await stranger.gql(ACCOUNTS))["accounts"]["nodes"]}
    assert codes(await grant(other, subject, OTHER_CITY, Role.CITY_SETTLEMENT_CLERK)) == ["ACCOUNT_NOT_FOUND"]
    assert codes(await grant(mine, subject, "H41020001", Role.HOSPITAL_VIEWER)) == ["NOT_FOUND"]
    assert codes(await grant(mine, subject, OTHER_CITY, Role.CITY_SETTLEMENT_CLERK)) == ["NOT_FOUND"]
    assert codes(await grant(province, subject, "410000", Role.PROVINCE_ANALYST)) == ["ACCOUNT_NOT_FOUND"]
    assert codes(await grant(mine, subject, "410000", Role.PROVINCE_ANALYST)) == ["ROLE_NOT_MANAGED"]
    assert codes(await grant(mine, subject, CITY, Role.CITY_AUDIT_ADMINISTRATOR)) == ["ROLE_NOT_MANAGED"]
    operator = await world.client("operator", Role.OPERATOR_ADMIN)
    assert codes(await grant(operator, subject, CITY, Role.CITY_SETTLEMENT_CLERK)) == ["ROLE_NOT_MANAGED"]
    lock = "mutation($i: AccountLockInput!) { accountLock(input: $i) { userErrors { code } } }"
    answer = await other.gql(lock, {"i": {"idempotencyKey": new_key(), "accountId": account}})
    assert codes(answer["accountLock"]) == ["ACCOUNT_NOT_FOUND"]


async def test_an_account_is_opened_once_and_with_all_faults_named(world: World) -> None:
    subject, _ = await opened(world)
    system = await world.client(CITY, Role.CITY_SYSTEM_ADMINISTRATOR)
    order = {"issuer": ISSUER, "subject": subject, "personId": str(uuid.uuid4()), "displayName": "甲"}
    answer = await system.gql(OPEN, {"i": order | {"idempotencyKey": new_key()}})
    assert codes(answer["accountOpen"]) == ["ACCOUNT_TAKEN"]
    bad = order | {"idempotencyKey": new_key(), "issuer": " ", "subject": "a\nb", "displayName": "x" * 201}
    assert [e["path"] for e in (await system.gql(OPEN, {"i": bad}))["accountOpen"]["userErrors"]] == [
        ["issuer"],
        ["subject"],
        ["displayName"],
    ]
    security = await world.client(CITY, Role.CITY_SECURITY_ADMINISTRATOR)
    refused = await security.raw(OPEN, {"i": order | {"idempotencyKey": new_key()}})
    assert refused["errors"][0]["extensions"]["code"] == "FORBIDDEN"


def test_the_three_powers_share_no_duty_but_reading_accounts_and_signing_out() -> None:
    shared = {Duty.READ_ACCOUNTS, Duty.READ_REGISTRY, Duty.PROPOSE_ROLES, Duty.SIGN_OUT}
    for duty, roles in ROLES_OF_DUTY.items():
        powers = {role.value.split("_", 1)[1] for role in roles & ADMINISTRATORS}
        assert len(powers) <= 1 or duty in shared, duty
        is_business = bool(roles - ADMINISTRATORS - {Role.OPERATOR_ADMIN})
        assert not (powers and is_business) or duty in (Duty.READ_REGISTRY, Duty.SIGN_OUT), duty
    assert {role for role in ADMINISTRATORS if role in ROLES_OF_DUTY[Duty.READ_ACCOUNTS]} == {
        role for role in ADMINISTRATORS if "audit" not in role.value
    }


@pytest.mark.parametrize("power", sorted(r for r in ADMINISTRATORS if r.value.startswith("city_")))
async def test_who_holds_a_power_holds_no_other_role(world: World, power: Role) -> None:
    """Refused by the service where it sees the other role, and by the database wherever it is."""
    person = str(uuid.uuid5(uuid.NAMESPACE_URL, f"fenzhi:{development_subject(CITY, power)}"))
    subject, _account = await opened(world, person=person)
    security = await world.client(CITY, Role.CITY_SECURITY_ADMINISTRATOR)
    assert codes(await grant(security, subject, "H41010001", Role.HOSPITAL_VIEWER)) == ["ROLE_EXCLUSIVE"]
    elsewhere, other_account = await opened(world, OTHER_CITY, person)
    far = await world.client(OTHER_CITY, Role.CITY_SECURITY_ADMINISTRATOR)
    assert codes(await grant(far, elsewhere, "H41020001", Role.HOSPITAL_VIEWER)) == ["ROLE_EXCLUSIVE"]
    for role in (
        Role.HOSPITAL_VIEWER,
        Role.CITY_AUDIT_ADMINISTRATOR,
        Role.CITY_SYSTEM_ADMINISTRATOR,
        Role.CITY_SECURITY_ADMINISTRATOR,
    ):
        with pytest.raises(Conflict) as refused:
            async with world.platform.database.unit_of_work(AUTHENTICATION_SCOPE) as uow:
                await uow.execute(
                    text(
                        "insert into membership (membership_id, account_id, role, tenant, tenant_kind) "
                        "values (gen_random_uuid(), :account, :role, 'x', :kind)"
                    ),
                    {"account": other_account, "role": role.value, "kind": KIND_OF_ROLE[role].value},
                )
        assert refused.value.code == "ROLE_EXCLUSIVE"


async def test_the_person_of_a_membership_is_the_accounts(world: World) -> None:
    """Whoever writes a membership cannot name another person than the account's."""
    subject, account = await opened(world)
    await grant_role(cast_of(world), CITY, CITY, Role.CITY_SETTLEMENT_CLERK, issuer=ISSUER, subject=subject)
    async with world.platform.database.unit_of_work(AUTHENTICATION_SCOPE) as uow:
        await uow.execute(
            text(
                "insert into membership (membership_id, account_id, role, tenant, tenant_kind, person_id) "
                "values (gen_random_uuid(), :account, 'hospital_viewer', 'x', 'hospital', gen_random_uuid())"
            ),
            {"account": account},
        )
        persons = await uow.rows(
            text(
                "select distinct m.person_id = a.person_id as same from membership m join account a using (account_id) "
                "where m.account_id = :account"
            ),
            {"account": account},
        )
    assert [row.same for row in persons] == [True]


async def test_money_needs_a_second_factor_and_says_so(world: World) -> None:
    subject, epoch = await development_account(world.platform.database, CITY, Role.CITY_SETTLEMENT_CLERK)
    start = """
    mutation($i: ClearingRunStartInput!) { clearingRunStart(input: $i) { run { id } userErrors { code hint } } }
    """
    order = {"kind": "MONTH", "insurance": "EMPLOYEE", "poolScope": "LOCAL", "year": 2019, "period": 1}
    role = Role.CITY_SETTLEMENT_CLERK
    one = of_person(world, subject, CITY, role, epoch=epoch, has_second_factor=False)
    (error,) = (await one.gql(start, {"i": order | {"idempotencyKey": new_key()}}))["clearingRunStart"]["userErrors"]
    assert error["code"] == "SECOND_FACTOR_REQUIRED"
    assert "sign in again" in error["hint"]
    assert (await one.gql("{ poolingAreas { code } }"))["poolingAreas"] == [{"code": CITY}]
    two = of_person(world, subject, CITY, role, epoch=epoch)
    answer = (await two.gql(start, {"i": order | {"idempotencyKey": new_key()}}))["clearingRunStart"]
    assert "SECOND_FACTOR_REQUIRED" not in codes(answer)


async def test_a_token_signed_out_is_believed_no_more(world: World) -> None:
    subject, epoch = await development_account(world.platform.database, "H41010001", Role.HOSPITAL_VIEWER)
    first, second = (of_person(world, subject, "H41010001", Role.HOSPITAL_VIEWER, epoch=epoch) for _ in range(2))
    sign_out = "mutation($i: SignOutInput!) { signOut(input: $i) { isSignedOut userErrors { code } } }"
    answer = await first.gql(sign_out, {"i": {"idempotencyKey": new_key()}})
    assert answer["signOut"] == {"isSignedOut": True, "userErrors": []}
    # What was seen a moment ago is remembered for some seconds; another process would refuse at once.
    world_cache = world.app._app.state.sign_in._cache
    world_cache._seen.clear()
    assert (await first.http.post("/graphql", json={"query": "{ __typename }"})).status_code == 401
    assert (await second.gql("{ __typename }")) == {"__typename": "Query"}


async def test_a_client_that_was_ended_is_refused_and_another_areas_is_none(world: World) -> None:
    system = await world.client(CITY, Role.CITY_SYSTEM_ADMINISTRATOR)
    register = """
    mutation($i: ClientRegisterInput!) { clientRegister(input: $i) {
      apiClient { id tenant endedAt } userErrors { code } } }
    """
    order = {"issuer": "https://idp.example", "clientName": "his", "name": "HIS", "tenant": "H41010001"}
    made = (await system.gql(register, {"i": order | {"idempotencyKey": new_key()}}))["clientRegister"]
    assert (made["apiClient"]["tenant"], made["apiClient"]["endedAt"]) == ("H41010001", None)
    far = order | {"tenant": "H41020001", "idempotencyKey": new_key()}
    assert codes((await system.gql(register, {"i": far}))["clientRegister"]) == ["NOT_FOUND"]
    end = "mutation($i: ClientEndInput!) { clientEnd(input: $i) { apiClient { endedAt } userErrors { code } } }"
    stranger = await world.client(OTHER_CITY, Role.CITY_SYSTEM_ADMINISTRATOR)
    step_ = {"apiClient": made["apiClient"]["id"]}
    answer = await stranger.gql(end, {"i": step_ | {"idempotencyKey": new_key()}})
    assert codes(answer["clientEnd"]) == ["CLIENT_NOT_FOUND"]
    answer = await system.gql(end, {"i": step_ | {"idempotencyKey": new_key()}})
    assert answer["clientEnd"]["apiClient"]["endedAt"] is not None


async def test_issuers_are_the_operators_alone(world: World) -> None:
    for tenant, role in ((CITY, Role.CITY_SECURITY_ADMINISTRATOR), ("410000", Role.PROVINCE_SYSTEM_ADMINISTRATOR)):
        client = await world.client(tenant, role)
        for document in (
            "{ tokenIssuers { id } }",
            'mutation { issuerApprove(input: { idempotencyKey: "12345678", tokenIssuer: "x" }) { userErrors { code } } }',
        ):
            answer = await client.raw(document)
            text_ = str(answer)
            assert "FORBIDDEN" in text_ or "ID_MALFORMED" in text_, text_
    operator = await world.client("operator", Role.OPERATOR_ADMIN)
    register = "mutation($i: IssuerRegisterInput!) { issuerRegister(input: $i) { userErrors { code path } } }"
    order = {
        "idempotencyKey": new_key(),
        "issuer": "fenzhi-development",
        "keysUrl": "https://evil.example/keys",
        "audience": "fenzhi",
        "tenant": "410000",
    }
    answer = (await operator.gql(register, {"i": order}))["issuerRegister"]
    assert codes(answer) == ["ISSUER_RESERVED", "KEYS_URL_NOT_ALLOWED"]

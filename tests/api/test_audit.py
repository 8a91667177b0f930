"""Who saw whom, personal fields, and who may read the audit: over the API, with exact sets."""

from __future__ import annotations

import asyncio
import base64
import uuid
from typing import Any

import pytest
import pytest_asyncio
from graphql import GraphQLObjectType, build_schema
from sqlalchemy import text

from builders.one_person import second_operator
from builders.submission_place import Place, open_place
from builders.world import Client, World, new_key
from fenzhi.access.roles import EXCLUSIVE_ROLES, Role
from fenzhi.access.scope import SEQUENCER_SCOPE, DatabaseRole, Scope
from fenzhi.services.audit import chain
from fenzhi.services.audit.sight import row_subject
from fenzhi_graphql.print_schema import schema_text
from fenzhi_graphql.schema import build_schema as build_own
from fenzhi_graphql.sight import Shows

REVEAL = """
mutation($i: PersonalFieldsRevealInput!) { personalFieldsReveal(input: $i) {
  personalFields { case personNo personName certificateNo birthDate recordNo visitId } userErrors { code path } } }
"""
EVENTS = """
query($first: Int!, $after: String, $f: AuditEventFilter) { auditEvents(first: $first, after: $after, filter: $f) { nodes {
  id seq kind action tenant role purpose reason fieldClass subjectCount requestId objectType objectId
  subjects(first: 100) { nodes { caseId } } } pageInfo { hasNextPage endCursor } } }
"""


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def place(world: World) -> Place:
    found = await open_place(world, "76")
    await found.submit([found.listed(f"A{n}") for n in range(5)] + [found.listed("BAD", insutype="999")])
    await found.submit([found.listed("A1", version=2, act_ipt_days=7)])
    return found


def key_of(global_id: str) -> uuid.UUID:
    return uuid.UUID(base64.urlsafe_b64decode(global_id + "==").decode().partition(":")[2])


async def asked(client: Client, query: str, variables: Any = None) -> tuple[dict[str, Any], str]:
    """The data of an answer and its request id."""
    response = await client.http.post("/graphql", json={"query": query, "variables": variables or {}})
    assert "errors" not in response.json(), response.text
    return response.json()["data"], response.headers["x-request-id"]


async def seen(place: Place, request_id: str) -> list[Any]:
    """The events of a request, read past the walls of the API."""
    async with place.world.platform.database.unit_of_work(SEQUENCER_SCOPE) as uow:
        return list(
            await uow.rows(text("select * from audit_event where request_id = :r order by event_id"), {"r": request_id})
        )


async def test_a_page_of_cases_names_exactly_its_cases(place: Place) -> None:
    client = await place.submitter()
    data, request = await asked(
        client, "{ cases(first: 2) { nodes { id setlId supersededBy } pageInfo { hasNextPage } } }"
    )
    nodes = data["cases"]["nodes"]
    (event,) = await seen(place, request)
    shown = {key_of(n["id"]) for n in nodes} | {key_of(n["supersededBy"]) for n in nodes if n["supersededBy"]}
    assert data["cases"]["pageInfo"]["hasNextPage"] is True
    assert len(nodes) == 2
    assert set(event.subjects) == shown
    assert event.subjects == sorted(event.subjects)
    assert (event.kind, event.action, event.field_class, event.role, event.tenant) == (
        "sight", "query.cases", "case", "hospital_submitter", place.hospital,
    )  # fmt: skip
    assert event.person_id is not None


async def test_what_shows_nobody_is_not_written_down(place: Place) -> None:
    client = await place.submitter()
    for query in (
        "{ cases(first: 2) { pageInfo { hasNextPage } } }",
        '{ cases(first: 2, filter: { setlId: "none" }) { nodes { id } } }',
        "{ jobs(first: 2) { nodes { id } } }",
        "{ batches(first: 2) { nodes { id counts { rows } } } }",
    ):
        _, request = await asked(client, query)
        assert await seen(place, request) == []


@pytest.mark.parametrize(
    "asked_for",
    [
        "pageInfo { endCursor }",
        "edges { cursor }",
        "...p } } fragment p on InpatientCaseConnection { pageInfo { endCursor }",
    ],
)
async def test_a_cursor_names_its_case(place: Place, asked_for: str) -> None:
    client = await place.submitter()
    nodes = (await client.gql("{ cases(first: 2) { nodes { id supersededBy } } }"))["cases"]["nodes"]
    tail = nodes if "edges" in asked_for else nodes[-1:]
    closing = "" if "fragment" in asked_for else " } }"
    _, request = await asked(client, f"{{ cases(first: 2) {{ {asked_for}{closing or ' }'}")
    (event,) = await seen(place, request)
    assert {key_of(n["id"]) for n in tail} <= set(event.subjects)
    named = {key_of(n[f]) for n in tail for f in ("id", "supersededBy") if n[f]}
    assert set(event.subjects) == named


async def test_several_fields_aliases_and_fragments_are_one_event(place: Place) -> None:
    client = await place.client(place.city, Role.CITY_SETTLEMENT_CLERK)
    one, two = [c["id"] for c in await place.cases(client)][:2]
    data, request = await asked(
        client,
        "query($a: ID!, $b: ID!) { mine: node(id: $a) { ...c } ...q } fragment c on InpatientCase { sex }"
        " fragment q on Query { why: caseExplain(id: $b) { disposition } }",
        {"a": one, "b": two},
    )
    assert data["mine"]["sex"] == 1
    (event,) = await seen(place, request)
    assert (set(event.subjects), event.action) == ({key_of(one), key_of(two)}, "query.caseExplain,query.node")


async def test_findings_name_the_case_or_the_refused_row(place: Place) -> None:
    client = await place.submitter()
    batch = await place.submit([place.listed("V1", act_ipt_days=99), place.listed("V2", insutype="999")])
    data, request = await asked(
        client, "query($id: ID!) { batch(id: $id) { verdicts(first: 100) { nodes { row } } } }", {"id": batch["id"]}
    )
    rows = {v["row"] for v in data["batch"]["verdicts"]["nodes"]}
    became = {c["setlId"]: key_of(c["id"]) for c in await place.cases(client)}
    batch_id = key_of(batch["id"])
    wanted = {became["V1"] if row == 1 and "V1" in became else row_subject(batch_id, row) for row in rows}
    (event,) = await seen(place, request)
    assert 2 in rows
    assert (set(event.subjects), event.field_class) == (wanted, "list")
    stream = await client.http.get(f"/v1/batches/{batch['id']}/verdicts.ndjson")
    (streamed,) = await seen(place, stream.headers["x-request-id"])
    assert (set(streamed.subjects), streamed.action) == (wanted, "GET verdicts.ndjson")


async def test_an_annotated_table_names_every_row_it_holds(place: Place) -> None:
    client = await place.submitter()
    batch = await place.create(client)
    header = "结算号 setl_id,版本 version\nT1,1\nT2,1\n".encode()
    put = await client.http.put(batch["uploadPath"] + "1", content=header, headers={"content-type": "text/csv"})
    assert put.status_code == 201, put.text
    assert (await place.seal(client, batch["id"]))["userErrors"] == []
    await place.world.work_off()
    response = await client.http.get(f"/v1/batches/{batch['id']}/annotated.xlsx")
    assert response.status_code == 200, response.text
    (event,) = await seen(place, response.headers["x-request-id"])
    batch_id = key_of(batch["id"])
    assert set(event.subjects) == {row_subject(batch_id, 2), row_subject(batch_id, 3)}  # The header is row 1.
    assert (event.field_class, event.purpose, event.action) == ("personal", "correction", "GET annotated.xlsx")


async def test_no_answer_leaves_when_it_cannot_be_written_down(place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    from fenzhi.store.repositories import audit

    async def broken(*_args: Any, **_kwargs: Any) -> None:
        raise RuntimeError("the audit is away")

    client = await place.submitter()
    batch = (await place.submit([place.listed("W1", insutype="999")]))["id"]
    monkeypatch.setattr(audit, "note", broken)
    response = await client.http.post("/graphql", json={"query": "{ cases(first: 2) { nodes { setlId } } }"})
    assert (response.status_code, "A0" in response.text) == (500, False)
    sent: list[dict[str, Any]] = []

    async def send(message: Any) -> None:
        sent.append(message)

    async def receive() -> dict[str, Any]:
        await asyncio.sleep(0)
        return {"type": "http.request", "body": b"", "more_body": False}

    scope = {
        "type": "http",
        "method": "GET",
        "path": f"/v1/batches/{batch}/verdicts.ndjson",
        "raw_path": b"",
        "query_string": b"",
        "headers": [(b"authorization", client.http.headers["authorization"].encode())],
        "state": {},
    }
    await place.world.app(scope, receive, send)
    assert sent[0]["status"] == 200
    assert b"".join(m.get("body", b"") for m in sent[1:]) == b""
    assert not any(m.get("more_body") is False for m in sent[1:]), "a cut stream must not look whole"


async def revealed(client: Client, of: str, **changes: Any) -> tuple[dict[str, Any], str]:
    order = {"idempotencyKey": new_key(), "case": of, "purpose": "REVIEW", "reason": "复核单2026-17"} | changes
    data, request = await asked(client, REVEAL, {"i": order})
    return data["personalFieldsReveal"], request


async def case_of(place: Place, setl_id: str) -> str:
    (found, *_) = await place.cases(await place.submitter(), setlId=setl_id)
    return str(found["id"])


async def test_personal_fields_are_revealed_for_a_purpose_and_written_down(place: Place) -> None:
    client = await place.client(place.city, Role.CITY_SETTLEMENT_CLERK)
    case = await case_of(place, "A3")
    answer, request = await revealed(client, case)
    assert answer == {
        "personalFields": {
            "case": case,
            "personNo": "PERSONA3",
            "personName": "合成患者姓名",
            "certificateNo": "CERTA3",
            "birthDate": "1950-01-01",
            "recordNo": "RECORDA3",
            "visitId": "MA3",
        },
        "userErrors": [],
    }
    events = {e.kind: e for e in await seen(place, request)}
    assert set(events) == {"act", "reveal", "sight"}
    reveal = events["reveal"]
    assert (reveal.purpose, reveal.reason, reveal.subjects) == ("review", "复核单2026-17", [key_of(case)])
    assert (events["sight"].field_class, events["sight"].subjects) == ("personal", [key_of(case)])


async def test_a_repeated_reveal_is_written_down_again_and_its_stored_answer_holds_nothing_personal(
    place: Place,
) -> None:
    client = await place.submitter()
    case, key = await case_of(place, "A4"), new_key()
    first, _ = await revealed(client, case, idempotencyKey=key)
    again, request = await revealed(client, case, idempotencyKey=key)
    assert first == again
    assert first["personalFields"]["certificateNo"] == "CERTA4"
    assert sorted(e.kind for e in await seen(place, request)) == ["reveal", "sight"]
    other, _ = await revealed(client, await case_of(place, "A3"), idempotencyKey=key)
    assert (other["personalFields"], other["userErrors"][0]["code"]) == (None, "IDEMPOTENCY_KEY_REUSED")
    async with place.world.platform.database.unit_of_work(
        Scope(role=DatabaseRole.HOSPITAL, tenant=place.hospital)
    ) as uow:
        stored = await uow.scalar(text("select response::text from idempotency_key where key = :k"), {"k": key})
    assert stored is not None
    assert "A4" not in stored


@pytest.mark.parametrize(
    ("changes", "code"),
    [
        ({"reason": "abc"}, "REASON_SHAPE"),
        ({"reason": "x" * 201}, "REASON_SHAPE"),
        ({"reason": "a\nb\nc\nd"}, "REASON_SHAPE"),
        ({"reason": "查 CERTA3 的清单"}, "REASON_PERSONAL"),
        ({"reason": "合成患者姓名要求"}, "REASON_PERSONAL"),
        ({"case": "bm9wZQ"}, "ID_MALFORMED"),
    ],
)
async def test_a_reveal_without_good_grounds_is_refused(place: Place, changes: dict[str, str], code: str) -> None:
    client = await place.submitter()
    answer, request = await revealed(client, await case_of(place, "A3"), **changes)
    assert (answer["personalFields"], [e["code"] for e in answer["userErrors"]]) == (None, [code])
    assert await seen(place, request) == []


@pytest.mark.parametrize(
    ("tenant", "role"),
    [
        ("province", Role.PROVINCE_ANALYST),
        ("hospital", Role.HOSPITAL_VIEWER),
        ("province", Role.PROVINCE_AUDIT_ADMINISTRATOR),
        ("city", Role.CITY_AUDIT_ADMINISTRATOR),
    ],
)
async def test_who_lacks_the_duty_reveals_nothing(place: Place, tenant: str, role: Role) -> None:
    client = await place.client(getattr(place, tenant), role)
    order = {"idempotencyKey": new_key(), "case": await case_of(place, "A3"), "purpose": "REVIEW", "reason": "x"}
    answer = await client.raw(REVEAL, {"i": order})
    assert answer["errors"][0]["extensions"]["code"] == "FORBIDDEN"


@pytest.mark.parametrize("tenant", ["county_hospital", "other_hospital"])
async def test_another_hospitals_patient_does_not_exist(place: Place, tenant: str) -> None:
    client = await place.submitter(getattr(place, tenant))
    answer, _ = await revealed(client, await case_of(place, "A3"))
    assert (answer["personalFields"], answer["userErrors"][0]["code"]) == (None, "NOT_FOUND")


async def test_an_audit_administrator_reads_who_saw_a_case(place: Place) -> None:
    reader = await place.client(place.city, Role.CITY_SETTLEMENT_APPROVER)
    case = await case_of(place, "A2")
    _, request = await asked(reader, "query($id: ID!) { inpatientCase(id: $id) { sex } }", {"id": case})
    while await chain.chain_waiting(place.world.platform):
        pass
    for tenant, role in (
        (place.province, Role.PROVINCE_AUDIT_ADMINISTRATOR),
        (place.city, Role.CITY_AUDIT_ADMINISTRATOR),
    ):
        auditor = await place.client(tenant, role)
        data, own = await asked(auditor, EVENTS, {"first": 100, "f": {"case": case, "requestId": request}})
        (event,) = data["auditEvents"]["nodes"]
        assert (event["kind"], event["action"], event["tenant"]) == ("SIGHT", "query.inpatientCase", place.city)
        assert (event["role"], event["subjectCount"]) == ("city_settlement_approver", 1)
        assert [one["caseId"] for one in event["subjects"]["nodes"]] == [case]
        assert int(event["seq"]) > 0
        (read,) = await seen(place, own)
        assert (read.action, read.subjects, read.role) == ("query.auditEvents", [key_of(case)], role.value)
        node = await auditor.gql("query($id: ID!) { node(id: $id) { ... on AuditEvent { requestId } } }", event)
        assert node["node"]["requestId"] == request


async def test_an_audit_administrator_sees_its_place_and_nothing_of_others(place: Place) -> None:
    hers = await place.client(place.other_city, Role.CITY_AUDIT_ADMINISTRATOR)
    case = await case_of(place, "A2")
    assert (await hers.gql(EVENTS, {"first": 100, "f": {"case": case}}))["auditEvents"]["nodes"] == []
    tenants = {e["tenant"] for e in (await hers.gql(EVENTS, {"first": 100}))["auditEvents"]["nodes"]}
    assert tenants <= {place.other_city, place.other_hospital}
    stranger = await place.client("370000", Role.PROVINCE_AUDIT_ADMINISTRATOR)
    seen_there = (await stranger.gql(EVENTS, {"first": 100}))["auditEvents"]["nodes"]
    assert not {e["tenant"] for e in seen_there} & {place.province, place.city, place.hospital}
    mine = await place.client(place.province, Role.PROVINCE_AUDIT_ADMINISTRATOR)
    (event, *_) = (await mine.gql(EVENTS, {"first": 1}))["auditEvents"]["nodes"]
    node = await stranger.gql("query($id: ID!) { node(id: $id) { id } }", {"id": event["id"]})
    assert node["node"] is None


async def test_pages_of_events_follow_one_another(place: Place) -> None:
    auditor = await place.client(place.province, Role.PROVINCE_AUDIT_ADMINISTRATOR)
    until = "2099-01-01T00:00:00"
    first = (await auditor.gql(EVENTS, {"first": 3, "f": {"kind": "ACT", "until": until}}))["auditEvents"]
    after = first["pageInfo"]["endCursor"]
    second = await auditor.gql(EVENTS, {"first": 3, "after": after, "f": {"kind": "ACT", "until": until}})
    ids = [e["id"] for e in first["nodes"]] + [e["id"] for e in second["auditEvents"]["nodes"]]
    assert len(set(ids)) == 6
    assert [key_of(i) for i in ids] == sorted((key_of(i) for i in ids), reverse=True)
    foreign = await auditor.raw(EVENTS, {"first": 3, "after": after, "f": {"kind": "SIGHT"}})
    assert foreign["errors"][0]["extensions"]["code"] == "DATA_REFUSED"


async def test_nobody_else_reads_the_audit_and_who_audits_reads_nothing_else(place: Place) -> None:
    clerk = await place.client(place.city, Role.CITY_SETTLEMENT_CLERK)
    assert (await clerk.raw(EVENTS, {"first": 1}))["errors"][0]["extensions"]["code"] == "FORBIDDEN"
    for tenant, role in (
        (place.province, Role.PROVINCE_AUDIT_ADMINISTRATOR),
        (place.city, Role.CITY_AUDIT_ADMINISTRATOR),
    ):
        auditor = await place.client(tenant, role)
        for query in (
            "cases(first: 1) { nodes { id } }",
            "jobs(first: 1) { nodes { id } }",
            "fundBudgets(year: 2025) { id }",
        ):
            answer = await auditor.raw(f"{{ {query} }}")
            assert answer["errors"][0]["extensions"]["code"] == "FORBIDDEN", query


async def test_the_latest_anchor_is_shown(place: Place) -> None:
    while await chain.chain_waiting(place.world.platform):
        pass
    made = await chain.anchor(place.world.platform)
    auditor = await place.client(place.city, Role.CITY_AUDIT_ADMINISTRATOR)
    shown = (await auditor.gql("{ auditAnchor { seq algorithm digest } }"))["auditAnchor"]
    assert made is not None
    assert shown == {"seq": str(made.seq), "algorithm": "sha256", "digest": made.digest.hex()}


OPEN = "mutation($i: AccountOpenInput!) { accountOpen(input: $i) { account { uuid } userErrors { code } } }"
PROPOSE = "mutation($i: RoleGrantInput!) { roleGrant(input: $i) { grant { id } userErrors { code } } }"
APPROVE = "mutation($i: RoleGrantStepInput!) { roleGrantApprove(input: $i) { userErrors { code } } }"


async def test_who_audits_holds_no_other_role(place: Place) -> None:
    assert {Role.PROVINCE_AUDIT_ADMINISTRATOR, Role.CITY_AUDIT_ADMINISTRATOR} <= EXCLUSIVE_ROLES
    assert Role.OPERATOR_ADMIN not in EXCLUSIVE_ROLES
    operator = await place.client("operator", Role.OPERATOR_ADMIN)
    other = await second_operator(place.world)
    issuer = {"issuer": "https://issuer.test"}

    async def opened(person: str) -> str:
        subject = f"s-{uuid.uuid4().hex[:8]}"
        order = issuer | {"idempotencyKey": new_key(), "subject": subject, "personId": person, "displayName": "测试"}
        assert (await operator.gql(OPEN, {"i": order}))["accountOpen"]["userErrors"] == []
        return subject

    async def granted(subject: str, tenant: str, role: Role) -> list[str]:
        order = issuer | {"idempotencyKey": new_key(), "subject": subject, "tenant": tenant, "role": role.name}
        proposed = (await operator.gql(PROPOSE, {"i": order}))["roleGrant"]
        if proposed["userErrors"]:
            return [e["code"] for e in proposed["userErrors"]]
        step = {"idempotencyKey": new_key(), "grant": proposed["grant"]["id"]}
        return [e["code"] for e in (await other.gql(APPROVE, {"i": step}))["roleGrantApprove"]["userErrors"]]

    person = str(uuid.uuid4())
    first, second = await opened(person), await opened(person)
    assert await granted(first, place.province, Role.PROVINCE_AUDIT_ADMINISTRATOR) == []
    for subject in (first, second):
        for tenant, role in (
            (place.city, Role.CITY_AUDIT_ADMINISTRATOR),
            (place.city, Role.CITY_SYSTEM_ADMINISTRATOR),
            (place.province, Role.PROVINCE_SECURITY_ADMINISTRATOR),
        ):
            assert await granted(subject, tenant, role) == ["ROLE_EXCLUSIVE"], role


NAMES_A_PATIENT = ("setlId", "case", "caseId", "supersededBy", "personNo", "personName", "certificateNo")


THE_CALLERS_OWN_WORD = {"GroupingPreview"}
"""Types whose case is a name the caller made up for a case that is stored nowhere."""


def test_every_type_that_names_a_patient_says_whom_it_shows() -> None:
    own = build_own()
    found, silent = set(), set()
    for name, one in build_schema(schema_text()).type_map.items():
        if isinstance(one, GraphQLObjectType) and any(field in one.fields for field in NAMES_A_PATIENT):
            definition = own.get_type_by_name(name)
            found.add(name)
            if name not in THE_CALLERS_OWN_WORD and not issubclass(definition.origin, Shows):  # type: ignore[union-attr]
                silent.add(name)
    assert found >= {"InpatientCase", "Verdict", "CaseExplain", "StatementCase", "AuditSubject", "PersonalFields"}
    assert silent == set(), "let the type inherit fenzhi_graphql.sight.Shows and name its case in show()"


def test_a_row_has_one_name() -> None:
    batch = uuid.UUID(int=5)
    assert row_subject(batch, 1) == row_subject(batch, 1)
    assert len({row_subject(batch, 1), row_subject(batch, 2), row_subject(uuid.UUID(int=6), 1)}) == 3


@pytest.mark.parametrize("infno", ["4103", "4104", "3606", "3607"])
def test_the_national_look_ups_are_written_down(infno: str) -> None:
    import inspect

    from fenzhi.services.submission.national.transactions import TRANSACTIONS

    source = inspect.getsource(TRANSACTIONS[infno])
    assert source.index("await _witnessed(") < source.rindex("return {")

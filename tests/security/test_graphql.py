"""What would cost too much is refused before it costs anything; what a guess would tell is not told."""

from __future__ import annotations

import time

import pytest
from graphql import get_introspection_query, parse

from builders.world import World
from fenzhi.access.roles import KIND_OF_ROLE, Role, TenantKind
from fenzhi.cli.battery.graphql import try_attacks, try_slow_body
from fenzhi.cli.battery.stage import Stage
from fenzhi.cli.battery.tally import Tally
from fenzhi_graphql import limits
from fenzhi_graphql.limits import TooMuch, check_text, check_written, weigh
from fenzhi_graphql.schema import build_schema


async def test_every_attack_is_refused_or_costs_nothing(stage: Stage) -> None:
    tally = Tally()
    await try_attacks(stage, tally, seed=1, rounds=1, is_timed=False)
    assert tally.failures == []
    assert len(tally.tried) > 40


async def test_a_body_that_stops_is_let_go() -> None:
    tally = Tally()
    await try_slow_body(tally)
    assert (tally.failures, tally.tried) == ([], {"slow body": 3})


def doubled(times: int) -> str:
    spread = " ".join(f"fragment F{i} on Query {{ ...F{i + 1} ...F{i + 1} }}" for i in range(times))
    return f"{{ ...F0 }} {spread} fragment F{times} on Query {{ __typename }}"


def test_the_walk_is_bounded_however_often_fragments_double() -> None:
    """24 doublings are 33 million spreads; the walk ends one step beyond its budget."""
    document = parse(doubled(24))
    check_written(document)
    began = time.process_time()
    with pytest.raises(TooMuch) as refusal:
        weigh(document)
    assert time.process_time() - began < 0.1
    assert refusal.value.extensions == {"code": "TOO_MUCH", "limit": "fields", "seen": limits.FIELDS_MOST + 1, "most": limits.FIELDS_MOST}  # fmt: skip


def test_a_weight_is_counted_exactly() -> None:
    weight = weigh(
        parse("""
        query Q { a: hospitals(first: 10) { nodes { id ...F } pageInfo { endCursor } } }
        fragment F on Hospital { code c: name @include(if: true) }
    """)
    )
    # 1 list; in it 10 times nodes, id, code, name, pageInfo, endCursor.
    assert (weight.cost, weight.walked, weight.aliases, weight.directives, weight.deepest) == (61, 8, 2, 1, 3)
    by_variable = weigh(parse("query($n: Int!) { hospitals(first: $n) { nodes { id } } }"))
    assert by_variable.cost == 1 + 100 + 100
    given = parse("query($n: Int!) { hospitals(first: $n) { nodes { id } } }")
    assert [weigh(given, variables={"n": n}).cost for n in (7, -1, True, "7", None)] == [15, 3, 201, 201, 201]
    with pytest.raises(TooMuch, match="cost"):
        weigh(given, variables={"n": 2**31})


@pytest.mark.parametrize(
    ("document", "cost"),
    [
        # A root field asks the store; of ten hospitals each standings does too, its level is there already.
        ("{ hospitals(first: 10) { nodes { standings { level } } } }", 100 + 10 * (1 + 100 + 1)),
        ("{ ...R } fragment R on Query { hospitals(first: 10) { nodes { ...S } } } fragment S on Hospital { standings { level } }", 100 + 10 * 102),
        ('{ node(id: "x") { ... on Hospital { standings { level } } ... { id } } }', 100 + 100 + 1 + 1),
        ('{ node(id: "x") { ... on Hospital { code } } }', 100 + 1),
        ('{ catalogEdition(id: "x") { buildReport { historyCases } } }', 100 + 100 + 1),
        ('{ clearingRun(id: "x") { statements(first: 20) { nodes { cases(first: 1) { nodes { points } } } } } }', 100 + 100 + 20 * (1 + 100 + 1 + 1)),
        ('{ catalogEdition(id: "x") { lint(first: 1) { code } } }', 100 + 15_000 + 1),
        ("mutation { signOut(input: {}) { userErrors { code } } }", 100 + 1 + 1),
    ],
)  # fmt: skip
def test_a_field_that_asks_the_store_costs_what_it_takes(document: str, cost: int) -> None:
    assert weigh(parse(document), prices=build_schema().prices).cost == cost


def test_thirty_small_answers_may_be_too_much_work() -> None:
    """Each alias has its catalog looked through; 30 of them took more than a second while they cost 90 units."""
    document = parse('query($id: ID!) {' + " ".join(f"a{i}: catalogEdition(id: $id) {{ lint(first: 1) {{ code }} }}" for i in range(30)) + "}")  # fmt: skip
    assert weigh(document).cost == 90
    with pytest.raises(TooMuch, match="cost"):
        weigh(document, prices=build_schema().prices)


@pytest.mark.parametrize(
    ("text", "limit"),
    [
        ("{ a }" + " " * limits.TEXT_MOST, "characters"),
        ("\n" * limits.LINES_MOST + "{ a }", "lines"),
        ("{a" * (limits.NESTING_MOST + 1), "nesting"),
        ("{}" * limits.TOKENS_MOST, "tokens"),
    ],
)
def test_a_text_is_refused_before_the_parser_sees_it(text: str, limit: str) -> None:
    with pytest.raises(TooMuch) as refusal:
        check_text(text)
    assert refusal.value.extensions is not None and refusal.value.extensions["limit"] == limit


def test_brackets_in_strings_and_comments_do_not_nest() -> None:
    check_text('{ a(b: "' + "{" * 500 + '", c: """' + "[" * 500 + '""") } # ' + "(" * 500)


async def test_depth_is_of_the_level(world: World) -> None:
    at_nine = (
        "{ clearingRuns(first: 1) " + "{ nodes { statements(first: 1) " * 3 + "{ nodes { id } }" + "} }" * 3 + " }"
    )
    for tenant, role in (("410100", Role.CITY_SETTLEMENT_CLERK), ("H41010001", Role.HOSPITAL_VIEWER)):
        answer = await (await world.client(tenant, role)).raw(at_nine)
        most = limits.DEPTH_OF_LEVEL[KIND_OF_ROLE[role]]
        too_much = [e["extensions"]["most"] for e in answer["errors"] if e["extensions"]["code"] == "TOO_MUCH"]
        assert too_much == ([8] if KIND_OF_ROLE[role] is TenantKind.HOSPITAL else []), most


async def test_only_an_integration_developer_introspects(stage: Stage) -> None:
    query = get_introspection_query(descriptions=True)
    for tenant, role, may in (
        ("H98010001", Role.INTEGRATION_DEVELOPER, True),
        ("H98010001", Role.HOSPITAL_VIEWER, False),
        ("980100", Role.CITY_SETTLEMENT_CLERK, False),
        ("980000", Role.PROVINCE_ANALYST, False),
        ("operator", Role.OPERATOR_ADMIN, False),
    ):
        answer = await stage.cast.actor(tenant, role).raw(query)
        assert bool(answer.get("data")) is may, (role, answer.get("errors"))
        assert may or all("__schema" not in str(e.get("path")) for e in answer["errors"])


async def test_the_cost_is_told(world: World) -> None:
    clerk = await world.client("410100", Role.CITY_SETTLEMENT_CLERK)
    told = await clerk.raw("{ hospitals(first: 7) { nodes { id } } }")
    assert told["extensions"] == {"cost": {"requested": 100 + 7 + 7, "limit": 50_000}}
    refused = await clerk.raw("{ hospitals(first: 1000000) { nodes { id } } }")
    assert refused["errors"][0]["extensions"]["limit"] == "cost"

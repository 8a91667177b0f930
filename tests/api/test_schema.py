"""The schema as a promise: committed, described in both languages, exact, paged, one input per mutation."""

from __future__ import annotations

import re

import pytest
from graphql import (
    GraphQLEnumType,
    GraphQLInputObjectType,
    GraphQLInterfaceType,
    GraphQLNonNull,
    GraphQLObjectType,
    build_schema,
    get_named_type,
)

from fenzhi_graphql.print_schema import COMMITTED, schema_text

SCHEMA = build_schema(schema_text())
TYPES = {n: t for n, t in SCHEMA.type_map.items() if not n.startswith("__")}
COMPOSITE = GraphQLObjectType | GraphQLInterfaceType | GraphQLInputObjectType
FIELDS = [(n, f, field) for n, t in TYPES.items() if isinstance(t, COMPOSITE) for f, field in t.fields.items()]
HAN = re.compile(r"[\u4e00-\u9fff]")


def test_the_committed_schema_is_the_schema() -> None:
    assert COMMITTED.read_text(encoding="utf-8") == schema_text(), "run `make schema` and review the diff"


@pytest.mark.parametrize(("type_name", "field_name", "field"), FIELDS, ids=[f"{t}.{f}" for t, f, _ in FIELDS])
def test_every_field_is_described(type_name, field_name, field) -> None:
    assert field.description, f"{type_name}.{field_name} has no description"


def test_every_type_is_described() -> None:
    bare = [n for n, t in TYPES.items() if not t.description and not isinstance(t, GraphQLEnumType)]
    assert set(bare) <= {"Boolean", "String", "Int", "ID"}, bare


def test_fields_say_their_chinese_term() -> None:
    plumbing = {"id", "edges", "nodes", "node", "cursor", "pageInfo", "messageEn", "query", "mutation"}
    english_only = [
        f"{t}.{f}"
        for t, f, field in FIELDS
        if f not in plumbing and not f.endswith("En") and not HAN.search(field.description or "")
    ]
    assert english_only == []


def test_no_float_and_no_json() -> None:
    assert not {"Float", "JSON"} & set(TYPES)


def test_connections_need_first() -> None:
    for name, field in [(f"{t}.{f}", field) for t, f, field in FIELDS if hasattr(field, "args")]:
        if get_named_type(field.type).name.endswith("Connection"):
            assert isinstance(field.args["first"].type, GraphQLNonNull), name


def test_a_mutation_takes_one_input_with_a_key_and_answers_with_user_errors() -> None:
    for name, field in SCHEMA.mutation_type.fields.items():
        assert list(field.args) == ["input"], name
        assert "idempotencyKey" in get_named_type(field.args["input"].type).fields, name
        assert "userErrors" in get_named_type(field.type).fields, name

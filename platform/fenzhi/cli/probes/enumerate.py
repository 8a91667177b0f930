"""Reading the questions from the schema (从模式生成探测): every field with arguments that fit, every input with values that fit."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from graphql import (
    GraphQLEnumType,
    GraphQLField,
    GraphQLInputObjectType,
    GraphQLInterfaceType,
    GraphQLList,
    GraphQLNonNull,
    GraphQLObjectType,
    GraphQLScalarType,
    GraphQLSchema,
    get_named_type,
    is_required_argument,
    is_required_input_field,
)

from fenzhi.cli.flow.client import fresh_key

_DEPTH = 4
_PAGE = 5

PLAIN_UUIDS = frozenset({"accountId", "personId"})
"""Input names whose ids are UUIDs of the outside world, not ids of nodes."""

NODE_BEHIND = {"CaseExplain": "InpatientCase"}
"""What an `id` names where the answer is about a node but is none itself."""

NAMED = {"case": "InpatientCase"}
"""Ids whose name would fit several node types, and the one they name."""

OVERRIDES = {"referenceCosts": {"year": 2024}, "catalogEditions": {"first": 2}}
"""Values a field needs to have something to answer: reference costs are of the year before; each edition of a page is looked through."""

CODE_NAMES = {
    "hospital": "hospital",
    "hospitalCode": "hospital",
    "tenant": "any",
    "parent": "any",
    "area": "city",
    "areaCode": "city",
}
"""Text inputs that name a tenant by its code, and the kind of tenant they name."""

_SAMPLE = {
    "year": 2025,
    "quarter": 1,
    "period": 1,
    "month": 1,
    "settlementMonth": 202501,
    "first": _PAGE,
    "last": _PAGE,
    "parts": 1,
    "scale": 1000,
    "scoreDecimals": 2,
    "kind": "PROVINCE",
}


@dataclass(frozen=True, slots=True)
class IdSlot:
    """A place in a request where an id goes (标识位置): the argument path and what it wants.

    `node_type` is a node type, `code:<kind>` for the code of a tenant, `uuid:` for a plain UUID, `?` when nothing tells.
    """

    path: tuple[str | int, ...]
    node_type: str


@dataclass(frozen=True, slots=True)
class Question:
    """One field as it will be asked (探测问题)."""

    operation: str
    field: str
    document: str
    variables: dict[str, Any]
    id_slots: tuple[IdSlot, ...]
    return_type: str


def node_types(schema: GraphQLSchema) -> set[str]:
    """The types that implement Node (节点类型)."""
    node = schema.get_type("Node")
    assert isinstance(node, GraphQLInterfaceType)
    return {implementation.name for implementation in schema.get_possible_types(node)}


def questions(schema: GraphQLSchema) -> Iterator[Question]:
    """Every query and mutation field of the schema, with its whole selection (全部字段)."""
    types = node_types(schema)
    for operation, root in (("query", schema.query_type), ("mutation", schema.mutation_type)):
        assert root is not None
        for name, field in root.fields.items():
            yield _question(schema, types, operation, name, field)


def _question(schema: GraphQLSchema, types: set[str], operation: str, name: str, field: GraphQLField) -> Question:
    variables: dict[str, Any] = {}
    slots: list[IdSlot] = []
    declared, passed = [], []
    for arg_name, argument in field.args.items():
        takes_id = get_named_type(argument.type).name == "ID"
        if not (is_required_argument(argument) or takes_id or arg_name == "filter"):
            continue
        value, found = _value(argument.type, arg_name, types, _answers_with(field, types), (arg_name,))
        variables[arg_name] = OVERRIDES.get(name, {}).get(arg_name, value)
        slots += found
        declared.append(f"${arg_name}: {argument.type}")
        passed.append(f"{arg_name}: ${arg_name}")
    selection = _selection(schema, get_named_type(field.type), _DEPTH, ())
    head = f"{operation} Probe{'(' + ', '.join(declared) + ')' if declared else ''}"
    call = f"{name}{'(' + ', '.join(passed) + ')' if passed else ''}"
    return Question(
        operation, name, f"{head} {{ {call} {selection} }}", variables, tuple(slots), get_named_type(field.type).name
    )


def _answers_with(field: GraphQLField, types: set[str]) -> str:
    """The type a field returns; of a mutation's payload the one node type inside, when there is just one."""
    returned = get_named_type(field.type)
    if isinstance(returned, GraphQLObjectType) and returned.name.endswith("Payload"):
        inside = {get_named_type(f.type).name for f in returned.fields.values()} & types
        if len(inside) == 1:
            return str(inside.pop())
    return str(returned.name)


def _selection(schema: GraphQLSchema, type_: Any, depth: int, open_: tuple[str, ...]) -> str:
    if isinstance(type_, GraphQLInterfaceType):
        return "{ __typename id }"
    if not isinstance(type_, GraphQLObjectType):
        return ""
    parts = ["__typename"]
    for name, field in type_.fields.items():
        inner = get_named_type(field.type)
        arguments = _nested_arguments(field)
        if arguments is None:
            continue
        if isinstance(inner, GraphQLObjectType | GraphQLInterfaceType):
            if name == "edges" and "nodes" in type_.fields:
                parts.append("edges { __typename cursor }")  # Their nodes are asked for as `nodes`.
                continue
            if depth <= 1 or inner.name in open_:
                continue
            parts.append(f"{name}{arguments} {_selection(schema, inner, depth - 1, (*open_, inner.name))}")
        else:
            parts.append(f"{name}{arguments}")
    return "{ " + " ".join(parts) + " }"


def _nested_arguments(field: GraphQLField) -> str | None:
    """Literal arguments of a nested field, blank for none, None when one cannot be guessed."""
    literals = []
    for name, argument in field.args.items():
        if not is_required_argument(argument):
            continue
        if name not in _SAMPLE:
            return None
        literals.append(f"{name}: {_PAGE if name in ('first', 'last') else _SAMPLE[name]}")
    return f"({', '.join(literals)})" if literals else ""


def _value(
    type_: Any, name: str, types: set[str], return_type: str, path: tuple[str | int, ...]
) -> tuple[Any, list[IdSlot]]:
    """A value that fits a type, and the id slots inside it."""
    if isinstance(type_, GraphQLNonNull):
        return _value(type_.of_type, name, types, return_type, path)
    if isinstance(type_, GraphQLList):
        value, slots = _value(type_.of_type, name, types, return_type, (*path, 0))
        return [value], slots
    if isinstance(type_, GraphQLInputObjectType):
        filled: dict[str, Any] = {}
        slots = []
        for field_name, field in type_.fields.items():
            wants_id = get_named_type(field.type).name == "ID"
            if is_required_input_field(field) or wants_id:
                filled[field_name], found = _value(field.type, field_name, types, return_type, (*path, field_name))
                slots += found
        return filled, slots
    if isinstance(type_, GraphQLEnumType):
        return next(iter(type_.values)), []
    assert isinstance(type_, GraphQLScalarType)
    if type_.name == "ID":
        return "", [IdSlot(path, "uuid:" if name in PLAIN_UUIDS else _node_type(name, types, return_type))]
    if type_.name == "String" and name in CODE_NAMES:
        return "", [IdSlot(path, f"code:{CODE_NAMES[name]}")]
    return _scalar(type_.name, name), []


def _scalar(type_name: str, name: str) -> Any:
    if name == "idempotencyKey":
        return fresh_key()
    if type_name == "Int":
        return _SAMPLE.get(name, 1)
    if type_name == "Boolean":
        return False
    samples = {"Fen": "100", "Decimal": "0.5", "Date": "2025-01-31", "DateTime": "2025-01-31T00:00:00+08:00"}
    return samples.get(type_name, f"probe {name}")


def _node_type(name: str, types: set[str], return_type: str) -> str:
    """The node type an id argument wants, told by its name or by what its field returns."""
    if name == "id":
        return NODE_BEHIND.get(return_type, return_type)
    if name in NAMED:
        return NAMED[name]
    lowered = {t.lower(): t for t in types}
    for candidate in (
        name.lower(),
        name.lower().removesuffix("id"),
        name.lower().removesuffix("s"),
        name.lower().removesuffix("ids"),
    ):
        if candidate in lowered:
            return lowered[candidate]
        ends = [t for low, t in lowered.items() if low.endswith(candidate)]
        if len(ends) == 1 and len(candidate) > 2:
            return ends[0]
    return return_type if name == "ids" and return_type in types else "?"

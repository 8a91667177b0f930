"""Limits on what one request may ask (请求限额), checked before anything is validated or run.

The library limits tokens but not cost, its alias limiter follows fragment spreads without bound (24 doublings hang it), and its validation
rules compare every field of a name with every other. So a document is weighed here first, by the text and then by one bounded walk: every
field, spread and inline fragment walked counts, and the walk ends when the count is used up, however often fragments double.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from types import MappingProxyType
from typing import Any

from graphql import (
    DocumentNode,
    FieldNode,
    FragmentDefinitionNode,
    FragmentSpreadNode,
    GraphQLError,
    GraphQLField,
    GraphQLInterfaceType,
    GraphQLObjectType,
    GraphQLSchema,
    InlineFragmentNode,
    IntValueNode,
    OperationDefinitionNode,
    OperationType,
    SelectionSetNode,
    VariableNode,
    get_named_type,
)
from strawberry.extensions import SchemaExtension

from fenzhi.access.roles import KIND_OF_ROLE, TenantKind
from fenzhi_graphql.context import Context

DEPTH_OF_LEVEL: Mapping[TenantKind, int] = {
    TenantKind.OPERATOR: 8,
    TenantKind.PROVINCE: 12,
    TenantKind.CITY: 12,
    TenantKind.COUNTY: 12,
    TenantKind.HOSPITAL: 8,
}
"""How deep a document of each level may nest (各级嵌套上限)."""
DEPTH_MOST = 12
FIELDS_MOST = 300
TWINS_MOST = 30
"""How often one response name may stand in one selection: validation compares each with each."""
ALIASES_MOST = 30
DIRECTIVES_MOST = 20
FRAGMENTS_MOST = 30
OPERATIONS_MOST = 5
COST_MOST = 50_000
PAGE_MOST = 100
BODY_MOST = 1 << 20
TEXT_MOST = 1 << 16
"""Characters of one document; the parser's cache keeps the latest ones."""
LINES_MOST = 1_000
"""The place of each error is counted line by line."""
NESTING_MOST = 64
"""Brackets open at once; the parser goes one deeper for each."""
TOKENS_MOST = 2_000
INTROSPECTION_DEPTH_MOST = 16
INTROSPECTION_LISTS_MOST = 3

_INTROSPECTION = frozenset({"__schema", "__type"})
_INTROSPECTION_LISTS = frozenset(
    {"types", "fields", "args", "inputFields", "enumValues", "possibleTypes", "interfaces", "directives"}
)
_BRACKETS = re.compile(r'"""(?:[^"]|"(?!""))*"""|"(?:[^"\\\n]|\\.)*"|#[^\n\r]*|[{}()\[\]]')
_SUGGESTION = re.compile(r"\s*Did you mean [^?]*\?")


class TooMuch(GraphQLError):
    """A request beyond the limits (超出限额)."""

    def __init__(self, what: str, seen: int, most: int) -> None:
        super().__init__(
            f"The request asks too much: {what} {seen}, at most {most}. 请求超出限额：{what} {seen}，上限 {most}。",
            extensions={"code": "TOO_MUCH", "limit": what, "seen": seen, "most": most},
        )


ASKING = 100
"""Cost of a field that asks the store (取数字段): it has a transaction of its own. It takes the time of some 500 plain ones; dearer, pages of
100 that ask two things for each of their entries would not pass."""


@dataclass(frozen=True, slots=True)
class Price:
    """What one field costs, however small its answer (字段单价), and the type of what it answers."""

    units: int
    answers: str


Prices = Mapping[str, Mapping[str, Price]]
"""Type → field → its price (价目)."""
NO_PRICES: Prices = MappingProxyType({})
_PLAIN = Price(1, "")
_NOTHING: Mapping[str, Any] = MappingProxyType({})


def prices_of(schema: GraphQLSchema) -> Prices:
    """The price of every field (价目): 1, or `ASKING` where it asks the store, or the `cost` its definition names because it works its answer out."""
    found: dict[str, dict[str, Price]] = {}
    for name, kind in schema.type_map.items():
        if isinstance(kind, GraphQLObjectType | GraphQLInterfaceType) and not name.startswith("__"):
            found[name] = {
                field_name: Price(_units(field), get_named_type(field.type).name)
                for field_name, field in kind.fields.items()
            }
    return found


def _units(field: GraphQLField) -> int:
    definition = field.extensions.get("strawberry-definition")
    if definition is None or definition.base_resolver is None or not definition.base_resolver.is_async:
        return 1
    return int(definition.metadata.get("cost", ASKING))


@dataclass(slots=True)
class Weight:
    """What one operation asks (请求用量), with fragments spread. Counting stops at the first limit that is passed."""

    walked: int = 0
    """Fields, spreads and inline fragments met on the way."""
    aliases: int = 0
    directives: int = 0
    cost: int = 0
    """Prices of fields times the entries of the pages around them."""
    deepest: int = 0
    introspection_deepest: int = 0
    introspection_lists: int = 0

    @property
    def is_over(self) -> bool:
        return self.walked > FIELDS_MOST or self.cost > COST_MOST or self.directives > DIRECTIVES_MOST


@dataclass(frozen=True, slots=True)
class _At:
    """Where the walk stands: type, depth, entries of the pages around, open fragments, lists of an introspection (-1: none)."""

    inside: str = ""
    depth: int = 1
    times: int = 1
    open_fragments: tuple[str, ...] = ()
    lists: int = -1


def _page(field: FieldNode, variables: Mapping[str, Any]) -> int:
    """How many entries a field may return: its `first` or `last`; a variable counts as what it is given, else as the largest page."""
    for argument in field.arguments or ():
        if argument.name.value in ("first", "last"):
            if isinstance(argument.value, IntValueNode):
                digits = argument.value.value
                return max(1, min(int(digits), 10**6)) if len(digits) < 8 else 10**6
            if isinstance(argument.value, VariableNode):
                given = variables.get(argument.value.name.value)
                return max(1, min(given, 10**6)) if type(given) is int else PAGE_MOST
    return 1


class _Walk:
    """One walk over one operation (遍历); never longer than the limits."""

    def __init__(
        self,
        fragments: Mapping[str, FragmentDefinitionNode],
        depth_most: int,
        prices: Prices,
        variables: Mapping[str, Any],
    ) -> None:
        self.weight = Weight()
        self._prices = prices
        self._variables = variables
        self._fragments = fragments
        self._depth_most = depth_most

    def into(self, selection_set: SelectionSetNode | None, at: _At) -> None:
        """Walk a selection and everything below."""
        weight = self.weight
        if selection_set is None:
            return
        if at.lists < 0:
            weight.deepest = max(weight.deepest, at.depth)
        else:
            weight.introspection_deepest = max(weight.introspection_deepest, at.depth)
            weight.introspection_lists = max(weight.introspection_lists, at.lists)
        if at.depth > (self._depth_most if at.lists < 0 else INTROSPECTION_DEPTH_MOST):
            return
        for selection in selection_set.selections:
            if weight.is_over:
                return
            weight.walked += 1
            weight.directives += len(selection.directives or ())
            match selection:
                case FieldNode():
                    weight.aliases += selection.alias is not None
                    price = self._prices.get(at.inside, {}).get(selection.name.value, _PLAIN)
                    weight.cost += at.times * price.units
                    self.into(selection.selection_set, self._below(selection, at, price.answers))
                case InlineFragmentNode():
                    on = selection.type_condition
                    self.into(selection.selection_set, replace(at, inside=on.name.value) if on else at)
                case FragmentSpreadNode():
                    name = selection.name.value
                    if name in self._fragments and name not in at.open_fragments:
                        fragment = self._fragments[name]
                        self.into(
                            fragment.selection_set,
                            replace(
                                at,
                                inside=fragment.type_condition.name.value,
                                open_fragments=(*at.open_fragments, name),
                            ),
                        )

    def _below(self, field: FieldNode, at: _At, answers: str) -> _At:
        lists = at.lists
        if lists >= 0:
            lists += field.name.value in _INTROSPECTION_LISTS
        elif field.name.value in _INTROSPECTION:
            lists = 0
        return _At(answers, at.depth + 1, at.times * _page(field, self._variables), at.open_fragments, lists)


def check_text(text: str) -> None:
    """Refuse a document by its text alone (文本检查): length, lines, brackets open at once. Raises: TooMuch."""
    for what, seen, most in (
        ("characters", len(text), TEXT_MOST),
        ("lines", text.count("\n") + text.count("\r") + 1, LINES_MOST),
    ):
        if seen > most:
            raise TooMuch(what, seen, most)
    nesting = 0
    for number, found in enumerate(_BRACKETS.finditer(text)):
        bracket = found[0]
        nesting += (bracket in "{([") - (bracket in "})]")
        if nesting > NESTING_MOST:
            raise TooMuch("nesting", nesting, NESTING_MOST)
        if number > TOKENS_MOST:
            raise TooMuch("tokens", number, TOKENS_MOST)


def check_written(document: DocumentNode) -> None:
    """Refuse a document by what is written, fragments not spread (书写检查). Raises: TooMuch."""
    operations = sum(isinstance(d, OperationDefinitionNode) for d in document.definitions)
    if operations > OPERATIONS_MOST:
        raise TooMuch("operations", operations, OPERATIONS_MOST)
    fragments = sum(isinstance(d, FragmentDefinitionNode) for d in document.definitions)
    if fragments > FRAGMENTS_MOST:
        raise TooMuch("fragments", fragments, FRAGMENTS_MOST)
    written = directives = 0
    waiting = [d for d in document.definitions if isinstance(d, OperationDefinitionNode | FragmentDefinitionNode)]
    directives += sum(len(d.directives or ()) for d in waiting)
    sets = [d.selection_set for d in waiting]
    while sets:
        names: dict[str, int] = {}
        for selection in sets.pop().selections:
            written += 1
            directives += len(selection.directives or ())
            if written > FIELDS_MOST:
                raise TooMuch("fields", written, FIELDS_MOST)
            if directives > DIRECTIVES_MOST:
                raise TooMuch("directives", directives, DIRECTIVES_MOST)
            if isinstance(selection, FieldNode):
                name = (selection.alias or selection.name).value
                names[name] = names.get(name, 0) + 1
                if names[name] > TWINS_MOST:
                    raise TooMuch("twins", names[name], TWINS_MOST)
            if isinstance(selection, FieldNode | InlineFragmentNode) and selection.selection_set is not None:
                sets.append(selection.selection_set)


_ROOTS = {OperationType.QUERY: "Query", OperationType.MUTATION: "Mutation", OperationType.SUBSCRIPTION: ""}


def weigh(
    document: DocumentNode,
    depth_most: int = DEPTH_MOST,
    prices: Prices = NO_PRICES,
    variables: Mapping[str, Any] = _NOTHING,
) -> Weight:
    """The weight of the heaviest operation of a document (计量), with what its variables are given; without prices each field costs 1.

    Raises: TooMuch for the first limit that is passed.
    """
    fragments = {d.name.value: d for d in document.definitions if isinstance(d, FragmentDefinitionNode)}
    heaviest = Weight()
    for definition in document.definitions:
        if not isinstance(definition, OperationDefinitionNode):
            continue
        walk = _Walk(fragments, depth_most, prices, variables)
        walk.into(definition.selection_set, _At(_ROOTS[definition.operation]))
        weight = walk.weight
        for what, seen, most in (
            ("depth", weight.deepest, depth_most),
            ("fields", weight.walked, FIELDS_MOST),
            ("aliases", weight.aliases, ALIASES_MOST),
            ("directives", weight.directives, DIRECTIVES_MOST),
            ("cost", weight.cost, COST_MOST),
            ("introspection depth", weight.introspection_deepest, INTROSPECTION_DEPTH_MOST),
            ("introspection lists", weight.introspection_lists, INTROSPECTION_LISTS_MOST),
        ):
            if seen > most:
                raise TooMuch(what, seen, most)
        if weight.cost >= heaviest.cost:
            heaviest = weight
    return heaviest


class WithinLimits(SchemaExtension):
    """Refuses a document beyond the limits, charges its cost to the caller's budget, and tells the cost (限额与计费)."""

    cost: int | None = None

    def on_operation(self) -> Iterator[None]:
        """Look at the text before the parser does."""
        if self.execution_context.query:
            check_text(self.execution_context.query)
        yield

    def on_validate(self) -> Iterator[None]:
        """Weigh the document before the library validates it."""
        document = self.execution_context.graphql_document
        context = self.execution_context.context
        if document is not None:
            known = isinstance(context, Context)
            check_written(document)
            depth_most = DEPTH_OF_LEVEL[KIND_OF_ROLE[context.subject.role]] if known else DEPTH_MOST
            prices: Prices = getattr(self.execution_context.schema, "prices", NO_PRICES)
            weight = weigh(document, depth_most, prices, self.execution_context.variables or _NOTHING)
            self.cost = weight.cost
            if known:
                context.charge(weight.cost)
        yield

    def get_results(self) -> dict[str, Any]:
        """The cost as `extensions.cost`, once the document was weighed."""
        return {} if self.cost is None else {"cost": {"requested": self.cost, "limit": COST_MOST}}


def without_suggestion(message: str) -> str:
    """The library's error text without its guess at what the caller meant (去除字段提示): a guess tells of fields unasked."""
    return _SUGGESTION.sub("", message)


def limits_extension() -> WithinLimits:
    """The limits as an extension; a factory, because an instance would be shared between requests."""
    return WithinLimits()

"""Limits on what one request may ask (请求限额), checked before anything runs.

The library limits depth and tokens but not cost, and its own alias limiter follows fragment spreads without bound. Everything here works on
the parsed document with one visit per node and a bound on fragment expansion.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from graphql import (
    DocumentNode,
    FieldNode,
    FragmentDefinitionNode,
    FragmentSpreadNode,
    GraphQLError,
    InlineFragmentNode,
    IntValueNode,
    OperationDefinitionNode,
    SelectionSetNode,
    ValidationRule,
    VariableNode,
)
from strawberry.extensions import AddValidationRules

DEPTH_MOST = 12
FIELDS_MOST = 400
ALIASES_MOST = 30
DIRECTIVES_MOST = 20
OPERATIONS_MOST = 5
COST_MOST = 50_000
PAGE_MOST = 100
BODY_MOST = 1 << 20
TOKENS_MOST = 6_000


class TooMuch(GraphQLError):
    """A request beyond the limits (超出限额)."""

    def __init__(self, what: str, seen: int, most: int) -> None:
        super().__init__(
            f"The request asks too much: {what} {seen}, at most {most}. 请求超出限额：{what} {seen}，上限 {most}。",
            extensions={"code": "TOO_MUCH", "limit": what, "seen": seen, "most": most},
        )


@dataclass(slots=True)
class _Tally:
    fields: int = 0
    aliases: int = 0
    directives: int = 0
    cost: int = 0
    deepest: int = 0


def _page(field: FieldNode) -> int:
    """How many entries a field may return: its `first` or `last`; a variable counts as the largest page."""
    for argument in field.arguments or ():
        if argument.name.value in ("first", "last"):
            if isinstance(argument.value, IntValueNode):
                digits = argument.value.value
                return max(1, min(int(digits), 10**6)) if len(digits) < 8 else 10**6
            if isinstance(argument.value, VariableNode):
                return PAGE_MOST
    return 1


def _weigh(document: DocumentNode) -> Iterator[_Tally]:
    fragments = {d.name.value: d for d in document.definitions if isinstance(d, FragmentDefinitionNode)}

    def visit(
        selection_set: SelectionSetNode | None, depth: int, times: int, tally: _Tally, open_: tuple[str, ...]
    ) -> None:
        if selection_set is None:
            return
        tally.deepest = max(tally.deepest, depth)
        if tally.fields > FIELDS_MOST or tally.cost > COST_MOST or depth > DEPTH_MOST:
            return
        for selection in selection_set.selections:
            tally.directives += len(selection.directives or ())
            if tally.fields > FIELDS_MOST or tally.cost > COST_MOST:
                return
            match selection:
                case FieldNode():
                    tally.fields += 1
                    tally.aliases += selection.alias is not None
                    tally.cost += times
                    visit(selection.selection_set, depth + 1, times * _page(selection), tally, open_)
                case InlineFragmentNode():
                    visit(selection.selection_set, depth, times, tally, open_)
                case FragmentSpreadNode():
                    name = selection.name.value
                    tally.fields += 1
                    if name in fragments and name not in open_:
                        visit(fragments[name].selection_set, depth, times, tally, (*open_, name))

    for definition in document.definitions:
        if isinstance(definition, OperationDefinitionNode):
            tally = _Tally(directives=len(definition.directives or ()))
            visit(definition.selection_set, 1, 1, tally, ())
            yield tally


class WithinLimits(ValidationRule):
    """Refuses a document beyond the limits (限额校验)."""

    def enter_document(self, node: DocumentNode, *_args: object) -> None:
        """Weigh every operation of the document once."""
        operations = sum(isinstance(d, OperationDefinitionNode) for d in node.definitions)
        if operations > OPERATIONS_MOST:
            self.report_error(TooMuch("operations", operations, OPERATIONS_MOST))
            return
        for tally in _weigh(node):
            for what, seen, most in (
                ("depth", tally.deepest, DEPTH_MOST),
                ("fields", tally.fields, FIELDS_MOST),
                ("aliases", tally.aliases, ALIASES_MOST),
                ("directives", tally.directives, DIRECTIVES_MOST),
                ("cost", tally.cost, COST_MOST),
            ):
                if seen > most:
                    self.report_error(TooMuch(what, seen, most))
                    return


def limits_extension() -> AddValidationRules:
    """The limits as an extension; a factory, because an instance would be shared between requests."""
    return AddValidationRules([WithinLimits])

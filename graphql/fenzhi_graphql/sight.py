"""Seeing what an answer shows (查阅识别): an executor that meets every object on its way out.

A type that carries a patient's field or names a case says so by `Shows`. The executor asks each such object whom it shows, wherever in the
schema it stands, so that no resolver has to remember it. The view writes the sight down before the answer leaves.
"""

from __future__ import annotations

from typing import Any

from graphql import FragmentSpreadNode, InlineFragmentNode
from strawberry.schema.schema import StrawberryGraphQLCoreExecutionContext

from fenzhi.services.audit.sight import Sight


class Shows:
    """An object of the API that shows a patient or a case (含病例信息的对象)."""

    def show(self, sight: Sight) -> None:
        """Name whom it shows."""
        raise TypeError(f"{type(self).__name__} does not say whom it shows")


class EndsWith:
    """A page whose end cursor names its last entry (以游标指向末项的分页)."""

    last: Any


class WitnessingExecutor(StrawberryGraphQLCoreExecutionContext):
    """Executes an operation and notes whom its answer shows (留痕执行器)."""

    def complete_object_value(
        self, return_type: Any, field_details_list: Any, info: Any, path: Any, result: Any, position_context: Any
    ) -> Any:
        """As ever, after noting the object."""
        shown = result
        if isinstance(result, EndsWith) and _asks(info, field_details_list, "endCursor"):
            shown = result.last
        if isinstance(shown, Shows):
            sight: Sight = info.context.sight
            shown.show(sight)
            root = path
            while root.prev is not None:
                root = root.prev
            sight.operations.add(f"{info.operation.operation.value}.{_root_field(info, root.key)}")
        return super().complete_object_value(return_type, field_details_list, info, path, result, position_context)


def _asks(info: Any, field_details_list: Any, name: str) -> bool:
    """Whether a field is asked for directly below an object, by itself or in a fragment."""
    waiting = [details.node.selection_set for details in field_details_list if details.node.selection_set]
    while waiting:
        for selection in waiting.pop().selections:
            if isinstance(selection, FragmentSpreadNode):
                waiting.append(info.fragments[selection.name.value].selection_set)
            elif isinstance(selection, InlineFragmentNode):
                waiting.append(selection.selection_set)
            elif selection.name.value == name:
                return True
    return False


def _root_field(info: Any, key: str) -> str:
    """The name of the root field behind a key of the answer, which may be an alias and stand in a fragment."""
    waiting = [info.operation.selection_set]
    while waiting:
        for selection in waiting.pop().selections:
            if isinstance(selection, FragmentSpreadNode):
                waiting.append(info.fragments[selection.name.value].selection_set)
            elif isinstance(selection, InlineFragmentNode):
                waiting.append(selection.selection_set)
            elif (selection.alias or selection.name).value == key:
                return str(selection.name.value)
    raise LookupError(f"no root field answers under {key!r}")

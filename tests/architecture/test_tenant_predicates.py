"""The tenant predicates of the repositories: every statement says whose rows it means, and none is weakened unseen.

Row level security is the wall; the predicate says the same again in the statement. `tenant_predicates.txt` beside this file lists, function by
function, what each statement that goes to the database says about the scope. Every predicate is taken out in turn here: the list must no longer
fit. After a wanted change, look at the difference and write the list anew: `python tests/architecture/test_tenant_predicates.py`.
"""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
REPOSITORIES = ROOT / "platform/fenzhi/store/repositories"
REGISTER = Path(__file__).with_name("tenant_predicates.txt")
ASKS = frozenset({"rows", "first", "scalar", "execute", "straight"})
TENANT_COLUMNS = frozenset({"area_id", "province_id", "hospital_id", "county_id", "tenant"})
IN_SQL = re.compile(
    r"\b(?:\w+\.)?(?:area_id|province_id|hospital_id|county_id|tenant)\s*=\s*(?:any\()?(?:cast\()?(?::\w+|\$\d+|\{\w+\})"
)
NONE = "-"
SILENT = {
    "audit.": "the chain is the platform's own; who may read it is a grant",
    "identity.": "accounts and issuers are found by their own names before there is a scope",
    "events.announce": "events go to their own tenants' streams; the wall's function says who may be told",
    "jobs.": "a job is seen by every scope named on it, which the wall alone knows",
    "registry.": "the tree of tenants: what of it a scope sees the wall says",
    "scorecard.": "published cards are seen by the whole area, drafts by the bureau: the wall says which",
    "verification.": "verification looks at what is there, whoever's it is; it runs inside the walls of one area",
    "submission.open_staging": "temporary tables of one transaction",
    "submission.release": "temporary tables of one transaction",
    "submission.staged": "temporary tables of one transaction",
    "submission.refuse_staged": "temporary tables of one transaction",
    "submission.set_aside_repeated#2": "temporary tables of one transaction",
    **dict.fromkeys(
        (
            "catalog.dated_editions.lock_publishing",
            "events.lock_telling",
            "filing.share_turn",
            "filing.take_turn",
            "provisional.lock",
            "fund.lock_pool",
            "review.lock_reviews",
            "submission.take_turn",
            "year.lock_entry",
        ),
        "an advisory lock, no rows",
    ),
    **dict.fromkeys(
        (
            "clearing.add_",
            "clearing.write_cases",
            "deadlines.open_deadlines",
            "events.add_deliveries",
            "events.hold_stream#1",
            "events.note_attempt#2",
            "filing.add_list",
            "idempotency.keep_and_note",
            "review.add_",
            "submission.keep_part#1",
        ),
        "new rows, checked by the wall",
    ),
}
"""Statements that name no tenant, and why (无租户条件的语句及理由)."""

Function = ast.FunctionDef | ast.AsyncFunctionDef


@dataclass(frozen=True)
class Module:
    """One file of repositories, parsed."""

    name: str
    tree: ast.Module

    def functions(self) -> dict[str, Function]:
        return {node.name: node for node in self.tree.body if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)}

    def constants(self) -> dict[str, ast.expr]:
        return {
            target.id: node.value
            for node in self.tree.body
            if isinstance(node, ast.Assign)
            for target in node.targets
            if isinstance(target, ast.Name)
        }


def modules() -> list[Module]:
    found = sorted(REPOSITORIES.rglob("*.py"))
    return [
        Module(str(path.relative_to(REPOSITORIES))[:-3].replace("/", "."), ast.parse(path.read_text(encoding="utf-8")))
        for path in found
        if path.name not in ("__init__.py", "scope_predicate.py")
    ]


def names_scope(node: ast.AST) -> bool:
    return any(isinstance(part, ast.Attribute) and part.attr == "scope" for part in ast.walk(node)) or any(
        isinstance(part, ast.Name) and part.id == "scope" for part in ast.walk(node)
    )


def is_predicate(node: ast.AST) -> bool:
    """Whether an expression narrows rows to a tenant."""
    match node:
        case ast.Compare(left=left, ops=[ast.Eq()], comparators=[right]):
            columns = {side.attr for side in (left, right) if isinstance(side, ast.Attribute)}
            return bool(columns & TENANT_COLUMNS) and (
                names_scope(node)
                or any(
                    (isinstance(side, ast.Name | ast.Attribute) and not _is_column(side))
                    or isinstance(side, ast.Subscript)
                    for side in (left, right)
                )
            )
        case ast.Call(func=ast.Name(id="within")):
            return True
        case ast.Call(func=ast.Attribute(attr="in_", value=ast.Attribute(attr=column))):
            return column in TENANT_COLUMNS
        case ast.Constant(value=str() as text):
            return bool(IN_SQL.search(text))
    return False


def _is_column(node: ast.expr) -> bool:
    return isinstance(node, ast.Attribute) and node.attr in TENANT_COLUMNS and not names_scope(node)


def reached(module: Module, function: Function, asked: ast.expr) -> Iterator[ast.AST]:
    """Every node a statement is made of: its own, those of the names it uses, those of the module's functions it calls."""
    functions, constants = module.functions(), module.constants()
    seen: set[int] = set()
    waiting: list[tuple[Function, ast.AST]] = [(function, asked)]
    while waiting:
        inside, node = waiting.pop()
        if id(node) in seen:
            continue
        seen.add(id(node))
        for part in ast.walk(node):
            yield part
            if not isinstance(part, ast.Name):
                continue
            for targets, value in assignments(inside):
                if any(isinstance(leaf, ast.Name) and leaf.id == part.id for t in targets for leaf in ast.walk(t)):
                    waiting.append((inside, value))
            if part.id in functions and not list(asks(functions[part.id])):
                waiting.append((functions[part.id], functions[part.id]))
            if part.id in constants:
                waiting.append((inside, constants[part.id]))


def assignments(function: Function) -> Iterator[tuple[list[ast.expr], ast.expr]]:
    """What names are given, by assignment or by a loop."""
    for node in ast.walk(function):
        match node:
            case ast.Assign(targets=targets, value=value):
                yield targets, value
            case ast.AnnAssign(target=target, value=ast.expr() as value):
                yield [target], value
            case ast.For(target=target, iter=value):
                yield [target], value


def asks(function: Function) -> Iterator[ast.Call]:
    """Where a function goes to the database."""
    for node in ast.walk(function):
        match node:
            case ast.Call(func=ast.Attribute(value=ast.Name(id="uow"), attr=attr)) if attr in ASKS:
                yield node


def predicates(module: Module, only: str = "") -> Iterator[tuple[str, list[ast.AST]]]:
    """Each statement's place and the predicates in it, in order of the source; those of one function where it is named."""
    for name, function in module.functions().items():
        if only and name != only:
            continue
        for number, asked in enumerate(sorted(asks(function), key=lambda node: (node.lineno, node.col_offset)), 1):
            parts = {id(part): part for part in reached(module, function, asked.args[0])}
            yield f"{module.name}.{name}#{number}", [part for part in parts.values() if is_predicate(part)]


def said(node: ast.AST) -> str:
    if isinstance(node, ast.Constant):
        return "; ".join(sorted(IN_SQL.findall(str(node.value))))
    return ast.unparse(node)


def lines(found: list[Module], only: str = "") -> list[str]:
    """The register's lines as the sources have them."""
    return [
        f"{place}: {' | '.join(sorted(said(node) for node in nodes)) or NONE}"
        for module in found
        for place, nodes in predicates(module, only)
    ]


class Without(ast.NodeTransformer):
    """Takes one predicate out."""

    def __init__(self, unwanted: ast.AST) -> None:
        self.unwanted = unwanted

    def visit(self, node: ast.AST) -> ast.AST:
        if node is not self.unwanted:
            return super().visit(node)
        if isinstance(node, ast.Constant):
            return ast.copy_location(ast.Constant(IN_SQL.sub("true", str(node.value), count=1)), node)
        return ast.copy_location(ast.Constant(True), node)


def test_every_statement_says_whose_rows_it_means() -> None:
    assert lines(modules()) == REGISTER.read_text(encoding="utf-8").splitlines(), __doc__


def test_what_says_nothing_has_its_reason() -> None:
    silent = [line.removesuffix(f": {NONE}") for line in lines(modules()) if line.endswith(f": {NONE}")]
    assert [place for place in silent if not place.startswith(tuple(SILENT))] == []
    assert [start for start in SILENT if not any(place.startswith(start) for place in silent)] == []


def test_no_predicate_is_weakened_unseen() -> None:
    weakened = 0
    for module in modules():
        plain = ast.unparse(module.tree)
        for name in module.functions():
            before = lines([module], name)
            for number in range(sum(len(nodes) for _, nodes in predicates(module, name))):
                fresh = Module(module.name, ast.parse(plain))
                node = [node for _, nodes in predicates(fresh, name) for node in nodes][number]
                place = said(node)
                Without(node).visit(fresh.tree)
                assert lines([fresh], name) != before, f"{module.name}.{name}: {place}"
                weakened += 1
    assert weakened > 200


if __name__ == "__main__":
    REGISTER.write_text("\n".join(lines(modules())) + "\n", encoding="utf-8")

"""The map of the rules (规则对照表): docs/rule-map.md, from the `Policy:` lines of the rules.

Each row joins a function with the parameters it reads, the documents their national values rest on, and the golden cases
that work it. Whoever holds a document finds the line of code; whoever reads the code finds the document.
"""

from __future__ import annotations

import ast
import re
from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import yaml

from fenzhi.cli.golden_rules import RULES

_POLICY = re.compile(r"Policy:\s*(.+?)(?=(?:\s(?:Units|Shape|Rounding|Requires|Raises|Refuses):)|$)", re.DOTALL)
_KEY = re.compile(r"\b([a-z][a-z_]*)\.([a-z_]+|\*)")


class MappedRule(NamedTuple):
    """One rule with its policy (规则): module below rules, function, first sentence, what `Policy:` says."""

    module: str
    name: str
    summary: str
    policy: str


def mapped_rules(root: Path) -> list[MappedRule]:
    """Every function and class of the rules that names its policy (注明策略的规则), in order of noun and file."""
    rules = root / "platform/fenzhi/rules"
    found: list[MappedRule] = []
    for path in sorted(rules.rglob("*.py")):
        module = path.relative_to(rules).with_suffix("").as_posix().replace("/", ".")
        for name, doc in _documented(ast.parse(path.read_text(encoding="utf-8"))):
            text = " ".join(doc.split())
            policy = _POLICY.search(text)
            if policy is not None:
                summary = re.split(r"\s*Policy:", text)[0].split(". ")[0].rstrip(".")
                found.append(MappedRule(module, name, summary, policy[1].strip().rstrip(".")))
    return found


def _documented(tree: ast.Module) -> Iterator[tuple[str, str]]:
    for node in tree.body:
        if isinstance(node, ast.FunctionDef | ast.ClassDef):
            yield node.name, ast.get_docstring(node) or ""
        if isinstance(node, ast.ClassDef):
            for inner in node.body:
                if isinstance(inner, ast.FunctionDef):
                    yield f"{node.name}.{inner.name}", ast.get_docstring(inner) or ""


def _policies(root: Path) -> dict[str, tuple[str, list[str]]]:
    """Chinese name and documents of every parameter by its key."""
    found: dict[str, tuple[str, list[str]]] = {}
    for path in sorted((root / "platform/fenzhi/policies/national").rglob("*.yaml")):
        file: dict[str, Any] = yaml.safe_load(path.read_text(encoding="utf-8"))
        for name, field in file["fields"].items():
            documents = [
                f"{value['source']['document']} {value['source'].get('part', '')}".strip()
                for value in file.get("values") or []
                if name in value["set"]
            ]
            if field.get("limit_document"):
                documents.append(f"限值 limit: {field['limit_document']}")
            found[f"{file['prefix']}.{name}"] = (str(field["zh"]), documents)
    return found


def _golden_by_rule(root: Path) -> dict[str, list[str]]:
    """Golden files by the function of the rules they work, through the adapters of `fenzhi golden`."""
    uses: dict[str, set[str]] = defaultdict(set)
    imported: dict[str, set[str]] = defaultdict(set)
    for path in sorted((root / "platform/fenzhi/cli").glob("golden_*.py")):
        tree = ast.parse(path.read_text(encoding="utf-8"))
        for node in ast.walk(tree):
            if isinstance(node, ast.ImportFrom) and (node.module or "").startswith("fenzhi.rules."):
                for alias in node.names:
                    imported[alias.asname or alias.name].add(
                        f"{(node.module or '').removeprefix('fenzhi.rules.')}:{alias.name}"
                    )
            if isinstance(node, ast.FunctionDef):
                uses[node.name] |= {inner.id for inner in ast.walk(node) if isinstance(inner, ast.Name)}
    files: dict[str, list[str]] = defaultdict(list)
    for path in sorted((root / "tests/golden").rglob("*.yaml")):
        files[str(yaml.safe_load(path.read_text(encoding="utf-8"))["rule"])].append(path.stem)
    found: dict[str, list[str]] = defaultdict(list)
    for rule, adapter in RULES.items():
        seen: set[str] = set()
        todo = [adapter.__name__]
        while todo:
            name = todo.pop()
            if name not in seen:
                seen.add(name)
                todo += uses.get(name, ())
        for name in seen:
            for function in imported.get(name, ()):
                found[function] += files.get(rule, [])
    return found


def rule_map(root: Path) -> str:
    """The page (对照表全文)."""
    policies, golden = _policies(root), _golden_by_rule(root)
    lines = [
        "# 规则对照表 Rule map",
        "",
        "由 `make docs` 从规则的 `Policy:` 说明生成：规则（函数）、所用策略参数、国家取值的文件依据、黄金用例。没有国家取值的参数由省或",
        "统筹区连同文件录入；在录入之前，需要它的结算会以 `POLICY_NOT_ENTERED` 拒绝。",
        "",
        "Written by `make docs` from the `Policy:` lines of the rules: the function, the parameters it reads, the documents their",
        "national values rest on, the golden cases that work it (`tests/golden/worked`). A parameter without a national value is",
        "entered by province or area with its document; until then a run that needs it is refused.",
    ]
    noun = ""
    for rule in mapped_rules(root):
        if rule.module.split(".")[0] != noun:
            noun = rule.module.split(".")[0]
            lines += [
                "",
                f"## {noun}",
                "",
                "| 规则 rule | 函数 function | 策略 policy | 文件 documents | 黄金用例 golden cases |",
            ]
            lines.append("|---|---|---|---|---|")
        keys = _keys(rule.policy, policies)
        names = "<br>".join(f"`{key}` {policies[key][0]}" for key in keys) or rule.policy
        documents = "<br>".join(dict.fromkeys(doc for key in keys for doc in policies[key][1]))
        cases = golden.get(f"{rule.module}:{rule.name.split('.')[0]}", [])
        files = "<br>".join(dict.fromkeys(f"`{case}`" for case in sorted(cases)))
        cells = (rule.summary, f"`{rule.module}.{rule.name}`", names, documents or "–", files or "–")
        lines.append("| " + " | ".join(cell.replace("|", "\\|") for cell in cells) + " |")
    return "\n".join([*lines, ""])


def _keys(policy: str, policies: dict[str, tuple[str, list[str]]]) -> list[str]:
    """The parameters a `Policy:` line names: `prefix.name`, `prefix.*`, or further names after the last prefix."""
    found: list[str] = []
    prefix = ""
    for word in re.findall(r"[a-z][a-z_]*(?:\.(?:[a-z_]+|\*))?", policy):
        if "." in word:
            prefix, name = word.split(".")
            found += [key for key in policies if key == word or (name == "*" and key.startswith(f"{prefix}."))]
        elif prefix and f"{prefix}.{word}" in policies and "_" in word:
            found.append(f"{prefix}.{word}")
    return list(dict.fromkeys(found))

"""Worlds and cases from a seed (由种子生成的世界与病例): many ties, many edges, every defect that grouping must name.

Only texts are made here; what they mean is for the reference and the engines to say, each by itself.
"""

from __future__ import annotations

import random
from collections.abc import Iterator
from dataclasses import dataclass, field
from itertools import permutations
from typing import Any

CLASSES = ("diagnostic", "therapeutic", "surgical")
HEADER = "seq,dip_code,dx_code,dx_name,dx_granularity,main_ops,main_op_names,other_ops,other_op_names,kind,level,score,grassroots,procedure_class"
COMPARATORS = ("most_parts", "most_matched", "main_matched", "higher_score", "core_first")
LINES = (("0.5", "2", "5"), ("0.4", "2", "none"), ("0.3", "3", "6.5"), ("0.5", "1.5", "3"))
SCALES = (1000, 100, 1, 500)


@dataclass
class Invented:
    """A world as texts, and what cases are made from (世界文本与取材)."""

    texts: dict[str, Any]
    diagnoses: list[str]
    procedures: list[str]
    hospitals: list[str]
    shapes: list[tuple[str, list[list[str]], str]] = field(default_factory=list)
    """Group code, its parts, its diagnosis key."""
    totals: dict[str, tuple[int, int]] = field(default_factory=dict)
    """Group code → (total fen, cases) of all levels."""


def invent_world(number: int, chance: random.Random) -> Invented:
    """A world: some 700 groups over 60 categories (一个世界). Its choices walk through every named method."""
    categories = [f"{letter}{n:02d}" for letter in "ABKMPZ" for n in chance.sample(range(100), 10)]
    diagnoses: list[str] = []
    for category in categories:
        for place in "0123x":
            stem = f"{category}.{place}"
            diagnoses += [f"{stem}00", f"{stem}01", f"{stem}00x00{chance.randint(1, 9)}"]
            if chance.random() < 0.15:
                diagnoses.append(f"{stem}00+G0{chance.randint(1, 9)}.{chance.randint(0, 9)}*")
    procedures = [
        f"{chapter:02d}.{chance.randint(0, 9)}{n}0{chance.randint(0, 9)}" for chapter in range(1, 60) for n in range(4)
    ]
    procedures = sorted(set(procedures)) + [f"{code}x00{chance.randint(1, 9)}" for code in procedures[:40]]
    ordered = sorted(set(procedures))
    classes = {code: chance.choice((*CLASSES, "")) for code in ordered}
    scale = SCALES[number % len(SCALES)]
    made = Invented({}, sorted(set(diagnoses)), ordered, [f"H{n:02d}" for n in range(1, 25)])
    made.texts = {
        "catalog": _catalog(made, categories, scale, chance),
        "diagnoses": "code,is_gray\n" + "".join(f"{code},{int(chance.random() < 0.03)}\n" for code in made.diagnoses),
        # Some procedures that groups name are in no table at all.
        "procedures": "code,procedure_class\n"
        + "".join(f"{code},{classes[code]}\n" for code in ordered if chance.random() < 0.97),
        "hospitals": "hospital,level,coefficient\n"
        + "".join(
            f"{code},{chance.choice('123')},{chance.randint(50, 130) / 100:.{chance.choice((2, 3))}f}\n"
            for code in made.hospitals
        ),
        "references": "",
        "choices": _choices(number, scale, chance),
    }
    made.texts["references"] = _references(made, chance)
    return made


def invent_cases(made: Invented, count: int, chance: random.Random) -> Iterator[dict[str, Any]]:
    """Cases of a world (病例): most near a group and near an edge of its costs."""
    lines = [made.texts["choices"][f"scoring.{edge}_ratio"] for edge in ("low", "high", "extreme")]
    edges = [_hundredths(line) for line in lines if line != "none"]
    for number in range(count):
        code, parts, key = chance.choice(made.shapes)
        under = [one for one in made.diagnoses if one.startswith(key[:7])] or made.diagnoses
        principal = chance.choice(under)
        done = [chance.choice(part) for part in parts if chance.random() < 0.93]
        done += chance.choices(made.procedures, k=chance.choice((0, 0, 0, 1, 1, 2)))
        if chance.random() < 0.3 and made.shapes:
            _, other, other_key = chance.choice(made.shapes)
            done += [chance.choice(part) for part in other] if other_key[:3] == key[:3] else []
        chance.shuffle(done)
        if done and chance.random() < 0.05:
            done.append(done[0])
        defect = chance.random()
        if defect < 0.01:
            principal = ""
        elif defect < 0.02:
            principal = "Q99.999"
        elif defect < 0.03:
            done.append("99.9999")
        total, n = made.totals.get(code, (1_000_000, 1))
        edge = chance.choice(edges)
        fen = chance.choice(
            (
                total * edge // (100 * n) + chance.choice((-1, 0, 0, 1)),
                total * chance.randint(1, 700) // (100 * n),
                chance.randint(0, 3_000_000),
            )
        )
        yield {
            "id": f"s{number:06d}",
            "principal": principal,
            "procedures": done,
            "cost": f"{max(fen, 0) // 100}.{max(fen, 0) % 100:02d}",
            "hospital": chance.choice(made.hospitals),
        }


def _catalog(made: Invented, categories: list[str], scale: int, chance: random.Random) -> str:
    rows = [HEADER]
    seen: set[tuple[object, ...]] = set()
    for category in categories:
        keys = [category] * 2 + [f"{category}.{place}" for place in "0123x"] * 2
        keys += [
            one for one in made.diagnoses if one.startswith(category) and "+" not in one and chance.random() < 0.15
        ]
        pool = chance.sample(made.procedures, 6)
        for key in keys:
            for _ in range(chance.choice((0, 1, 1, 2))):
                main = [chance.sample(pool, chance.randint(1, 3)) for _ in range(chance.choice((0, 1, 1, 1, 2)))]
                related = (
                    [chance.sample(pool, chance.randint(1, 2)) for _ in range(chance.choice((0, 0, 1, 2)))]
                    if main
                    else []
                )
                same = (key, frozenset(map(frozenset, main)), frozenset(map(frozenset, related)))
                if same in seen:
                    continue
                seen.add(same)
                code = f"{key}:{_cell(main)}_{_cell(related)}#{len(rows)}" if main else f"{key}#{len(rows)}"
                made.shapes.append((code, main + related, key))
                rows.append(
                    _row(code, key, _cell(main), _cell(related), "core", "", scale, int(chance.random() < 0.1), chance)
                )
        for treatment in ("conservative", *CLASSES):
            for key in (category, f"{category}.0"):
                if chance.random() < 0.35:
                    code = f"{key}-{treatment}"
                    made.shapes.append(
                        (code, [[chance.choice(made.procedures)]] if treatment != "conservative" else [], key)
                    )
                    rows.append(_row(code, key, "", "", "comprehensive", treatment, scale, 0, chance))
    return "\n".join(rows) + "\n"


def _row(
    code: str,
    key: str,
    main: str,
    related: str,
    kind: str,
    treatment: str,
    scale: int,
    grassroots: int,
    chance: random.Random,
) -> str:
    # Few different scores: ties of score must happen.
    thousandths = chance.choice((1, 5, 9, 13, 21, 34)) * scale * 100 + chance.choice((0, 0, 1, 7)) * 10
    score = f"{thousandths // 1000}.{thousandths % 1000 // 10:02d}"
    granularity = {3: 3, 5: 4}.get(len(key), 6)
    return f",{code},{key},,{granularity},{main},,{related},,{kind},2,{score},{grassroots},{treatment}"


def _cell(parts: list[list[str]]) -> str:
    return "+".join("/".join(part) for part in parts)


def _references(made: Invented, chance: random.Random) -> str:
    rows = ["group_code,level,n,total"]
    for code, _, _ in made.shapes:
        n = chance.choice((1, 2, 3, 7, 40, 999))
        total = chance.randint(100, 4_000_000) * n + chance.choice((0, 0, 1))
        if chance.random() < 0.9:
            made.totals[code] = (total, n)
            rows.append(f"{code},,{n},{total // 100}.{total % 100:02d}")
        for level in "123":
            if chance.random() < 0.5:
                near = max(1, total + chance.randint(-50, 50) * n)
                rows.append(f"{code},{level},{n},{near // 100}.{near % 100:02d}")
    return "\n".join(rows) + "\n"


def _choices(number: int, scale: int, chance: random.Random) -> dict[str, str]:
    orders = [order for size in (1, 2, 3) for order in permutations(COMPARATORS, size)]
    low, high, extreme = LINES[number % len(LINES)]
    return {
        "grouping.tie_break": ",".join(chance.choice(orders)),
        "grouping.conservative_match": ("strict", "fallback")[number % 2],
        "grouping.class_of": ("main", "highest")[number // 2 % 2],
        "grouping.gray_principal": ("ungrouped", "group")[number // 4 % 2],
        "scoring.outlier_method": ("national_2020", "coefficient_inside")[number // 2 % 2],
        "scoring.low_ratio": low,
        "scoring.low_inclusive": chance.choice(("true", "false")),
        "scoring.high_ratio": high,
        "scoring.high_inclusive": chance.choice(("true", "false")),
        "scoring.extreme_ratio": extreme,
        "scoring.extreme_inclusive": chance.choice(("true", "false")),
        "catalog.score_scale": str(scale),
    }


def _hundredths(line: str) -> int:
    whole, _, rest = line.partition(".")
    return int(whole) * 100 + int((rest + "00")[:2])

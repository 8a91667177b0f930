"""Worlds and cases from a seed (由种子生成的世界与病例): many ties, many edges, every defect that grouping must name.

Only texts are made here; what they mean is for the reference and the engines to say, each by itself.
"""

from __future__ import annotations

import random
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

CLASSES = ("diagnostic", "therapeutic", "surgical")
HEADER = "seq,dip_code,dx_code,dx_name,dx_granularity,main_ops,main_op_names,other_ops,other_op_names,kind,level,score,grassroots,procedure_class"
LAYERED_HEADER = f"{HEADER},layer,more_dx,secondary_dx,facts"
COMPARATORS = (
    "most_parts",
    "most_matched",
    "main_matched",
    "higher_score",
    "core_first",
    "nearest_cost",
    "complete_match",
    "full_code",
    "class_ladder",
    "class_matched",
)
METHODS = ("national_2020", "coefficient_inside", "linear", "payment_standard")
STANDARDS = ("2.0", "3.0", "3.0", "1.0")
SECONDARY = ("C78", "C78.0", "C00-C75", "T31.2", "J96")
BESIDE = ("C78.000", "C78.100", "T31.200", "J96.000", "C50.900")
BANDS = ("age_days:0-28", "birth_weight_g:-749", "birth_weight_g:750-999", "los_days:3-", "age_days:23741-")
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
    third = STANDARDS[number % len(STANDARDS)] == "3.0"
    made.diagnoses = sorted({*made.diagnoses, *BESIDE})
    made.texts = {
        "catalog": _catalog(made, categories, scale, chance, layered=third),
        "diagnoses": "code,is_gray\n" + "".join(f"{code},{int(chance.random() < 0.03)}\n" for code in made.diagnoses),
        # Some procedures that groups name are in no table at all.
        "procedures": "code,procedure_class,is_gray\n"
        + "".join(
            f"{code},{classes[code]},{int(chance.random() < 0.02)}\n" for code in ordered if chance.random() < 0.97
        ),
        "hospitals": "hospital,level,coefficient\n"
        + "".join(
            f"{code},{chance.choice('123')},{chance.randint(50, 130) / 100:.{chance.choice((2, 3))}f}\n"
            for code in made.hospitals
        ),
        "references": "",
        "choices": _choices(number, scale, chance),
    }
    made.texts["references"] = _references(made, chance)
    made.texts["lists"] = _lists(made, chance) if third else "list,code,scope\n"
    made.texts["subtypes"] = _subtypes(made, chance)
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
            **_told(made, chance),
        }


def _told(made: Invented, chance: random.Random) -> dict[str, Any]:
    """Facts of a case, any of them missing now and then (病例事实)."""
    told: dict[str, Any] = {}
    if chance.random() < 0.5:
        told["others"] = chance.choices([*BESIDE, *made.diagnoses[:20], "Q99.999"], k=chance.choice((1, 1, 2, 3)))
    for name, values in (
        ("age", (0, 28, 29, 365, 23740, 23741, 30000)),
        ("los", (0, 1, 2, 3, 20)),
        ("weight", (600, 749, 750, 999, 1000)),
    ):
        if chance.random() < 0.85:
            told[name] = chance.choice(values)
    if chance.random() < 0.8:
        told["way"] = chance.choice(("1", "1", "4", "5"))
    return told


def _lists(made: Invented, chance: random.Random) -> str:
    """An edition's lists: some common codes, so that they bite."""
    rows = [f"principal,{code}," for code in chance.sample([one for one in made.diagnoses if "+" not in one], 3)]
    codes = chance.sample(made.procedures, 24)
    rows += [f"not_main,{code}," for code in codes[:8]]
    rows += [f"conservative,{code}," for code in codes[8:14]]
    rows += [f"limited_main,{code},{chance.choice(made.diagnoses)[:3]}" for code in codes[14:20]]
    plain = [code for code in codes[20:] if "x00" not in code]
    rows += [f"extension,{code},{made.procedures[0]}" for code in plain if code != made.procedures[0]]
    return "\n".join(["list,code,scope", *rows]) + "\n"


def _subtypes(made: Invented, chance: random.Random) -> str:
    rows = ["group_code,dimension,subtype,coefficient"]
    for code, _, _ in made.shapes:
        for dimension, name in (("age", "newborn"), ("severity", "death"), ("cci", "high"), ("secondary", "failure")):
            if chance.random() < 0.25:
                rows.append(f"{code},{dimension},{name},{chance.choice(('1.4', '1.25', '0.85', '2.125'))}")
    return "\n".join(rows) + "\n"


def _layered(made: Invented, categories: list[str], scale: int, chance: random.Random) -> list[str]:
    """Rows of the layers above the basic one (先期、并项、细分各层)."""
    rows: list[str] = []
    seen: set[tuple[object, ...]] = set()
    for number in range(160):
        layer = chance.choice(("priority", "merged", "merged", "dx_auxiliary"))
        key = chance.choice(categories) + chance.choice(("", "", ".0", ".x"))
        main = [chance.sample(made.procedures, chance.randint(1, 3)) for _ in range(chance.choice((0, 1, 1, 2)))]
        related = [chance.sample(made.procedures, 2)] if main and chance.random() < 0.4 else []
        bands = chance.sample(BANDS, 1) if layer != "merged" and chance.random() < 0.5 else []
        others = chance.sample(SECONDARY, chance.choice((1, 1, 2))) if layer == "dx_auxiliary" else []
        more = [one for one in chance.sample(categories, chance.choice((0, 1, 2))) if one != key]
        if layer == "priority" and number % 20 == 0 and main:
            key, more = "*", []
        treatment = chance.choice(("", "", "", "conservative", *CLASSES))
        same = (
            layer,
            key,
            frozenset(more),
            treatment,
            frozenset(map(frozenset, main)),
            frozenset(map(frozenset, related)),
            *bands,
            *sorted(others),
        )
        if same in seen:
            continue
        seen.add(same)
        code = f"{layer}#{number}"
        made.shapes.append((code, main + related, key if key != "*" else categories[0]))
        row = _row(code, key, _cell(main), _cell(related), "core", treatment, scale, int(chance.random() < 0.1), chance)
        rows.append(f"{row},{layer},{'/'.join(more)},{'+'.join(others)},{';'.join(bands)}")
    return rows


def _catalog(made: Invented, categories: list[str], scale: int, chance: random.Random, *, layered: bool) -> str:
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
    if layered:
        rows = [LAYERED_HEADER, *(f"{row},,,," for row in rows[1:]), *_layered(made, categories, scale, chance)]
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
    granularity = {1: 0, 3: 3, 5: 4}.get(len(key), 6)
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


def _choices(number: int, scale: int, chance: random.Random) -> dict[str, Any]:
    low, high, extreme = LINES[number % len(LINES)]
    method = METHODS[number // 2 % len(METHODS)]
    standard = STANDARDS[number % len(STANDARDS)]
    choices: dict[str, Any] = {
        "grouping.tie_break": ",".join(chance.sample(COMPARATORS, chance.randint(1, 4))),
        "grouping.conservative_match": ("strict", "fallback")[number % 2],
        "grouping.class_of": ("main", "highest")[number // 2 % 2],
        "grouping.gray_principal": ("ungrouped", "group")[number // 4 % 2],
        "grouping.unsound_procedure": ("group", "ungrouped")[number // 3 % 2],
        "scoring.outlier_method": method,
        "scoring.low_ratio": low,
        "scoring.low_inclusive": chance.choice(("true", "false")),
        "scoring.high_ratio": high,
        "scoring.high_inclusive": chance.choice(("true", "false")),
        "scoring.extreme_ratio": extreme,
        "scoring.extreme_inclusive": chance.choice(("true", "false")),
        "scoring.outlier_coefficient": chance.choice(("true", "true", "false")),
        "catalog.score_scale": str(scale),
        "catalog.standard": standard,
    }
    if method == "payment_standard":
        choices["scoring.price_yuan_per_point"] = (
            f"{chance.randint(5_000, 90_000)}.{chance.randint(0, 99):02d}"
            if scale == 1
            else f"{chance.randint(5, 90)}.{chance.randint(0, 99):02d}"
        )
    if number % 3 == 1:
        choices |= {"scoring.ungrouped_method": "blank_group", "scoring.ungrouped_discount": "0.7"}
    if number % 2:
        choices |= FACTORS
        choices["scoring.complexity_method"] = ("none", "multiplicative", "additive")[number // 2 % 3]
    if number % 5 == 2:
        choices["grouping.extension_match"] = chance.choice(("exact", "base"))
        choices["grouping.main_position"] = chance.choice(("any", "case_main"))
    return choices


FACTORS: dict[str, Any] = {
    "scoring.auxiliary_rules": [
        {"dimension": "age", "subtype": "newborn", "facts": "age_days:0-28", "diagnoses": "", "discharge_ways": ""},
        {"dimension": "severity", "subtype": "death", "facts": "los_days:3-", "diagnoses": "", "discharge_ways": "5"},
        {"dimension": "cci", "subtype": "high", "facts": "cci:2-", "diagnoses": "", "discharge_ways": ""},
        {"dimension": "secondary", "subtype": "failure", "facts": "", "diagnoses": "J96/T31-T32", "discharge_ways": ""},
    ],
    "scoring.cci_categories": [
        {"category": "tumour", "diagnoses": "C00-C75/C78", "weight": "2"},
        {"category": "metastasis", "diagnoses": "C78.0", "weight": "3"},
        {"category": "lung", "diagnoses": "J96", "weight": "1"},
    ],
    "scoring.age_factors": [
        {"name": "6 岁以下", "kind": "child", "age_days": "-2190", "value": "0.15"},
        {"name": "65 岁以上", "kind": "elderly", "age_days": "23741-", "value": "1.2"},
    ],
    "scoring.elderly_range": ["1.1", "1.3"],
    "scoring.child_bonus_range": ["0.1", "0.3"],
    "scoring.complexity_bands": [
        {"band": "other_diagnoses:3-", "value": "1.5"},
        {"band": "procedures:3-", "value": "1.25"},
    ],
}
"""Factors a world with an odd number uses (计分因素)."""


def _hundredths(line: str) -> int:
    whole, _, rest = line.partition(".")
    return int(whole) * 100 + int((rest + "00")[:2])

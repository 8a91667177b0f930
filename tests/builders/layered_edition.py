"""Small crowded editions in which every layer, list, condition and comparator contends, with cases for them."""

from __future__ import annotations

import random
from datetime import date
from decimal import Decimal

import pyarrow as pa

from fenzhi.rules.catalog.disease_group import (
    CLASS_ORDER,
    DiseaseGroup,
    Granularity,
    GroupKind,
    ProcedureClass,
    distinct_key,
)
from fenzhi.rules.catalog.edition import CodeTables, Edition, ProcedureEntry, check_edition
from fenzhi.rules.catalog.edition_lists import CatalogStandard, EditionLists
from fenzhi.rules.catalog.group_conditions import CaseFact, FactBand, GroupConditions, GroupLayer
from fenzhi.rules.grouping.group_case import InpatientCase
from fenzhi.rules.grouping.grouping_method import (
    ComprehensiveClass,
    ConservativeMatch,
    ExtensionMatch,
    GrayPrincipal,
    GroupingMethod,
    MainPosition,
    RelatedUse,
    TieBreak,
    UnsoundProcedure,
)

SECONDARY = ("C78", "C78.0", "T31.2", "C00-C75", "J96")


def layered_edition(chance: random.Random, standard: CatalogStandard) -> Edition:
    """A small crowded edition in which every layer, list and condition contends."""
    diagnoses = {
        f"{category}.{place}{leaf}": chance.random() < 0.08
        for category in ("P07", "T20", "C34", "Z51")
        for place in "0x1"
        for leaf in ("00", "01", "00x001")
    } | {"C78.000": False, "C78.100": True, "T31.200": False, "J96.000": False, "C50.900": False}
    bases = [f"{number:02d}.1000" for number in range(1, 11)]
    codes = [*bases, *(f"{code}x00{place}" for code in bases[:5] for place in (1, 2))]
    procedures = {
        code: ProcedureEntry(chance.choice((None, *CLASS_ORDER[1:])), chance.random() < 0.05) for code in codes
    }
    keys = sorted({cut for code in diagnoses for cut in (code[:3], code[:5], code)})
    found: dict[object, DiseaseGroup] = {}
    for number in range(70):
        layer = chance.choice((*GroupLayer, GroupLayer.BASIC, GroupLayer.BASIC))
        parts = tuple(
            tuple(chance.choices([*codes, "99.9999"], k=chance.randint(1, 3)))
            for _ in range(chance.choice((0, 1, 1, 2)))
        )
        cut = chance.randint(0, len(parts))
        key = chance.choice(keys)
        conditions = GroupConditions()
        treatment = None
        if layer is not GroupLayer.BASIC:
            bands = []
            if chance.random() < 0.4:
                low = chance.choice((None, 0, 500, 1000))
                bands.append(
                    FactBand(chance.choice(tuple(CaseFact)), low, chance.choice((28, 749, 999, 5000)) + (low or 0))
                )
            conditions = GroupConditions(
                layer,
                tuple(one for one in chance.sample(keys, chance.choice((0, 0, 1, 3))) if one != key),
                tuple((chance.choice(SECONDARY),) for _ in range(chance.choice((0, 0, 0, 1, 2)))),
                tuple(bands),
            )
            treatment = chance.choice((None, None, None, *ProcedureClass))
            if chance.random() < 0.2 and (parts or bands):
                key, conditions = "*", GroupConditions(layer, (), conditions.secondary_diagnoses, tuple(bands))
        granularity = {1: Granularity.ANY, 3: Granularity.CATEGORY, 5: Granularity.SUBCATEGORY}.get(
            len(key), Granularity.FULL
        )
        group = DiseaseGroup(
            f"g{number * 37 % 101:03d}",
            key,
            granularity,
            Decimal(chance.choice((1, 7, 7, 500))),
            parts[:cut],
            parts[cut:],
            procedure_class=treatment,
            grassroots=chance.random() < 0.3,
            conditions=conditions,
        )
        found.setdefault(distinct_key(group), group)
    for category in ("P07", "C34"):
        for treatment in ProcedureClass:
            group = DiseaseGroup(
                f"{category}:{treatment.value}",
                category,
                Granularity.CATEGORY,
                Decimal(3),
                kind=GroupKind.COMPREHENSIVE,
                procedure_class=treatment,
            )
            found[group.group_code] = group
    lists = EditionLists(
        frozenset(chance.sample(sorted(diagnoses), 2)),
        frozenset(chance.sample(codes, 2)),
        frozenset(chance.sample(codes, 2)),
        {chance.choice(codes): frozenset(chance.sample(keys, 2))},
        {"09.1000": "08.1000"} if chance.random() < 0.5 else {},
    )
    if chance.random() < 0.3:
        lists = EditionLists()
    groups = tuple({group.group_code: group for group in found.values()}.values())
    edition = Edition(
        "e", 1000, 0, groups, CodeTables(diagnoses, procedures), date(2026, 1, 1), standard=standard, lists=lists
    )
    assert check_edition(edition) == ()
    return edition


def any_method(chance: random.Random) -> GroupingMethod:
    ties = chance.sample(tuple(TieBreak), chance.randint(0, 5))
    return GroupingMethod(
        tuple(ties),
        chance.choice(tuple(ConservativeMatch)),
        chance.choice(tuple(ComprehensiveClass)),
        chance.choice(tuple(GrayPrincipal)),
        chance.choice(tuple(UnsoundProcedure)),
        chance.choice((None, *ExtensionMatch)),
        chance.choice((None, *MainPosition)),
        chance.choice((None, *RelatedUse)),
    )


def some_cases(chance: random.Random, edition: Edition, count: int) -> list[InpatientCase]:
    codes = [*edition.tables.procedures, "99.9999", "01.1000x077", ""]
    known = list(edition.tables.diagnoses)
    return [
        InpatientCase(
            str(place),
            chance.choice([*known, *known, None, "Q99.900"]),
            tuple(chance.choices(codes, k=chance.choice((0, 1, 1, 2, 3, 4)))),
            tuple(chance.choices([*known, "C78.900", "T31.200"], k=chance.choice((0, 0, 1, 2)))),
            chance.choice((None, 0, 28, 29, 700)),
            chance.choice((None, 740, 749, 750, 1500)),
            chance.choice((None, 1, 30)),
            chance.choice((0, 100, 999, 5000)),
        )
        for place in range(count)
    ]


def as_table(cases: list[InpatientCase]) -> pa.Table:
    return pa.table(
        {
            "principal_diagnosis": pa.array([one.principal_diagnosis for one in cases], pa.string()),
            "procedures": pa.array([list(one.procedures) for one in cases], pa.list_(pa.string())),
            "other_diagnoses": pa.array([list(one.other_diagnoses) for one in cases], pa.list_(pa.string())),
            "age_days": pa.array([one.age_days for one in cases], pa.int64()),
            "birth_weight_g": pa.array([one.birth_weight_g for one in cases], pa.int64()),
            "los_days": pa.array([one.los_days for one in cases], pa.int64()),
            "cost_fen": pa.array([one.cost_fen for one in cases], pa.int64()),
        }
    )

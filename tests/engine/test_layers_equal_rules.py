"""The engine and the one-case rule over editions of every standard, with layers, lists, extensions and every comparator."""

from __future__ import annotations

import random

import pytest

from builders.layered_edition import any_method, as_table, layered_edition, some_cases
from fenzhi.engine.compiled_book import compile_book
from fenzhi.engine.engine import Engine
from fenzhi.rules.catalog.edition_lists import CatalogStandard
from fenzhi.rules.grouping.catalog_book import CatalogBook
from fenzhi.rules.grouping.group_case import group_case


@pytest.mark.parametrize("standard", list(CatalogStandard))
def test_every_layer_list_and_comparator_says_what_the_rules_say(standard: CatalogStandard) -> None:
    reasons: set[str] = set()
    for seed in range(14):
        chance = random.Random(f"{standard}/{seed}")
        book = CatalogBook(layered_edition(chance, standard))
        method = any_method(chance)
        means = {code: chance.randint(0, 3000) for code in book.by_code if chance.random() < 0.8}
        cases = some_cases(chance, book.edition, 250)
        with Engine(batch_rows=97) as engine:
            found = engine.group(as_table(cases), compile_book(book, method, means)).to_pylist()
        for case, answer in zip(cases, found, strict=True):
            outcome = group_case(case, book, method, means)
            code = outcome.group.group_code if outcome.group else None
            assert (answer["group_code"], answer["reason"]) == (code, outcome.reason.value), (seed, case, outcome)
            reasons.add(outcome.reason.value)
    assert {"priority_matched", "merged_matched", "auxiliary_matched", "case_fact_missing"} <= reasons
    assert {"procedure_unknown", "procedure_gray", "principal_diagnosis_excluded"} <= reasons

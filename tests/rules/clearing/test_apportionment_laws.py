"""Laws of apportionment (分摊定律), by property test."""

from __future__ import annotations

import itertools
from fractions import Fraction

from hypothesis import assume, given
from hypothesis import strategies as st

from fenzhi.rules.clearing.apportionment import apportion, apportion_nested

TOTALS = st.integers(-(10**13), 10**13)
KEYS = st.text(alphabet="ABz医é01", min_size=1, max_size=4)
WEIGHTS = st.dictionaries(KEYS, st.integers(0, 10**12), min_size=1, max_size=12)


@given(TOTALS, WEIGHTS)
def test_no_fen_is_lost_or_made(total: int, weights: dict[str, int]) -> None:
    assume(sum(weights.values()) > 0)
    assert sum(apportion(total, weights).values()) == total


@given(TOTALS, WEIGHTS)
def test_every_share_lies_within_one_fen_of_its_quota(total: int, weights: dict[str, int]) -> None:
    whole = sum(weights.values())
    assume(whole > 0)
    for key, share in apportion(total, weights).items():
        assert abs(share - Fraction(total * weights[key], whole)) < 1


@given(TOTALS, WEIGHTS, st.randoms(use_true_random=False))
def test_the_order_of_the_parties_does_not_matter(total: int, weights: dict[str, int], random: object) -> None:
    assume(sum(weights.values()) > 0)
    keys = list(weights)
    random.shuffle(keys)  # type: ignore[attr-defined]
    assert apportion(total, {key: weights[key] for key in keys}) == apportion(total, weights)


@given(TOTALS, WEIGHTS, st.integers(1, 10**6), st.integers(1, 10**6))
def test_only_proportions_matter(total: int, weights: dict[str, int], up: int, down: int) -> None:
    assume(sum(weights.values()) > 0)
    scaled = {key: Fraction(weight * up, down) for key, weight in weights.items()}
    assert apportion(total, scaled) == apportion(total, weights)


@given(TOTALS, WEIGHTS)
def test_more_points_never_earn_less(total: int, weights: dict[str, int]) -> None:
    assume(sum(weights.values()) > 0 and total > 0)
    shares = apportion(total, weights)
    ordered = sorted(weights, key=lambda key: (weights[key], [-byte for byte in key.encode()]))
    for less, more in itertools.pairwise(ordered):
        if weights[less] < weights[more]:
            assert shares[less] <= shares[more]


@given(TOTALS, st.dictionaries(KEYS, WEIGHTS, min_size=1, max_size=4))
def test_both_levels_add_up(total: int, points: dict[str, dict[str, int]]) -> None:
    assume(sum(sum(cases.values()) for cases in points.values()) > 0)
    nested = apportion_nested(total, points)
    assert sum(nested.hospitals.values()) == total
    for hospital, cases in nested.cases.items():
        assert sum(cases.values()) == nested.hospitals[hospital]
        assert cases.keys() == points[hospital].keys()

"""The catalog bench measures the same work for the same seed (目录测算压测)."""

from __future__ import annotations

from fenzhi.cli.bench_catalog import bench_catalog


def test_the_same_seed_gives_the_same_groups_and_every_row_is_accounted_for() -> None:
    one, same, other = bench_catalog(3_000, 1), bench_catalog(3_000, 1), bench_catalog(3_000, 2)
    assert one["result_sha256"] == same["result_sha256"] != other["result_sha256"]
    includes = one["includes"]
    assert isinstance(includes, dict) and includes["groups"] > 0
    assert includes["used"] + sum(includes["set_aside"].values()) == 3_000
    mine, twin = one["by_method"], same["by_method"]
    assert isinstance(mine, dict) and isinstance(twin, dict) and mine["groups"] > 0
    assert mine["result_sha256"] == twin["result_sha256"]
    assert set(one) == {
        "cases",
        "seed",
        "seconds",
        "per_s",
        "peak_rss_mb",
        "result_sha256",
        "floors",
        "ratios",
        "by_method",
        "includes",
    }

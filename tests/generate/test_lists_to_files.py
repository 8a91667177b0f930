"""`fenzhi demo --lists-to`: what would be submitted is written instead, a file for each hospital, ready for `fenzhi submit`."""

from __future__ import annotations

from pathlib import Path

from fenzhi.cli.demo.command import write_lists
from fenzhi.cli.demo.sources import synthetic


def test_each_hospitals_lists_become_its_file(tmp_path: Path) -> None:
    source = synthetic(200, 1)
    files, lists = write_lists(source, tmp_path / "lists")
    wanted = list(source.lists())
    assert (files, lists) == (len({code for code, _ in wanted}), len(wanted))
    for file in (tmp_path / "lists").iterdir():
        assert file.read_bytes() == b"".join(line + b"\n" for code, line in wanted if code == file.stem)

"""Write the pages of the intake codes (生成结论代码说明页): `python -m fenzhi.cli.refusal_pages docs/refusals`."""

from __future__ import annotations

import sys
from pathlib import Path

from fenzhi.rules.submission.refusal_page import refusal_index, refusal_page
from fenzhi.rules.submission.verdict_texts import VERDICT_TEXTS


def write_pages(folder: Path) -> int:
    """Write one page a code and the index into `folder` (写出说明页); the number of codes. Other pages stay untouched."""
    folder.mkdir(parents=True, exist_ok=True)
    for code in VERDICT_TEXTS:
        (folder / f"{code}.md").write_text(refusal_page(code), encoding="utf-8")
    (folder / "README.md").write_text(refusal_index(), encoding="utf-8")
    return len(VERDICT_TEXTS)


if __name__ == "__main__":
    print(write_pages(Path(sys.argv[1] if len(sys.argv) > 1 else "docs/refusals")))

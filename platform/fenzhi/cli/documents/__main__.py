"""Write every page that is generated (生成文档): `python -m fenzhi.cli.documents docs`."""

from __future__ import annotations

import sys
from pathlib import Path

from fenzhi.cli.documents.pages import generated
from fenzhi.cli.documents.refusal_pages import lacking


def main(docs: Path) -> int:
    """Write the pages into `docs` of a checkout (写出文档): 0, or 2 when words are missing."""
    root = docs.resolve().parent
    gaps = lacking(root)
    for gap in gaps:
        print(gap, file=sys.stderr)
    if gaps:
        return 2
    pages = generated(root)
    stale = {path for path in (docs / "refusals").glob("*.md") if f"refusals/{path.name}" not in pages}
    for path in stale:
        path.unlink()
    for name, text in pages.items():
        (docs / name).write_text(text, encoding="utf-8")
    print(f"{len(pages)} pages, {len(stale)} removed")
    return 0


if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[1] if len(sys.argv) > 1 else "docs")))

"""All generated pages of a checkout by their name below `docs` (全部生成页)."""

from __future__ import annotations

from pathlib import Path

from fenzhi.cli.documents.monitoring_page import monitoring_page
from fenzhi.cli.documents.refusal_pages import refusal_files
from fenzhi.cli.documents.rule_map import rule_map
from fenzhi.cli.documents.settings_page import settings_page


def generated(root: Path) -> dict[str, str]:
    """Text by name (按文件名给出全文). Requires: no code lacks its words."""
    return {
        **{f"refusals/{name}": text for name, text in refusal_files(root).items()},
        "monitoring.md": monitoring_page(root),
        "rule-map.md": rule_map(root),
        "settings.md": settings_page(),
    }

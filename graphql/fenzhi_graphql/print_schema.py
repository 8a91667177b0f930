"""`python -m fenzhi_graphql.print_schema`: write the schema's text beside this file (导出模式), so that a changed API is a reviewed diff."""

from __future__ import annotations

from pathlib import Path

from fenzhi_graphql.schema import build_schema

COMMITTED = Path(__file__).with_name("schema.graphql")


def schema_text() -> str:
    """The schema in SDL, with every description."""
    return build_schema().as_str() + "\n"


if __name__ == "__main__":
    COMMITTED.write_text(schema_text(), encoding="utf-8")

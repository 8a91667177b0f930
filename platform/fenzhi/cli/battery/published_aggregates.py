"""What siblings of one area may learn of each other (公布的汇总数据): field by field, and why.

Everything else that a county or a hospital is answered must be the same whatever the other counties and hospitals of its area do. The
battery builds both worlds, compares every answer word for word, and fails for a field that differs and is not listed here, and for
a field listed here that never differs.
"""

from __future__ import annotations

from collections.abc import Mapping

PUBLISHED_AGGREGATES: Mapping[str, str] = {}
"""`Type.field` of the API → why it depends on the whole pool (字段与理由)."""

"""Upload and download paths of submission (上报通道)."""

from __future__ import annotations

from starlette.routing import Route

UPLOAD_MOST = 16 << 20
"""Bytes of one part as sent, before inflation."""


def submission_routes() -> list[Route]:
    """The paths (路径)."""
    return []

"""Digests of the audit (摘要算法): SHA-256, or SM3 (GB/T 32905) where national cryptography is asked for."""

from __future__ import annotations

import hashlib
from collections.abc import Callable

from cryptography.hazmat.primitives.hashes import SM3, Hash

SHA256, SM3_NAME = "sha256", "sm3"


def sha256(data: bytes) -> bytes:
    """SHA-256."""
    return hashlib.sha256(data).digest()


def sm3(data: bytes) -> bytes:
    """SM3 (国密杂凑)."""
    running = Hash(SM3())
    running.update(data)
    return running.finalize()


_BY_NAME: dict[str, Callable[[bytes], bytes]] = {SHA256: sha256, SM3_NAME: sm3}


def digest_named(name: str) -> Callable[[bytes], bytes]:
    """The digest of a name (按名取算法). Raises: ValueError for a name that is none."""
    if name not in _BY_NAME:
        raise ValueError(f"no digest called {name!r}")
    return _BY_NAME[name]

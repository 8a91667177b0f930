"""The keys of an issuer (签发方公钥): which hosts may publish them, what a published set may hold, and how long a key lives.

A key that another, later one has taken over from lives on for a day, so that tokens under both are believed while an issuer rotates;
then it is refused, whether or not the issuer still publishes it. A key that is published no more is refused from the next reading on.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from urllib.parse import urlsplit

import jwt
from cryptography.hazmat.primitives.asymmetric.ec import SECP256R1, EllipticCurvePublicKey
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPublicKey
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from fenzhi.access.tokens import PublicKey

OVERLAP = timedelta(hours=24)
"""How long a key lives on beside the one that took over."""
KEY_SET_MOST = 65_536
"""Bytes of a published set; real ones have some thousands."""
KEYS_MOST = 20
RSA_BITS_LEAST = 2_048
_LOOPBACK = frozenset({"127.0.0.1", "localhost", "::1"})


@dataclass(frozen=True, slots=True)
class KeyHosts:
    """Hosts from which keys may be read (公钥主机白名单), as `host` or `host:port`; nothing else is ever asked."""

    hosts: tuple[str, ...] = ()

    def allows(self, url: str) -> bool:
        """Whether a URL may be read: https on an allowed host, or http on an allowed loopback; no user, no fragment (是否允许)."""
        try:
            parts = urlsplit(url)
            host, port = parts.hostname or "", parts.port
        except ValueError:
            return False
        if len(url) > 500 or not url.isprintable() or " " in url or "@" in parts.netloc or parts.fragment:
            return False
        if parts.scheme != "https" and not (parts.scheme == "http" and host in _LOOPBACK):
            return False
        named = host if port is None else f"{host}:{port}"
        return bool(host) and named in self.hosts


@dataclass(frozen=True, slots=True)
class PublishedKey:
    """One usable key of a published set (公布的公钥): `thumbprint` names the key itself, whatever id it goes by."""

    key_id: str
    key: PublicKey
    thumbprint: str


def published_keys(text: bytes) -> dict[str, PublishedKey]:
    """The usable keys of a JWK set by id (解析公钥集): P-256 and RSA from 2048 bits, for signatures; anything else is passed over.

    Raises: ValueError for what is no key set, is too large, names one id twice, or holds no usable key.
    """
    if len(text) > KEY_SET_MOST:
        raise ValueError("the key set is too large")
    try:
        found = json.loads(text)
        rows = found["keys"]
    except (ValueError, KeyError, TypeError, RecursionError) as exc:
        raise ValueError("no key set") from exc
    if not isinstance(rows, list) or len(rows) > KEYS_MOST:
        raise ValueError("no list of keys")
    keys: dict[str, PublishedKey] = {}
    for row in rows:
        one = _usable(row)
        if one is None:
            continue
        if one.key_id in keys:
            raise ValueError("two keys of one id")
        keys[one.key_id] = one
    if not keys:
        raise ValueError("no usable key")
    return keys


def _usable(row: object) -> PublishedKey | None:
    if not isinstance(row, dict) or row.get("use", "sig") != "sig" or row.get("kty") not in ("EC", "RSA"):
        return None
    key_id = row.get("kid")
    if not isinstance(key_id, str) or not 1 <= len(key_id) <= 200 or not key_id.isprintable():
        return None
    # The algorithm follows from the kind of the key; a private part is never taken in.
    public = {name: row[name] for name in ("kty", "crv", "x", "y", "n", "e") if name in row}
    try:
        key = jwt.PyJWK.from_dict(public, algorithm="ES256" if row["kty"] == "EC" else "RS256").key
    except (jwt.PyJWTError, ValueError, TypeError, KeyError):
        return None
    is_curve = isinstance(key, EllipticCurvePublicKey) and isinstance(key.curve, SECP256R1)
    is_rsa = isinstance(key, RSAPublicKey) and key.key_size >= RSA_BITS_LEAST
    if not (is_curve or is_rsa):
        return None
    der = key.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
    return PublishedKey(key_id, key, hashlib.sha256(der).hexdigest())


@dataclass(frozen=True, slots=True)
class KeyLife:
    """When a key was first seen among an issuer's keys, and when a token under it was first believed (公钥生命)."""

    first_seen_at: datetime
    first_used_at: datetime | None = None


def is_over(thumbprint: str, lives: Mapping[str, KeyLife], now: datetime) -> bool:
    """Whether a key has been taken over from for longer than the overlap (是否已过轮换期).

    A key takes over from those first seen before it at the moment a token under it is first believed: one that is published ahead of its
    time takes over from nobody yet. Keys first seen together never take over from each other.
    """
    mine = lives[thumbprint]
    taken_over = [
        life.first_used_at
        for life in lives.values()
        if life.first_seen_at > mine.first_seen_at and life.first_used_at is not None
    ]
    return bool(taken_over) and now - min(taken_over) > OVERLAP

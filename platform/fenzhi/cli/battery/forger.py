"""The forger (伪造令牌): every way we know of to bring a token that must not be believed."""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
import random
import time
import uuid
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, padding, rsa
from cryptography.hazmat.primitives.asymmetric.utils import decode_dss_signature

from fenzhi.access.development_issuer import AUDIENCE, CLIENT, ISSUER
from fenzhi.access.tokens import MAX_LIFETIME_S, TOKEN_TYPE
from fenzhi.cli.battery.stage import RSA_KEY_ID, Keys

GONE = object()
"""Leaves a claim or header out."""


@dataclass(frozen=True, slots=True)
class Holder:
    """Whose token is forged (被冒用者)."""

    subject: str
    tenant: str
    role: str
    epoch: int
    other_tenant: str
    other_role: str


def encoded(data: bytes) -> str:
    """Base64url without padding."""
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode("ascii")


def elliptic_signature(key: ec.EllipticCurvePrivateKey, data: bytes) -> bytes:
    """An ES256 signature, r and s side by side."""
    r, s = decode_dss_signature(key.sign(data, ec.ECDSA(hashes.SHA256())))
    return r.to_bytes(32, "big") + s.to_bytes(32, "big")


@dataclass
class Forger:
    """Makes tokens for one holder (伪造者); `good` is believed, all others must not be."""

    keys: Keys
    holder: Holder
    rng: random.Random

    def header(self, **changes: Any) -> dict[str, Any]:
        good = {"alg": "ES256", "typ": TOKEN_TYPE, "kid": self.keys.elliptic.key_id}
        return {name: value for name, value in (good | changes).items() if value is not GONE}

    def claims(self, **changes: Any) -> dict[str, Any]:
        now = int(time.time())
        good = {
            "iss": ISSUER,
            "aud": AUDIENCE,
            "sub": self.holder.subject,
            "client_id": CLIENT,
            "iat": now,
            "exp": now + 600,
            "jti": str(uuid.UUID(int=self.rng.getrandbits(128))),
            "tid": self.holder.tenant,
            "role": self.holder.role,
            "epoch": self.holder.epoch,
        }
        return {name: value for name, value in (good | changes).items() if value is not GONE}

    def signed(self, header: Any = None, claims: Any = None, key: Any = None) -> str:
        """A token signed as its key signs; header and claims may be raw text."""
        parts = [self.header() if header is None else header, self.claims() if claims is None else claims]
        data = ".".join(encoded((p if isinstance(p, str) else json.dumps(p)).encode()) for p in parts)
        key = key or self.keys.elliptic.private
        if isinstance(key, bytes):
            signature = hmac.new(key, data.encode(), hashlib.sha256).digest()
        elif isinstance(key, rsa.RSAPrivateKey):
            signature = key.sign(data.encode(), padding.PKCS1v15(), hashes.SHA256())
        else:
            signature = elliptic_signature(key, data.encode())
        return f"{data}.{encoded(signature)}"

    def good(self) -> str:
        """A token that must be believed: the control."""
        return self.signed()

    def good_rotated(self) -> str:
        """The same under the second live key."""
        return self.signed(self.header(alg="RS256", kid=RSA_KEY_ID), key=self.keys.rsa)

    def all(self) -> Iterator[tuple[str, str]]:
        """Every forgery with its name (全部伪造)."""
        yield from self._signatures()
        yield from self._key_ids()
        yield from self._headers()
        yield from self._times()
        yield from self._names()
        yield from self._malformed()
        yield from self._flipped(40)

    def _signatures(self) -> Iterator[tuple[str, str]]:
        good = self.good()
        head, body, signature = good.split(".")
        for name in ("none", "None", "nOnE", "NONE", ""):
            yield f"alg {name!r} unsigned", f"{encoded(json.dumps(self.header(alg=name)).encode())}.{body}."
        public = self.keys.rsa.public_key()
        pem = public.public_bytes(serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo)
        der = public.public_bytes(serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo)
        jwk = json.dumps(self.keys.elliptic.public_jwk).encode()
        for name, secret in (("pem", pem), ("pem stripped", pem.strip()), ("der", der), ("jwk", jwk), ("empty", b"\0")):
            for key_id in (RSA_KEY_ID, self.keys.elliptic.key_id):
                yield f"HS256 by the public key, {name}", self.signed(self.header(alg="HS256", kid=key_id), key=secret)
        yield "signature gone", f"{head}.{body}."
        yield "signature cut", f"{head}.{body}.{signature[:-6]}"
        yield "signature of another token", f"{head}.{body}.{self.good().split('.')[2]}"
        yield "signature of zeros", f"{head}.{body}.{encoded(bytes(64))}"
        yield (
            "signature in DER",
            f"{head}.{body}.{encoded(self.keys.elliptic.private.sign(f'{head}.{body}'.encode(), ec.ECDSA(hashes.SHA256())))}",
        )
        stranger = ec.generate_private_key(ec.SECP256R1())
        yield "a stranger's key under our id", self.signed(key=stranger)
        rsa_stranger = rsa.generate_private_key(65537, key_size=2048)
        rotated = self.header(alg="RS256", kid=RSA_KEY_ID)
        yield "a stranger's RSA key under our id", self.signed(rotated, key=rsa_stranger)
        for changed in ({"tid": self.holder.other_tenant}, {"role": self.holder.other_role}, {"epoch": 99}):
            tampered = encoded(json.dumps(self.claims(**changed)).encode())
            yield f"tampered {next(iter(changed))}", f"{head}.{tampered}.{signature}"
        for algorithm in ("ES384", "ES512", "PS256", "RS512", "EdDSA", "HS512", "ES256K"):
            yield f"alg {algorithm}", self.signed(self.header(alg=algorithm))
        yield "RS256 under the elliptic key", self.signed(self.header(alg="RS256"), key=self.keys.rsa)
        yield "ES256 under the RSA key", self.signed(self.header(kid=RSA_KEY_ID))

    def _key_ids(self) -> Iterator[tuple[str, str]]:
        stranger = ec.generate_private_key(ec.SECP256R1())
        for key_id in (
            GONE, "", None, 0, 1, True, [], {}, [self.keys.elliptic.key_id], "unknown", "../../../../dev/null", "/dev/null",
            "' or 1=1 --", "a' union select 'k", "$(id)", "http://evil.example/jwks", self.keys.elliptic.key_id + "\0",
            self.keys.elliptic.key_id.swapcase(), " " + self.keys.elliptic.key_id,
        ):  # fmt: skip
            yield f"kid {'absent' if key_id is GONE else key_id!r}", self.signed(self.header(kid=key_id))
        for number in range(5):
            yield f"random kid {number}", self.signed(self.header(kid=f"{self.rng.getrandbits(128):032x}"))
        numbers = stranger.public_key().public_numbers()
        jwk = {"kty": "EC", "crv": "P-256", "x": encoded(numbers.x.to_bytes(32, "big")), "y": encoded(numbers.y.to_bytes(32, "big"))}  # fmt: skip
        for key_id in (self.keys.elliptic.key_id, "mine", GONE):
            yield "embedded jwk", self.signed(self.header(jwk=jwk, kid=key_id), key=stranger)
            for name in ("jku", "x5u"):
                yield name, self.signed(self.header(kid=key_id) | {name: "http://evil.example/keys.json"}, key=stranger)
            yield "x5c", self.signed(self.header(x5c=["MIIB"], kid=key_id), key=stranger)

    def _headers(self) -> Iterator[tuple[str, str]]:
        for typ in (GONE, "JWT", "jwt", "id+jwt", "rt+jwt", "logout+jwt", "", None, 1, "at+jwt;", "dpop+jwt"):
            yield f"typ {'absent' if typ is GONE else typ!r}", self.signed(self.header(typ=typ))
        yield "unknown crit", self.signed(self.header(crit=["exp2"], exp2=1))
        yield "crit of what is not there", self.signed(self.header(crit=["bork"]))
        yield "b64 false", self.signed(self.header(b64=False, crit=["b64"]))

    def _times(self) -> Iterator[tuple[str, str]]:
        now = int(time.time())
        for name, changes in (
            ("expired", {"iat": now - 700, "exp": now - 100}),
            ("expired beyond the leeway", {"iat": now - 600, "exp": now - 31}),
            ("no exp", {"exp": GONE}),
            ("no iat", {"iat": GONE}),
            ("exp 10^18", {"exp": 10**18}),
            ("lives a second too long", {"iat": now, "exp": now + MAX_LIFETIME_S + 1}),
            ("lives a day", {"exp": now + 86_400}),
            ("exp as a float", {"exp": now + 600.5}),
            ("exp as text", {"exp": str(now + 600)}),
            ("exp true", {"exp": True}),
            ("exp infinite", {"exp": float("inf")}),
            ("exp not a number", {"exp": float("nan")}),
            ("exp null", {"exp": None}),
            ("exp a list", {"exp": [now + 600]}),
            ("iat in the future", {"iat": now + 120, "exp": now + 600}),
            ("iat as text", {"iat": "now"}),
            ("iat a float", {"iat": now + 0.5}),
            ("nbf in the future", {"nbf": now + 120}),
            ("nbf not a number", {"nbf": "x"}),
            ("ends before it begins", {"iat": now + 20, "exp": now + 10}),
        ):
            yield name, self.signed(claims=self.claims(**changes))

    def _names(self) -> Iterator[tuple[str, str]]:
        changes: list[tuple[str, dict[str, Any]]] = []
        for name in ("iss", "aud", "sub", "client_id", "tid", "role", "epoch", "jti"):
            changes += [(f"no {name}", {name: GONE}), (f"{name} null", {name: None}), (f"{name} empty", {name: ""})]
            changes += [(f"{name} a list", {name: [1]}), (f"{name} an object", {name: {}})]
        changes += [
            ("iss with a suffix", {"iss": ISSUER + "/"}),
            ("iss with a prefix", {"iss": "x" + ISSUER}),
            ("another issuer", {"iss": "https://evil.example"}),
            ("aud with a suffix", {"aud": AUDIENCE + "x"}),
            ("aud of others", {"aud": ["other", "another"]}),
            ("unknown subject", {"sub": "dev:nobody"}),
            ("a tenant one is not of", {"tid": self.holder.other_tenant}),
            ("a tenant that is not", {"tid": "no-such-tenant"}),
            ("a role one has not", {"role": self.holder.other_role}),
            ("a role that is not", {"role": "superuser"}),
            ("a role in capitals", {"role": self.holder.role.upper()}),
            ("an older epoch", {"epoch": self.holder.epoch - 1}),
            ("a newer epoch", {"epoch": self.holder.epoch + 1}),
            ("epoch true", {"epoch": True}),
            ("epoch as text", {"epoch": str(self.holder.epoch)}),
            ("epoch a float", {"epoch": self.holder.epoch + 0.0}),
            ("a subject with a wildcard", {"sub": "dev:%"}),
            ("a tenant with SQL", {"tid": "' or '1'='1"}),
            ("a subject with a null", {"sub": self.holder.subject + "\0"}),
        ]
        for name, changed in changes:
            yield name, self.signed(claims=self.claims(**changed))

    def _malformed(self) -> Iterator[tuple[str, str]]:
        good = self.good()
        head, body, signature = good.split(".")
        yield from (
            ("empty", ""),
            ("one part", head),
            ("two parts", f"{head}.{body}"),
            ("four parts", f"{good}.x"),
            ("five parts", f"{head}..{body}.{signature}.x"),
            ("no base64", "%%%.%%%.%%%"),
            ("dots", ".."),
            ("too long", good + "A" * 9000),
            ("twice", f"{good} {good}"),
            ("with a comma", f"{good},{good}"),
            ("header no JSON", f"{encoded(b'x')}.{body}.{signature}"),
            ("header a list", f"{encoded(b'[]')}.{body}.{signature}"),
            ("header nested deep", f"{encoded(b'[' * 4000)}.{body}.{signature}"),
            ("header not UTF-8", f"{encoded(bytes([255, 254]))}.{body}.{signature}"),
            ("claims no JSON", self.signed(claims="x")),
            ("claims a list", self.signed(claims="[]")),
            ("claims a number", self.signed(claims="1")),
            ("claims null", self.signed(claims="null")),
            ("claims nested deep", self.signed(claims='{"a":' + "[" * 2000 + "]" * 2000 + "}")),
        )

    def _flipped(self, count: int) -> Iterator[tuple[str, str]]:
        """One character changed anywhere but at the ends of parts, where base64 carries bits of no meaning."""
        good = self.good()
        ends = {i for i, c in enumerate(good) if c == "." or good[i + 1 : i + 2] == "."} | {len(good) - 1}
        letters = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"
        for place in self.rng.sample(sorted(set(range(len(good))) - ends), count):
            other = self.rng.choice([c for c in letters if c != good[place]])
            yield f"character {place} changed", good[:place] + other + good[place + 1 :]

"""The development issuer (开发用签发方): tokens for a platform on one's own machine.

It stands in only on a loopback address and only where no real issuer is named; the shell sees to both. Its private key lies
in a file of mode 0600. Its tokens have the shape of a real issuer's (RFC 9068), so that nothing downstream is special.
"""

from __future__ import annotations

import base64
import hashlib
import json
import os
import stat
import uuid
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

import jwt
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec

from fenzhi.access.tokens import TOKEN_TYPE
from fenzhi.rules.refusals import Conflict

ISSUER = "fenzhi-development"
AUDIENCE = "fenzhi"
CLIENT = "fenzhi-cli"
LIFETIME = timedelta(minutes=15)


@dataclass(frozen=True, slots=True)
class DevelopmentKey:
    """The issuer's signing key (签名密钥), P-256; `key_id` is its RFC 7638 thumbprint."""

    private: ec.EllipticCurvePrivateKey

    @property
    def public_jwk(self) -> dict[str, str]:
        """The public key as a JWK (公钥)."""
        numbers = self.private.public_key().public_numbers()
        point = {"crv": "P-256", "kty": "EC", "x": _base64(numbers.x), "y": _base64(numbers.y)}
        canonical = json.dumps(point, sort_keys=True, separators=(",", ":")).encode("ascii")
        thumbprint = base64.urlsafe_b64encode(hashlib.sha256(canonical).digest()).rstrip(b"=").decode("ascii")
        return {**point, "alg": "ES256", "use": "sig", "kid": thumbprint}

    @property
    def key_id(self) -> str:
        """The key's id (密钥编号)."""
        return self.public_jwk["kid"]

    @property
    def key_set(self) -> str:
        """The public keys as a JWK set in JSON (公钥集), for whoever verifies."""
        return json.dumps({"keys": [self.public_jwk]}, indent=1)


@dataclass(frozen=True, slots=True)
class IssuedToken:
    """A signed access token (访问令牌) and when it ends."""

    token: str
    expires_at: datetime
    subject: str
    tenant: str
    role: str


def development_key(file: Path) -> DevelopmentKey:
    """The key kept in `file`, made there if there is none (读取或生成密钥).

    Raises: Conflict when others may read the file: such a key is no secret any more.
    """
    try:
        handle = os.open(file, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    except FileExistsError:
        return _read(file)
    private = ec.generate_private_key(ec.SECP256R1())
    with open(handle, "wb") as opened:
        opened.write(
            private.private_bytes(
                serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
            )
        )
    return DevelopmentKey(private)


def issue_development_token(
    key: DevelopmentKey,
    account_subject: str,
    tenant_code: str,
    role: str,
    epoch: int,
    *,
    issued_at: datetime | None = None,
    lifetime: timedelta = LIFETIME,
    audience: str = AUDIENCE,
    has_second_factor: bool = True,
) -> IssuedToken:
    """Sign an access token (签发令牌), ES256, for at most fifteen minutes.

    This issuer checks no factor at all. It states two unless asked not to, so that every step can be tried on one's own machine.
    Raises: ValueError for a longer or empty lifetime.
    """
    if not timedelta(0) < lifetime <= LIFETIME:
        raise ValueError("an access token lives at most fifteen minutes")
    now = (issued_at or datetime.now(UTC)).replace(microsecond=0)
    claims = {
        "iss": ISSUER,
        "aud": audience,
        "sub": account_subject,
        "client_id": CLIENT,
        "iat": now,
        "exp": now + lifetime,
        "jti": str(uuid.uuid4()),
        "tid": tenant_code,
        "role": role,
        "epoch": epoch,
        "amr": ["pwd", "otp", "mfa"] if has_second_factor else ["pwd"],
    }
    token = jwt.encode(claims, key.private, algorithm="ES256", headers={"typ": TOKEN_TYPE, "kid": key.key_id})
    return IssuedToken(token, now + lifetime, account_subject, tenant_code, role)


def _read(file: Path) -> DevelopmentKey:
    if stat.S_IMODE(file.stat().st_mode) & 0o077:
        raise Conflict(
            f"开发密钥 {file} 可被他人读取。",
            f"The development key {file} may be read by others.",
            code="KEY_FILE_EXPOSED",
            hint=f"rm {file} (a new key is made; tokens issued so far end)",
        )
    private = serialization.load_pem_private_key(file.read_bytes(), password=None)
    if not isinstance(private, ec.EllipticCurvePrivateKey) or not isinstance(private.curve, ec.SECP256R1):
        raise Conflict(f"{file} 不是 P-256 私钥。", f"{file} holds no P-256 private key.", code="KEY_FILE_INVALID")
    return DevelopmentKey(private)


def _base64(number: int) -> str:
    return base64.urlsafe_b64encode(number.to_bytes(32, "big")).rstrip(b"=").decode("ascii")

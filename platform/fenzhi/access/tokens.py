"""Access tokens (访问令牌): verify a signature and its claims, nothing more.

Who the subject is and what it may do is looked up for every request: a token carries a tenant and a role only as a request.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass, field

import jwt
from cryptography.hazmat.primitives.asymmetric.ec import EllipticCurvePublicKey
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPublicKey

from fenzhi.rules.refusals import FenzhiError

TOKEN_TYPE = "at+jwt"
MAX_LIFETIME_S = 15 * 60
LEEWAY_S = 30
ALGORITHMS = ("ES256", "RS256")
KEYS_READ_AGAIN_S = 60.0
"""An unknown key id makes the trusted keys be read again, but no more often than this."""

PublicKey = EllipticCurvePublicKey | RSAPublicKey
"""A key that verifies (验签公钥)."""


class Unauthenticated(FenzhiError):
    """No valid token (未认证). The message never says which check failed to a stranger."""

    code = "UNAUTHENTICATED"
    http_status = 401

    def __init__(self, reason: str) -> None:
        hint = "令牌缺失、无效或已过期，请重新取得 / missing, not valid or expired: get a new one"
        super().__init__("未提供有效的访问令牌。", "No valid access token.", hint=hint)
        self.reason = reason


@dataclass(frozen=True, slots=True)
class Claims:
    """What a verified token says (令牌声明)."""

    issuer: str
    subject: str
    client_id: str
    tenant: str
    role: str
    epoch: int
    token_id: str
    expires_at: int
    has_second_factor: bool = False
    """Whether `amr` or `acr` names a second factor by the issuer's rule (双因素)."""


class TrustedKeys(Mapping[str, PublicKey]):
    """Keys by id that may rotate while the process runs (可信公钥集).

    `read` gives the whole set; it is called at first, and for an unknown id, at most once in `KEYS_READ_AGAIN_S`, so that random ids
    cannot make it work. A set that cannot be read leaves the keys as they were: the known ones go on, unknown ones stay unknown.
    """

    def __init__(
        self, read: Callable[[], Mapping[str, PublicKey]], clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._read = read
        self._clock = clock
        self._keys = dict(read())
        self._read_at = clock()

    def __getitem__(self, key_id: str) -> PublicKey:
        if key_id not in self._keys and self._clock() - self._read_at >= KEYS_READ_AGAIN_S:
            self._read_at = self._clock()
            with suppress(OSError, ValueError, jwt.PyJWTError):
                self._keys = dict(self._read())
        return self._keys[key_id]

    def __iter__(self) -> Iterator[str]:
        return iter(self._keys)

    def __len__(self) -> int:
        return len(self._keys)


SECOND_FACTOR_METHODS = frozenset({"mfa", "otp", "hwk", "sc"})
"""`amr` values that stand for a second factor unless the issuer's registration says otherwise (RFC 8176): several factors,
one-time code, hardware key, smart card. A password, a PIN, a text message or a network address is none."""


@dataclass(frozen=True, slots=True)
class FactorPolicy:
    """Which claims of an issuer stand for a second factor (双因素认定规则)."""

    methods: frozenset[str] = SECOND_FACTOR_METHODS
    context_classes: frozenset[str] = frozenset()

    def is_met(self, methods: object, context_class: object) -> bool:
        """Whether `amr` or `acr` of a verified token names one (是否满足).

        Absent claims name none. Raises: Unauthenticated for an `amr` that is no list of texts or an `acr` that is no text:
        a token that an issuer did not mean this way is not believed halfway.
        """
        amr = [] if methods is None else methods
        acr = "" if context_class is None else context_class
        if not isinstance(amr, list) or len(amr) > 20 or not all(isinstance(one, str) for one in amr):
            raise Unauthenticated("amr")
        if not isinstance(acr, str) or len(acr) > 200:
            raise Unauthenticated("acr")
        return not self.methods.isdisjoint(amr) or (acr != "" and acr in self.context_classes)


@dataclass(frozen=True, slots=True)
class Verifier:
    """Trusted keys of one issuer (令牌校验器), by key id. Several keys may live side by side during a rotation."""

    issuer: str
    audience: str
    keys: Mapping[str, PublicKey]
    factors: FactorPolicy = field(default_factory=lambda: FactorPolicy())

    def verify(self, token: str) -> Claims:
        """The claims of a token. Raises: Unauthenticated.

        Pins the algorithms to the kind of the key, requires typ, kid, iss, aud, sub, iat, exp, jti, client_id, tid, role and epoch, and
        caps the lifetime: PyJWT accepts any `exp` and any `typ`.
        """
        try:
            header = jwt.get_unverified_header(token)
        except (jwt.PyJWTError, RecursionError, ValueError) as exc:
            raise Unauthenticated("malformed") from exc
        key_id = header.get("kid")
        key = self.keys.get(key_id) if isinstance(key_id, str) else None
        if key is None:
            raise Unauthenticated("unknown key")
        if str(header.get("typ", "")).lower() != TOKEN_TYPE:
            raise Unauthenticated("not an access token")
        algorithm = "ES256" if isinstance(key, EllipticCurvePublicKey) else "RS256"
        if header.get("alg") != algorithm:
            raise Unauthenticated("algorithm")
        try:
            claims = jwt.decode(
                token,
                key,
                algorithms=[algorithm],
                audience=self.audience,
                issuer=self.issuer,
                leeway=LEEWAY_S,
                options={"require": ["exp", "iat", "aud", "iss", "sub", "jti"]},
            )
        except (jwt.PyJWTError, RecursionError, ValueError, OverflowError, TypeError) as exc:
            raise Unauthenticated(type(exc).__name__) from exc
        texts = {name: claims.get(name) for name in ("sub", "client_id", "tid", "role", "jti")}
        if not all(isinstance(value, str) and value and value.isprintable() for value in texts.values()):
            raise Unauthenticated("claims")
        issued, expires, epoch = claims["iat"], claims["exp"], claims.get("epoch")
        if not all(isinstance(value, int) and not isinstance(value, bool) for value in (issued, expires, epoch)):
            raise Unauthenticated("claims")
        if not 0 < expires - issued <= MAX_LIFETIME_S:
            raise Unauthenticated("lifetime")
        return Claims(
            issuer=self.issuer,
            subject=str(texts["sub"]),
            client_id=str(texts["client_id"]),
            tenant=str(texts["tid"]),
            role=str(texts["role"]),
            epoch=int(epoch or 0),
            token_id=str(texts["jti"]),
            expires_at=expires,
            has_second_factor=self.factors.is_met(claims.get("amr"), claims.get("acr")),
        )

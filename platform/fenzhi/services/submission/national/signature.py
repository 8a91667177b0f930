"""Signatures of national messages (报文签名): SM3 with a shared secret, SM2 over SM3 with a public key, behind one interface.

What is signed is one text: the fields of the envelope but `cainfo`, sorted by name, as `name=value` joined by `&`; `input` as JSON with
sorted names and no white space. With SM3 the text ends in `&key=` and the secret. Known answers both ways are in docs/integrate.
"""

from __future__ import annotations

import base64
import binascii
import hmac
import json
from collections.abc import Mapping
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Any, Protocol
from zoneinfo import ZoneInfo

import gmalg
from cryptography.hazmat.primitives.hashes import SM3, Hash

from fenzhi.rules.refusals import FenzhiError
from fenzhi.services.submission.national.message import Number
from fenzhi.store.session import BUSINESS_ZONE

WINDOW = timedelta(minutes=5)
"""How far a signed message's `inf_time` may be from the platform's clock (重放窗口)."""
SM2_USER = b"1234567812345678"
"""The user id of GM/T 0009 where none is agreed (默认用户标识)."""
SECRET_LEAST = 16


class SignatureKind(StrEnum):
    """How messages are signed (签名算法)."""

    NONE = "none"
    SM3 = "SM3"
    SM2 = "SM2"


class SignatureRefused(FenzhiError):
    """The message is not signed as it must be (报文签名不符)."""

    code = "SIGNATURE_REFUSED"
    http_status = 401


class SignatureProvider(Protocol):
    """One way of signing (签名提供者). `key`: the shared secret for SM3; for SM2 the public key to verify, the private one to sign."""

    def sign(self, text: bytes, key: bytes) -> str:
        """The signature of a text."""

    def verify(self, text: bytes, key: bytes, signature: str) -> bool:
        """Whether a signature is that of the text."""


def sm3(data: bytes) -> bytes:
    """The SM3 digest (国密杂凑), GB/T 32905."""
    digest = Hash(SM3())
    digest.update(data)
    return digest.finalize()


class Sm3WithSecret:
    """SM3 of the text and a shared secret (SM3 加共享密钥), as upper-case hex."""

    def sign(self, text: bytes, key: bytes) -> str:
        return sm3(text + b"&key=" + key).hex().upper()

    def verify(self, text: bytes, key: bytes, signature: str) -> bool:
        return hmac.compare_digest(self.sign(text, key).encode(), signature.upper().encode())


class Sm2WithSm3:
    """SM2 over SM3 (SM3withSM2), GB/T 32918: r and s, 32 bytes each, in Base64. A public key is 64 bytes, or 65 with its leading 04."""

    def sign(self, text: bytes, key: bytes) -> str:
        signer = gmalg.SM2(key, SM2_USER, gmalg.SM2(key).generate_pk(key))
        r, s = signer.sign(text)
        return base64.b64encode(r.rjust(32, b"\0") + s.rjust(32, b"\0")).decode()

    def verify(self, text: bytes, key: bytes, signature: str) -> bool:
        try:
            raw = base64.b64decode(signature, validate=True)
            if len(raw) != 64:
                return False
            public = key if len(key) == 65 else b"\x04" + key
            return bool(gmalg.SM2(uid=SM2_USER, pk=public).verify(text, raw[:32], raw[32:]))
        except (binascii.Error, ValueError, gmalg.errors.Error):
            return False


PROVIDERS: Mapping[SignatureKind, SignatureProvider] = {
    SignatureKind.SM3: Sm3WithSecret(),
    SignatureKind.SM2: Sm2WithSm3(),
}


def signed_text(envelope: Mapping[str, Any]) -> bytes:
    """The text that a signature covers (待签名文本).

    >>> signed_text({"msgid": "M1", "infno": "4103", "input": {"b": 1, "a": "字"}, "cainfo": "", "dev_no": None})
    b'infno=4103&input={"a":"\\xe5\\xad\\x97","b":1}&msgid=M1'
    """
    parts = []
    for name in sorted(envelope):
        value = envelope[name]
        if name == "cainfo" or value is None or value == "":
            continue
        parts.append(f"{name}={value if isinstance(value, str) else _canonical(value)}")
    return "&".join(parts).encode()


def _canonical(value: Any) -> str:
    """JSON with sorted names and no white space; a number stands as the message wrote it."""
    if isinstance(value, dict):
        return (
            "{" + ",".join(f"{json.dumps(k, ensure_ascii=False)}:{_canonical(value[k])}" for k in sorted(value)) + "}"
        )
    if isinstance(value, list):
        return "[" + ",".join(map(_canonical, value)) + "]"
    return str(value) if isinstance(value, Number) else json.dumps(value, ensure_ascii=False)


def check_window(inf_time: str, now: datetime) -> None:
    """Refuse a signed message made outside the replay window (重放窗口). `inf_time`: yyyy-MM-dd HH:mm:ss in Asia/Shanghai.

    Raises: SignatureRefused.
    """
    try:
        made = datetime.strptime(inf_time, "%Y-%m-%d %H:%M:%S").replace(tzinfo=ZoneInfo(BUSINESS_ZONE))
    except ValueError:
        made = None
    if made is None or abs(made - now) > WINDOW:
        raise SignatureRefused(
            f"签名报文的发生时间 inf_time 缺失或超出 {WINDOW.seconds // 60} 分钟。",
            f"inf_time of a signed message is missing or more than {WINDOW.seconds // 60} minutes off.",
            hint="校准时钟，重新生成并签名报文 / set the clock right, make and sign the message anew",
        )

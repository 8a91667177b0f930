"""Encryption of originals and personal fields (加密与盲索引), one derived key per tenant area and key id.

AES-256-GCM with a random 96-bit nonce; the associated data binds a ciphertext to its place, so that a row copied elsewhere does not
open. The master key leaves this object only for a process of the same program. A provider for SM4-GCM takes the same two methods.
"""

from __future__ import annotations

import hmac
import os

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.hashes import SHA256, SM3, HashAlgorithm
from cryptography.hazmat.primitives.hmac import HMAC
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

_NONCE = 12


class SealBroken(Exception):
    """A ciphertext does not open: wrong key, wrong place, or changed bytes (密文校验失败)."""


class Keyring:
    """Per-tenant keys derived from one master key (密钥环)."""

    def __init__(self, master_key: bytes, key_id: str = "k1") -> None:
        if len(master_key) < 32:
            raise ValueError("the master key must have at least 32 bytes")
        self._master = master_key
        self.key_id = key_id
        self._derived: dict[tuple[str, int, str], bytes] = {}
        self._ciphers: dict[tuple[int, str], AESGCM] = {}

    def __reduce__(self) -> tuple[type[Keyring], tuple[bytes, str]]:
        """For a process that this one has started and speaks to by a pipe (交给子进程): keys are derived there again."""
        return Keyring, (self._master, self.key_id)

    def _key(self, purpose: str, area_id: int, key_id: str) -> bytes:
        name = (purpose, area_id, key_id)
        if name not in self._derived:
            info = f"fenzhi/{purpose}/{area_id}/{key_id}".encode()
            self._derived[name] = HKDF(algorithm=SHA256(), length=32, salt=None, info=info).derive(self._master)
        return self._derived[name]

    def _cipher(self, area_id: int, key_id: str) -> AESGCM:
        found = self._ciphers.get((area_id, key_id))
        if found is None:
            found = self._ciphers[area_id, key_id] = AESGCM(self._key("data", area_id, key_id))
        return found

    def seal(self, area_id: int, plaintext: bytes, place: bytes) -> bytes:
        """Encrypt for an area; `place` must be given again to open (加密)."""
        nonce = os.urandom(_NONCE)
        return nonce + self._cipher(area_id, self.key_id).encrypt(nonce, plaintext, place)

    def unseal(self, area_id: int, key_id: str, sealed: bytes, place: bytes) -> bytes:
        """Decrypt. Raises: SealBroken."""
        try:
            return self._cipher(area_id, key_id).decrypt(sealed[:_NONCE], sealed[_NONCE:], place)
        except InvalidTag as exc:
            raise SealBroken("the ciphertext does not open here") from exc

    def person_index(self, area_id: int, identity: str) -> bytes:
        """A keyed index of a person within an area (盲索引): equal persons, equal bytes, and nothing else to learn."""
        return hmac.digest(self._key("index", area_id, self.key_id), identity.encode(), "sha256")

    def anchor_seal(self, payload: bytes, algorithm: str) -> bytes:
        """The seal of an anchor of the audit (锚点封印): HMAC under a key that the database does not hold."""
        digest: HashAlgorithm = SM3() if algorithm == "sm3" else SHA256()
        mac = HMAC(self._key("audit-anchor", 0, self.key_id), digest)
        mac.update(payload)
        return mac.finalize()

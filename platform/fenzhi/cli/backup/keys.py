"""The keys of a platform, sealed under a passphrase (密钥备份). They are kept apart from the backup: whoever has one has nothing yet.

scrypt (N 2^17, r 8, p 1) makes the key from the passphrase, AES-256-GCM seals the files; the header is bound to them.
"""

from __future__ import annotations

import hashlib
import hmac
import json
import os
from base64 import b64decode, b64encode
from pathlib import Path

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.kdf.scrypt import Scrypt

from fenzhi.cli.servers import write_private
from fenzhi.rules.refusals import Conflict

NAME = "fenzhi-keys.sealed"
_FORMAT = "fenzhi.keys/1"
_SHORTEST = 16
"""Characters of a passphrase."""


def key_check(master_key: bytes) -> str:
    """Tells whether a master key is the one of a backup, and nothing else about it (主密钥校验值)."""
    return hmac.new(master_key, b"fenzhi/backup/key-check", hashlib.sha256).hexdigest()[:16] if master_key else ""


def seal_keys(folder: Path, into: Path, passphrase: str) -> Path:
    """Seal every file of a keys folder into one file (封存密钥). Raises: Conflict PASSPHRASE_SHORT."""
    if len(passphrase) < _SHORTEST:
        raise Conflict(
            f"口令至少 {_SHORTEST} 个字符。",
            f"A passphrase has at least {_SHORTEST} characters.",
            code="PASSPHRASE_SHORT",
            hint="由 FENZHI_BACKUP_PASSPHRASE 或 FENZHI_BACKUP_PASSPHRASE_FILE 给出 / give one by the environment",
        )
    files = {path.name: b64encode(path.read_bytes()).decode() for path in sorted(folder.iterdir()) if path.is_file()}
    salt, nonce = os.urandom(16), os.urandom(12)
    sealed = AESGCM(_key(passphrase, salt)).encrypt(nonce, json.dumps(files).encode(), _FORMAT.encode())
    into.mkdir(mode=0o700, parents=True, exist_ok=True)
    parts = {name: b64encode(part).decode() for name, part in (("salt", salt), ("nonce", nonce), ("sealed", sealed))}
    text = json.dumps({"format": _FORMAT, **parts})
    write_private(into / NAME, text + "\n")
    return into / NAME


def unseal_keys(sealed: Path, passphrase: str) -> dict[str, bytes]:
    """The files by name (启封密钥). Raises: Conflict KEYS_NOT_OPENED."""
    try:
        parts = json.loads(sealed.read_text(encoding="ascii"))
        salt, nonce, content = (b64decode(parts[name]) for name in ("salt", "nonce", "sealed"))
        opened = AESGCM(_key(passphrase, salt)).decrypt(nonce, content, str(parts["format"]).encode())
    except (InvalidTag, KeyError, ValueError) as exc:
        raise Conflict(
            "密钥备份无法启封：口令不符或文件被改动。",
            "The sealed keys do not open: another passphrase, or a changed file.",
            code="KEYS_NOT_OPENED",
            hint="核对口令与文件 / check the passphrase and the file",
        ) from exc
    return {name: b64decode(text) for name, text in json.loads(opened).items()}


def _key(passphrase: str, salt: bytes) -> bytes:
    return Scrypt(salt=salt, length=32, n=2**17, r=8, p=1).derive(passphrase.encode())

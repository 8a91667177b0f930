"""The development issuer: shape of a token, lifetime, key file."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from pathlib import Path

import jwt
import pytest

from fenzhi.access.development_issuer import ISSUER, development_key, issue_development_token
from fenzhi.access.tokens import Verifier
from fenzhi.rules.refusals import Conflict


def test_a_token_has_the_shape_that_is_verified(tmp_path: Path) -> None:
    key = development_key(tmp_path / "key.pem")
    issued = issue_development_token(key, "dev:4101:city_settlement_clerk", "4101", "city_settlement_clerk", 3)
    header = jwt.get_unverified_header(issued.token)
    assert (header["alg"], header["typ"], header["kid"]) == ("ES256", "at+jwt", key.key_id)
    claims = Verifier(ISSUER, "fenzhi", {key.key_id: key.private.public_key()}).verify(issued.token)
    assert (claims.subject, claims.tenant, claims.role, claims.epoch, claims.client_id) == (
        "dev:4101:city_settlement_clerk",
        "4101",
        "city_settlement_clerk",
        3,
        "fenzhi-cli",
    )
    assert claims.expires_at == int(issued.expires_at.timestamp())


def test_the_key_set_verifies_a_token(tmp_path: Path) -> None:
    key = development_key(tmp_path / "key.pem")
    issued = issue_development_token(key, "s", "t", "r", 0)
    (public,) = jwt.PyJWKSet.from_json(key.key_set).keys
    assert public.key_id == key.key_id
    assert jwt.decode(issued.token, public, algorithms=["ES256"], audience="fenzhi", issuer=ISSUER)["tid"] == "t"
    assert "d" not in json.loads(key.key_set)["keys"][0]


def test_a_token_lives_at_most_fifteen_minutes(tmp_path: Path) -> None:
    key = development_key(tmp_path / "key.pem")
    start = datetime(2026, 1, 1, 8, 0, 0, 999_999, tzinfo=UTC)
    issued = issue_development_token(key, "s", "t", "r", 0, issued_at=start)
    assert issued.expires_at == datetime(2026, 1, 1, 8, 15, tzinfo=UTC)
    for lifetime in (timedelta(0), timedelta(minutes=15, seconds=1)):
        with pytest.raises(ValueError, match="at most fifteen minutes"):
            issue_development_token(key, "s", "t", "r", 0, lifetime=lifetime)


def test_two_tokens_differ(tmp_path: Path) -> None:
    key = development_key(tmp_path / "key.pem")
    start = datetime(2026, 1, 1, tzinfo=UTC)
    first, second = (issue_development_token(key, "s", "t", "r", 0, issued_at=start).token for _ in range(2))
    options = {"verify_signature": False}
    assert jwt.decode(first, options=options)["jti"] != jwt.decode(second, options=options)["jti"]


def test_the_key_is_kept_and_private(tmp_path: Path) -> None:
    file = tmp_path / "key.pem"
    first = development_key(file)
    assert file.stat().st_mode & 0o777 == 0o600
    assert development_key(file).key_id == first.key_id
    file.chmod(0o640)
    with pytest.raises(Conflict) as refused:
        development_key(file)
    assert refused.value.code == "KEY_FILE_EXPOSED"

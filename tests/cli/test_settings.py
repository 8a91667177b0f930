"""Settings: names, secrets from files, what is refused, when development is on."""

from __future__ import annotations

import base64
import os
from pathlib import Path

import pytest
from pydantic import ValidationError

from fenzhi.settings import SECRETS, Settings, default_state_dir, is_loopback


@pytest.fixture(autouse=True)
def no_settings_around(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in os.environ:
        if name.startswith("FENZHI_"):
            monkeypatch.delenv(name)


def test_defaults_are_a_development_platform_on_this_machine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    settings = Settings()
    assert (settings.api_host, settings.api_port, settings.state_dir) == ("127.0.0.1", 0, tmp_path / ".fenzhi")
    assert (settings.database_url, settings.app_database_url, settings.redis_url) == (None, None, None)
    assert settings.development
    assert settings.token_issuer == "fenzhi-development"
    assert settings.token_keys_file == tmp_path / ".fenzhi" / "keys" / "development-issuer.jwks.json"


@pytest.mark.parametrize("secret", SECRETS)
def test_a_secret_may_come_from_a_file(secret: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "secret").write_text("postgresql://x\n", encoding="utf-8")
    monkeypatch.setenv(f"FENZHI_{secret.upper()}_FILE", str(tmp_path / "secret"))
    assert getattr(Settings(), secret).get_secret_value() == "postgresql://x"
    assert "postgresql" not in repr(Settings())


def test_a_secret_given_twice_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "secret").write_text("a", encoding="utf-8")
    monkeypatch.setenv("FENZHI_REDIS_URL_FILE", str(tmp_path / "secret"))
    monkeypatch.setenv("FENZHI_REDIS_URL", "b")
    with pytest.raises(ValueError, match="FENZHI_REDIS_URL and its _FILE are both set"):
        Settings()


def test_a_missing_secret_file_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FENZHI_MASTER_KEY_FILE", "/nowhere/key")
    with pytest.raises(ValueError, match="FENZHI_MASTER_KEY_FILE: /nowhere/key: No such file"):
        Settings()


@pytest.mark.parametrize(
    ("name", "value"),
    [("API_PORT", "65536"), ("API_PORT", "x"), ("LOG_LEVEL", "LOUD"), ("WORKER_CONCURRENCY", "0")],
)
def test_nonsense_is_refused(name: str, value: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(f"FENZHI_{name}", value)
    with pytest.raises(ValidationError):
        Settings()


def test_an_empty_variable_counts_as_unset(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FENZHI_API_PORT", "")
    assert Settings().api_port == 0


def test_an_issuer_without_keys_is_refused(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("FENZHI_JWT_ISSUER", "https://idp.example")
    with pytest.raises(ValidationError, match="no token could be verified"):
        Settings()
    monkeypatch.setenv("FENZHI_JWT_PUBLIC_KEYS", str(tmp_path / "keys.json"))
    settings = Settings()
    assert settings.external_issuer
    assert not settings.development
    assert settings.token_issuer == "https://idp.example"
    assert settings.token_keys_file == tmp_path / "keys.json"


def test_development_ends_off_loopback_or_when_switched_off() -> None:
    assert not Settings(api_host="0.0.0.0").development
    assert not Settings(dev_issuer=False).development
    assert Settings(api_host="0.0.0.0").token_keys_file is None


@pytest.mark.parametrize(
    ("host", "expected"),
    [
        ("127.0.0.1", True),
        ("127.8.8.8", True),
        ("::1", True),
        ("[::1]", True),
        ("localhost", True),
        ("0.0.0.0", False),
        ("10.0.0.1", False),
        ("api.example", False),
        ("", False),
    ],
)
def test_what_counts_as_this_machine(host: str, expected: bool) -> None:
    assert is_loopback(host) is expected


def test_the_master_key_is_thirty_two_bytes(monkeypatch: pytest.MonkeyPatch) -> None:
    key = bytes(range(32))
    monkeypatch.setenv("FENZHI_MASTER_KEY", base64.b64encode(key).decode("ascii"))
    assert Settings().master_key_bytes() == key
    monkeypatch.setenv("FENZHI_MASTER_KEY", base64.b64encode(key[:31]).decode("ascii"))
    with pytest.raises(ValueError, match="holds 31 bytes, not 32"):
        Settings().master_key_bytes()
    monkeypatch.setenv("FENZHI_MASTER_KEY", "not base64!")
    with pytest.raises(ValueError, match="not base64"):
        Settings().master_key_bytes()
    monkeypatch.delenv("FENZHI_MASTER_KEY")
    with pytest.raises(ValueError, match="is not set"):
        Settings().master_key_bytes()


def test_the_state_moves_home_when_the_working_folder_is_closed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))
    monkeypatch.setattr("os.access", lambda *_arguments: False)
    assert default_state_dir().parent == tmp_path / "state" / "fenzhi"

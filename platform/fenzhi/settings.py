"""Settings from the environment (环境配置): every name begins with `FENZHI_`.

Read by the shells only: the commands, the API, the workers and the migrations. Everyone else receives values. A secret
may come from a file instead: `FENZHI_DATABASE_URL_FILE` names a file that holds what `FENZHI_DATABASE_URL` would say.
Setting both is refused, because nobody could tell which one was meant.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import ipaddress
import os
from pathlib import Path
from typing import Any, Literal

from pydantic import Field, SecretStr, field_validator, model_validator
from pydantic.fields import FieldInfo
from pydantic_settings import BaseSettings, PydanticBaseSettingsSource, SettingsConfigDict

from fenzhi.access.issuer_keys import KeyHosts
from fenzhi.access.webhook_hosts import WebhookHosts

PREFIX = "FENZHI_"
SECRETS = ("database_url", "app_database_url", "redis_url", "master_key")
DEVELOPMENT_ISSUER = "fenzhi-development"


class SecretFiles(PydanticBaseSettingsSource):
    """Secrets out of files (文件中的密钥): `FENZHI_<SECRET>_FILE`, trailing line ends dropped."""

    def get_field_value(self, field: FieldInfo, field_name: str) -> tuple[Any, str, bool]:
        path = os.environ.get(f"{PREFIX}{field_name.upper()}_FILE", "")
        if field_name not in SECRETS or not path:
            return None, field_name, False
        if os.environ.get(f"{PREFIX}{field_name.upper()}", ""):
            raise ValueError(f"{PREFIX}{field_name.upper()} and its _FILE are both set; keep one")
        try:
            return Path(path).read_text(encoding="utf-8").rstrip("\r\n"), field_name, False
        except OSError as error:
            raise ValueError(f"{PREFIX}{field_name.upper()}_FILE: {path}: {error.strerror}") from error

    def __call__(self) -> dict[str, Any]:
        found = {name: self.get_field_value(field, name)[0] for name, field in self.settings_cls.model_fields.items()}
        return {name: value for name, value in found.items() if value is not None}


class Settings(BaseSettings):
    """All settings of one process (进程配置). An empty variable counts as unset."""

    model_config = SettingsConfigDict(env_prefix=PREFIX, env_ignore_empty=True, extra="ignore", frozen=True)

    database_url: SecretStr | None = None
    """DSN of the role that owns the schema and runs the migrations (迁移用属主连接). Unset: the embedded server."""
    app_database_url: SecretStr | None = None
    """DSN of the login role `fenzhi_app` (应用连接): owns nothing, no superuser, cannot bypass row level security."""
    redis_url: SecretStr | None = None
    """The doorbell of the jobs (任务提醒). Unset: the embedded server."""
    state_dir: Path = Field(default_factory=lambda: default_state_dir())
    """Where embedded servers, keys, logs and the status file live (状态目录)."""
    wal_archive: Path | None = None
    """Folder in which the embedded server keeps its log for point-in-time restore (日志归档目录). Unset: none is kept."""
    api_host: str = "127.0.0.1"
    api_connections_most: int = Field(default=512, ge=16)
    """Connections that one API process holds (连接数上限); beyond them the one idle longest is closed."""
    api_port: int = Field(default=0, ge=0, le=65535)
    """0: the port of the last run if it is still free, else any free one."""
    master_key: SecretStr | None = None
    """Base64 of 32 random bytes; wraps the tenants' data keys (主密钥). Usually given as FENZHI_MASTER_KEY_FILE."""
    jwt_issuer: str = ""
    """Issuer of access tokens (令牌签发方). Empty: the development issuer, on loopback only."""
    jwt_audience: str = "fenzhi"
    jwt_public_keys: Path | None = None
    """File with the issuer's public keys as a JWK set (公钥集)."""
    jwt_keys_url: str = ""
    """Where the issuer publishes its keys, instead of the file (公钥地址): https, on a host of FENZHI_JWKS_HOSTS."""
    jwks_hosts: tuple[str, ...] = ()
    """Hosts from which issuers' keys may be read (公钥主机白名单), as a JSON list of `host` or `host:port`. No other is ever asked."""
    webhook_hosts: tuple[str, ...] = ()
    """Hosts that events may be sent to (推送主机白名单), as a JSON list of `host` or `host:port`. Empty: no webhook can be registered."""
    webhook_networks: tuple[str, ...] = ()
    """Networks that those hosts may lie in besides public addresses (推送内网白名单), as a JSON list such as ["10.20.0.0/16"]; for a
    closed network or development. Private and loopback addresses outside of them are never connected to."""
    webhook_ca_file: Path | None = None
    """Certificates of authorities, in PEM, that receivers are trusted by besides the machine's (推送证书信任文件)."""
    dev_issuer: bool = True
    """Whether the development issuer may stand in where no issuer is named (开发用签发方)."""
    log_level: str = "INFO"
    worker_concurrency: int = Field(default=2, ge=1, le=64)
    judging_processes: int = Field(default=2, ge=0, le=64)
    """Processes of its own in which a worker judges large batches, best one per processor (判定进程数). 0: it judges them itself."""
    judging_nice: int = Field(default=10, ge=0, le=19)
    """By how much the priority of these processes is lower than the worker's (判定进程优先级降幅), as with nice."""
    worker_lease_s: int = Field(default=15, ge=2, le=300)
    """How long a silent worker keeps a job before another takes it, in seconds (作业租期)."""
    worker_drain_s: int = Field(default=25, ge=0, le=3600)
    """How long a worker that was told to stop lets its jobs end before it hands them back, in seconds (排空时间)."""
    api_drain_s: int = Field(default=5, ge=0, le=60)
    """How long an API process that was told to stop goes on taking requests, while it says that it is not ready (排空时间)."""
    rate_units_per_s: int = Field(default=200_000, ge=1)
    """Cost units that one client of one tenant gets back per second, in each API process (每秒额度)."""
    rate_burst_units: int = Field(default=4_000_000, ge=1)
    """Cost units that such a client may save up (额度上限); a GraphQL document costs at most 50,000."""
    rate_requests_at_once: int = Field(default=128, ge=1)
    """Requests of such a client that one API process carries out at once (并发上限)."""
    persisted_operations: Path | None = None
    """File with operations that may be asked for by SHA-256 (预存操作): a JSON object of hash and document."""
    trusted_operations_only: bool = False
    """Whether everybody but an integration developer needs an operation of that file (仅预存操作)."""
    metrics_host: str = "127.0.0.1"
    """Address of the internal port that Prometheus reads (指标监听地址); in a pod 0.0.0.0, behind a network policy."""
    metrics_port: int | None = Field(default=None, ge=0, le=65534)
    """Internal port of the API's and of the worker's metrics at /metrics (指标端口). Unset: none; `fenzhi up` then takes free
    ones; with a number it gives the worker the next one."""
    otlp_endpoint: str = ""
    """Where traces go by OTLP over HTTP (追踪上报地址), such as http://collector:4318/v1/traces. Empty: nothing is traced."""
    trace_one_in: int = Field(default=1, ge=1)
    """One of how many requests and jobs is traced (追踪抽样)."""
    audit_digest: Literal["sha256", "sm3"] = "sha256"
    """Digest of the audit chain (审计摘要算法): sha256, or sm3 of national cryptography. A chain may change it on its way."""
    audit_anchor_file: Path | None = None
    """File that the worker appends hourly anchors of the audit to (审计锚点文件); best on another machine's disk."""
    required_extensions: tuple[str, ...] = ()
    """Database extensions that must be there (必需扩展), as a JSON list."""

    @field_validator("log_level")
    @classmethod
    def _known_level(cls, value: str) -> str:
        level = value.upper()
        if level not in ("DEBUG", "INFO", "WARNING", "ERROR"):
            raise ValueError("one of DEBUG, INFO, WARNING, ERROR")
        return level

    @field_validator("otlp_endpoint")
    @classmethod
    def _address(cls, value: str) -> str:
        if value and not value.startswith(("http://", "https://")):
            raise ValueError("an http:// or https:// address")
        return value

    @field_validator("webhook_networks")
    @classmethod
    def _known_networks(cls, value: tuple[str, ...]) -> tuple[str, ...]:
        WebhookHosts.of((), value)
        return value

    @field_validator("state_dir")
    @classmethod
    def _absolute(cls, value: Path) -> Path:
        return value.expanduser().absolute()

    @model_validator(mode="after")
    def _whole(self) -> Settings:
        if (
            self.jwt_issuer
            and self.jwt_issuer != DEVELOPMENT_ISSUER
            and not (self.jwt_public_keys or self.jwt_keys_url)
        ):
            raise ValueError(
                "FENZHI_JWT_ISSUER without FENZHI_JWT_PUBLIC_KEYS or FENZHI_JWT_KEYS_URL: no token could be verified"
            )
        if self.jwt_keys_url and self.jwt_public_keys is not None:
            raise ValueError("FENZHI_JWT_KEYS_URL and FENZHI_JWT_PUBLIC_KEYS are both set; keep one")
        if self.jwt_keys_url and not KeyHosts(self.jwks_hosts).allows(self.jwt_keys_url):
            raise ValueError("FENZHI_JWT_KEYS_URL must be https on a host of FENZHI_JWKS_HOSTS")
        if self.trusted_operations_only and self.persisted_operations is None:
            raise ValueError(
                "FENZHI_TRUSTED_OPERATIONS_ONLY without FENZHI_PERSISTED_OPERATIONS: nothing could be asked"
            )
        return self

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,
        dotenv_settings: PydanticBaseSettingsSource,
        file_secret_settings: PydanticBaseSettingsSource,
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        return init_settings, env_settings, SecretFiles(settings_cls)

    def master_key_bytes(self) -> bytes:
        """The master key (主密钥字节). Raises: ValueError when none is set or it is not base64 of 32 bytes."""
        if self.master_key is None:
            raise ValueError("FENZHI_MASTER_KEY or FENZHI_MASTER_KEY_FILE is not set")
        try:
            key = base64.b64decode(self.master_key.get_secret_value(), validate=True)
        except binascii.Error as error:
            raise ValueError("FENZHI_MASTER_KEY is not base64") from error
        if len(key) != 32:
            raise ValueError(f"FENZHI_MASTER_KEY holds {len(key)} bytes, not 32")
        return key

    @property
    def loopback(self) -> bool:
        """Whether the API listens on this machine only (仅本机)."""
        return is_loopback(self.api_host)

    @property
    def external_issuer(self) -> bool:
        """Whether tokens come from somebody else's issuer (外部签发方)."""
        return self.jwt_issuer not in ("", DEVELOPMENT_ISSUER)

    @property
    def development(self) -> bool:
        """Whether development accounts and tokens exist (开发模式): loopback, no external issuer, not switched off."""
        return self.dev_issuer and self.loopback and not self.external_issuer

    @property
    def token_issuer(self) -> str:
        """The one issuer whose tokens are accepted (可信签发方)."""
        return self.jwt_issuer or DEVELOPMENT_ISSUER

    @property
    def token_keys_file(self) -> Path | None:
        """The JWK set to verify tokens with (验签公钥文件); None where nothing can be verified."""
        if self.jwt_public_keys is not None:
            return self.jwt_public_keys
        return self.state_dir / "keys" / "development-issuer.jwks.json" if self.development else None


def is_loopback(host: str) -> bool:
    """Whether `host` is this machine only (本机地址)."""
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host.strip("[]")).is_loopback
    except ValueError:
        return False


def default_state_dir() -> Path:
    """`./.fenzhi`, or a folder under the user's state home when the working folder cannot be written (默认状态目录)."""
    here = Path.cwd()
    if os.access(here / ".fenzhi" if (here / ".fenzhi").exists() else here, os.W_OK):
        return here / ".fenzhi"
    home = Path(os.environ.get("XDG_STATE_HOME") or Path.home() / ".local" / "state")
    return home / "fenzhi" / hashlib.sha256(bytes(here)).hexdigest()[:12]

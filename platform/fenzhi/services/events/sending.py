"""One message to one address (发送消息): the host is resolved once and checked, the connection goes to the checked address only.

TLS is verified against the named host, no redirect is followed, no proxy of the environment is used, the answer's body is not kept.
"""

from __future__ import annotations

import asyncio
import ssl
import time
from collections.abc import Mapping
from dataclasses import dataclass
from urllib.parse import urlsplit

import httpx

from fenzhi.access.webhook_hosts import WebhookHosts

SEND_S = 10.0
"""How long one message may take, from resolving the name to the answer's first line."""


@dataclass(frozen=True, slots=True)
class Sent:
    """How an attempt went (推送结果): `delivered`, or what stood in the way."""

    outcome: str
    status: int | None
    took_ms: int

    @property
    def is_delivered(self) -> bool:
        """Whether the receiver took it."""
        return self.outcome == "delivered"


class AddressRefused(Exception):
    """The host resolves to an address that may not be connected to (解析地址不允许)."""


async def send(hosts: WebhookHosts, url: str, headers: Mapping[str, str], body: bytes, trust: ssl.SSLContext) -> Sent:
    """Send one message (发送). Never raises: whatever goes wrong is an outcome.

    Outcomes: delivered (2xx), http_error, redirect_refused, timed_out, tls_refused, unreachable, address_refused, host_not_allowed.
    """
    began = time.perf_counter()
    status: int | None = None
    try:
        if not hosts.allows(url):
            outcome = "host_not_allowed"
        else:
            async with asyncio.timeout(SEND_S):
                status = await _post(hosts, url, headers, body, trust)
            outcome = _outcome(status)
    except AddressRefused:
        outcome = "address_refused"
    except (TimeoutError, httpx.TimeoutException):
        outcome = "timed_out"
    except (httpx.HTTPError, OSError, httpx.InvalidURL) as exc:
        outcome = "tls_refused" if _is_tls(exc) else "unreachable"
    return Sent(outcome, status, int((time.perf_counter() - began) * 1000))


def _outcome(status: int) -> str:
    if 200 <= status < 300:
        return "delivered"
    return "redirect_refused" if 300 <= status < 400 else "http_error"


def _is_tls(exc: BaseException) -> bool:
    at: BaseException | None = exc
    while at is not None:
        if isinstance(at, ssl.SSLError):
            return True
        at = at.__cause__ or at.__context__
    return False


async def _post(hosts: WebhookHosts, url: str, headers: Mapping[str, str], body: bytes, trust: ssl.SSLContext) -> int:
    parts = urlsplit(url)
    host, port = parts.hostname or "", parts.port or (443 if parts.scheme == "https" else 80)
    address = await _checked_address(hosts, host, port)
    shown = f"[{address}]" if ":" in address else address
    pinned = parts._replace(netloc=f"{shown}:{port}").geturl()
    async with (
        httpx.AsyncClient(verify=trust, follow_redirects=False, trust_env=False, timeout=SEND_S) as client,
        client.stream(
            "POST",
            pinned,
            content=body,
            headers={**headers, "host": parts.netloc},
            extensions={"sni_hostname": host},
        ) as answer,
    ):
        return answer.status_code


async def _checked_address(hosts: WebhookHosts, host: str, port: int) -> str:
    """The address to connect to. Raises: AddressRefused when any the name resolves to is not allowed."""
    found = await asyncio.get_running_loop().getaddrinfo(host, port, type=1)
    addresses = [str(entry[4][0]) for entry in found]
    if not addresses or not all(hosts.reaches(address) for address in addresses):
        raise AddressRefused(host)
    return addresses[0]

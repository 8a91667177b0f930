"""Failed sign-ins (登录失败与锁定): five within fifteen minutes lock an account, or an address, until they are older than that.

The platform sees no passwords: those are the issuer's. What it sees is a token that was never signed, which is the address's failure, and a
genuine token that asks for what its account has not, or for money without a second factor, which is the account's. A genuine token that
has ended or was taken back is nobody's failure: clients hold such tokens honestly.
"""

from __future__ import annotations

import ipaddress
import uuid

from fenzhi.access.scope import AUTHENTICATION_SCOPE
from fenzhi.rules.refusals import FenzhiError
from fenzhi.store.repositories import identity
from fenzhi.store.session import Database, Unavailable

RETRY_AFTER_S = identity.FAILURES_WITHIN_MIN * 60


class LockedOut(FenzhiError):
    """Too many failures of this account or from this address (登录锁定)."""

    code = "LOCKED_OUT"
    http_status = 429

    def __init__(self) -> None:
        minutes = identity.FAILURES_WITHIN_MIN
        super().__init__(
            f"{minutes} 分钟内失败已达 {identity.FAILURES_MOST} 次，暂时锁定。",
            f"{identity.FAILURES_MOST} failures within {minutes} minutes: locked for the time being.",
            hint=f"{minutes} 分钟后重试，或请安全管理员解锁账号 / wait {minutes} minutes, or ask a security administrator to unlock",
        )
        self.retry_after_s = RETRY_AFTER_S


def address_key(host: str) -> str:
    """What failures from a client address are counted by (客户端地址): the IPv4 address, or the /64 of an IPv6 address."""
    try:
        address = ipaddress.ip_address(host)
    except ValueError:
        return host[:100] or "unknown"
    if address.version == 6:
        mapped = address.ipv4_mapped
        return str(mapped) if mapped else str(ipaddress.ip_network((address, 64), strict=False))
    return str(address)


async def note_account_failure(database: Database, account_id: str, reason: str) -> None:
    """Count a failure against an account (账号失败计数)."""
    async with database.unit_of_work(AUTHENTICATION_SCOPE) as uow:
        await identity.note_failure(uow, account_id=uuid.UUID(account_id), address=None, reason=reason)


async def note_address_failure(database: Database, address: str, reason: str) -> bool:
    """Count a failure against an address (地址失败计数); whether it is locked by now.

    The caller refuses the token whether or not the failure can be counted: without a database nobody signs in anyway.
    """
    try:
        async with database.unit_of_work(AUTHENTICATION_SCOPE) as uow:
            failures = await identity.note_failure(uow, account_id=None, address=address, reason=reason[:100])
    except Unavailable:
        return False
    return failures >= identity.FAILURES_MOST

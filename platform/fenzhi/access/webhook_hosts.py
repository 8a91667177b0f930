"""Where messages may be sent (推送地址白名单): named hosts, public addresses, and such networks as the operator allows."""

from __future__ import annotations

import ipaddress
from dataclasses import dataclass, field

from fenzhi.access.issuer_keys import KeyHosts

Network = ipaddress.IPv4Network | ipaddress.IPv6Network


@dataclass(frozen=True, slots=True)
class WebhookHosts:
    """Hosts and networks that messages may go to (推送白名单); nothing else is ever connected to.

    A private, loopback or otherwise special address is refused even for a named host, unless it lies in `networks`: the operator names
    there what a closed network or a development machine needs.
    """

    hosts: tuple[str, ...] = ()
    networks: tuple[Network, ...] = field(default=())

    @staticmethod
    def of(hosts: tuple[str, ...], networks: tuple[str, ...]) -> WebhookHosts:
        """From settings (由配置取得). Raises: ValueError for what is no network."""
        return WebhookHosts(hosts, tuple(ipaddress.ip_network(one) for one in networks))

    def allows(self, url: str) -> bool:
        """Whether a URL may be registered (地址是否允许): https on a named host, or http on a named loopback."""
        return KeyHosts(self.hosts).allows(url)

    def reaches(self, address: str) -> bool:
        """Whether a resolved address may be connected to (解析后的地址是否允许)."""
        try:
            found = ipaddress.ip_address(address.partition("%")[0])
        except ValueError:
            return False
        mapped = getattr(found, "ipv4_mapped", None)
        if mapped is not None:
            found = mapped
        if any(found.version == network.version and found in network for network in self.networks):
            return True
        return found.is_global and not (found.is_multicast or found.is_reserved or found.is_unspecified)

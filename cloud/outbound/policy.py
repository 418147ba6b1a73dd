"""Where one may call: what a URL may look like, and which addresses its name may lead to."""

import re
from collections.abc import Collection, Iterable
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address, ip_network

import httpx
import msgspec

from protocols.errors import RefuseInput

Address = IPv4Address | IPv6Address
Network = IPv4Network | IPv6Network

# IANA's registries of special-purpose addresses, and what else is nobody's public server.
_FORBIDDEN_4 = [
    IPv4Network(text)
    for text in (
        "0.0.0.0/8",
        "10.0.0.0/8",
        "100.64.0.0/10",  # carrier-grade NAT; a cloud's metadata, too
        "127.0.0.0/8",
        "168.63.129.16/32",  # a cloud's own services, at an address that looks public
        "169.254.0.0/16",
        "172.16.0.0/12",
        "192.0.0.0/24",
        "192.0.2.0/24",
        "192.31.196.0/24",
        "192.52.193.0/24",
        "192.88.99.0/24",  # 6to4 relays
        "192.168.0.0/16",
        "192.175.48.0/24",
        "198.18.0.0/15",
        "198.51.100.0/24",
        "203.0.113.0/24",
        "224.0.0.0/4",
        "240.0.0.0/4",
    )
]
_PUBLIC_6 = IPv6Network("2000::/3")
"""All that is given out; loopback, local, multicast, mapped IPv4 and NAT64 lie outside."""
_FORBIDDEN_6 = [
    IPv6Network(text)
    for text in (
        "2001::/23",  # protocol assignments: Teredo, ORCHID, benchmarks
        "2001:db8::/32",
        "2002::/16",  # 6to4: leads to an IPv4 address
        "2620:4f:8000::/48",
        "3fff::/20",
    )
]
_LABEL = r"[a-z0-9_](?:[a-z0-9_-]{0,61}[a-z0-9_])?"
_NAME = re.compile(rf"(?:{_LABEL}\.)*{_LABEL}\.?\Z")
_NUMBER = re.compile(r"(?:[0-9]+|0x[0-9a-f]*)\Z")
"""A last label of this kind is an address in some spelling: 127.1, 0x7f000001, 2130706433."""
URL_CHARS_MAX = 2_000


class Policy(msgspec.Struct, frozen=True):
    """What a site allows beyond public addresses, and at which ports."""

    ports: frozenset[int] = frozenset({80, 443})
    networks: tuple[Network, ...] = ()
    """The site's own, that may be called although they are not public."""
    hosts: frozenset[str] = frozenset()
    """Names in lower case that may be called wherever they lead."""


def read_policy(ports: Iterable[int], allowed: Iterable[str]) -> Policy:
    """Read the settings; `allowed` holds addresses, networks and names.

    Raises:
        ValueError: one is none of these.

    """
    networks: list[Network] = []
    hosts: set[str] = set()
    for text in allowed:
        try:
            networks.append(ip_network(text))
        except ValueError:
            name = text.lower().rstrip(".")
            if "/" in text or not _is_name(name):
                expected = "an address, a network without host bits, or a name"
                raise ValueError(f"{expected}; found {text!r}") from None
            hosts.add(name)
    return Policy(frozenset(ports), tuple(networks), frozenset(hosts))


def check_url(policy: Policy, url: httpx.URL) -> str:
    """Return the host to look up, without a dot at its end.

    Raises:
        RefuseInput: `bad_address`.

    """
    if url.scheme not in ("http", "https"):
        raise _refused("expected http or https")
    if url.userinfo:
        raise _refused("a URL carries no user or password")
    if port_of(url) not in policy.ports:
        raise _refused(f"port {port_of(url)} is not one that may be called")
    return check_host(url.raw_host.decode("ascii"))


def check_host(text: str) -> str:
    """Return a host to look up, in lower case and without a dot at its end.

    Raises:
        RefuseInput: `bad_address`.

    """
    host = text.lower()
    if _read_address(host) is None and not _is_name(host):
        raise _refused("expected a name, or an address in its usual spelling")
    return host.removesuffix(".")


def check_text(text: str) -> httpx.URL:
    """Read a URL that came from outside.

    Raises:
        RefuseInput: `bad_address`.

    """
    if len(text) > URL_CHARS_MAX or not text.isprintable() or re.search(r"[\s\\]", text):
        raise _refused("expected a URL without spaces, backslashes or control characters")
    try:
        url = httpx.URL(text)
        url.host  # noqa: B018  # of international names: decoded only when looked at
    except (httpx.InvalidURL, UnicodeError):
        raise _refused("expected a URL") from None
    return url


def check_addresses(policy: Policy, host: str, found: Collection[str]) -> list[str]:
    """Return the addresses that the host was found at; all of them, or it is refused.

    What lies behind is not told: the answer must not map a network for who asks.

    Raises:
        RefuseInput: `bad_address`.

    """
    if host not in policy.hosts and not all(_may(policy, text) for text in found):
        raise _refused("that leads to an address that may not be called")
    return [text for text in dict.fromkeys(found) if _read_address(text)]


def port_of(url: httpx.URL) -> int:
    """Return the port, also one that goes without saying."""
    if url.port is not None:
        return url.port
    return 443 if url.scheme == "https" else 80


def is_public(address: Address) -> bool:
    """Tell whether an address can be that of a public server."""
    if isinstance(address, IPv4Address):
        return not any(address in network for network in _FORBIDDEN_4)
    return address in _PUBLIC_6 and not any(address in network for network in _FORBIDDEN_6)


def _may(policy: Policy, text: str) -> bool:
    address = _read_address(text)
    if address is None:
        return False
    return is_public(address) or any(address in network for network in policy.networks)


def _read_address(text: str) -> Address | None:
    """Read an address in its usual spelling; one with a zone is none."""
    try:
        return None if "%" in text else ip_address(text)
    except ValueError:
        return None


def _is_name(text: str) -> bool:
    last = text.removesuffix(".").rpartition(".")[2]
    return len(text) <= 253 and bool(_NAME.match(text)) and not _NUMBER.match(last)


def _refused(why: str) -> RefuseInput:
    return RefuseInput("bad_address", why)

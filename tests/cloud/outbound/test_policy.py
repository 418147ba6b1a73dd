"""Where one may call: every spelling of an address that is not a public server's is refused."""

import ipaddress

import httpx
import pytest
from hypothesis import given
from hypothesis import strategies as st

from cloud.outbound.policy import (
    Policy,
    check_addresses,
    check_text,
    check_url,
    is_public,
    read_policy,
)
from protocols.errors import RefuseInput

PUBLIC = Policy()
INSIDE = [
    "127.0.0.1",
    "127.255.1.2",
    "10.0.0.1",
    "172.16.0.1",
    "172.31.255.255",
    "192.168.1.1",
    "169.254.169.254",
    "100.64.0.1",
    "100.100.100.200",
    "168.63.129.16",
    "0.0.0.0",
    "224.0.0.1",
    "255.255.255.255",
    "198.18.0.1",
    "192.0.2.1",
    "::",
    "::1",
    "fe80::1",
    "fec0::1",
    "fc00::1",
    "fd00:ec2::254",
    "ff02::1",
    "::ffff:8.8.8.8",
    "::ffff:127.0.0.1",
    "::127.0.0.1",
    "64:ff9b::7f00:1",
    "64:ff9b:1::1",
    "2001:0:4136:e378::1",
    "2001:db8::1",
    "2002:7f00:1::",
    "2002:808:808::1",
    "3fff::1",
    "5f00::1",
    "100::1",
]
OUTSIDE = ["8.8.8.8", "1.1.1.1", "93.184.215.14", "2606:4700::1111", "240e::1", "2a00:1450::1"]


def refused(policy: Policy, url: str) -> bool:
    """Tell whether a URL, or where it plainly leads, is refused."""
    try:
        host = check_url(policy, check_text(url))
        try:
            ipaddress.ip_address(host)
        except ValueError:
            return False  # a name: what it leads to is checked after the look-up
        check_addresses(policy, host, [host])
    except RefuseInput as error:
        return error.reason == "bad_address"
    return False


def spelled(address: str) -> str:
    return f"[{address}]" if ":" in address else address


@pytest.mark.parametrize("address", INSIDE)
def test_address_inside_is_refused_written_or_found(address: str) -> None:
    assert refused(PUBLIC, f"http://{spelled(address)}/")
    with pytest.raises(RefuseInput, match="may not be called"):
        check_addresses(PUBLIC, "example.org", ["8.8.8.8", address])


@pytest.mark.parametrize("address", OUTSIDE)
def test_address_outside_is_taken(address: str) -> None:
    assert not refused(PUBLIC, f"https://{spelled(address)}/")
    assert check_addresses(PUBLIC, "example.org", [address, address]) == [address]


@pytest.mark.parametrize(
    "host",
    [
        "127.1",
        "127.0.1",
        "0",
        "2130706433",
        "017700000001",
        "0177.0.0.1",
        "0x7f000001",
        "0x7f.0.0.1",
        "0X7F.1",
        "0x",
        "127.0.0.0x1",
        "127.0.0.1.",
        "1.2.3.4.5",
        "256.256.256.256",
        "127.0.0.1%00.example.org",
        "%31%32%37.0.0.1",
        "１２７.0.0.1",
        "127。0。0。1",
        "①②⑦.0.0.1",
        "[::1%25lo]",
        "[::1]x",
        "[::ffff:7f00:1]",
        "[0:0:0:0:0:ffff:127.0.0.1]",
        "user@example.org",
        "user:password@127.0.0.1",
        "example.org\\@127.0.0.1",
        "127.0.0.1\\.example.org",
        "example.org\t",
        "exam\nple.org",
        "a..b",
        "-a.example",
        "",
        "a" * 64 + ".org",
        ("a" * 60 + ".") * 5 + "org",
        "xn--a",
        "example.org:22",
        "example.org:0",
        "example.org:99999",
        "example.org:6379",
    ],
)
def test_host_in_a_trick_spelling_is_refused(host: str) -> None:
    assert refused(PUBLIC, f"http://{host}/")


@pytest.mark.parametrize(
    "url",
    [
        "ftp://example.org/",
        "file:///etc/passwd",
        "gopher://example.org/",
        "//example.org/",
        "/path",
        "http:example.org",
        "http:///example.org",
        "javascript:alert(1)",
        "",
        "http://example.org/" + "a" * 2_000,
    ],
)
def test_what_is_no_http_url_is_refused(url: str) -> None:
    assert refused(PUBLIC, url)


@pytest.mark.parametrize(
    ("url", "host"),
    [
        ("https://example.org/x?y=1#z", "example.org"),
        ("HTTP://EXAMPLE.ORG.:80/", "example.org"),
        ("https://例子.中国/", "xn--fsqu00a.xn--fiqs8s"),
        ("http://a_b.example.org/", "a_b.example.org"),
        ("http://[2606:4700::1111]:443/", "2606:4700::1111"),
    ],
)
def test_url_of_a_name_is_taken(url: str, host: str) -> None:
    assert check_url(PUBLIC, check_text(url)) == host


@given(st.ip_addresses())
def test_no_address_is_public_that_python_knows_is_not(
    address: ipaddress.IPv4Address | ipaddress.IPv6Address,
) -> None:
    if is_public(address):
        assert address.is_global
        assert not address.is_multicast
        assert not address.is_reserved


@given(st.sampled_from(INSIDE), st.integers(0, 5))
def test_every_way_to_write_an_inner_ipv4_address_is_refused(address: str, way: int) -> None:
    if ":" in address:
        return
    number = int(ipaddress.IPv4Address(address))
    a, b, c, d = number.to_bytes(4, "big")
    ways = [
        str(number),
        hex(number),
        f"0{number:o}",
        f"{a:#x}.{b:#x}.{c:#x}.{d:#x}",
        f"0{a:o}.0{b:o}.0{c:o}.0{d:o}",
        f"{a}.{(b << 16) + (c << 8) + d}",
    ]
    assert refused(PUBLIC, f"http://{ways[way]}/")


@given(st.text(max_size=40))
def test_any_text_is_a_url_or_refused(text: str) -> None:
    for url in (text, f"http://{text}/", f"https://example.org/{text}"):
        refused(PUBLIC, url)


@given(st.ip_addresses(v=4))
def test_ipv4_inside_ipv6_is_never_taken(address: ipaddress.IPv4Address) -> None:
    number = int(address)
    for shell in (number, 0xFFFF << 32 | number, 0x64FF9B << 96 | number, 0x2002 << 112 | number):
        assert not is_public(ipaddress.IPv6Address(shell))


def test_own_networks_and_names_may_be_allowed() -> None:
    policy = read_policy([443, 8443], ["10.1.0.0/16", "127.0.0.1", "Login.City.internal."])
    assert check_addresses(policy, "a.example", ["10.1.2.3"]) == ["10.1.2.3"]
    assert check_addresses(policy, "login.city.internal", ["192.168.1.1"]) == ["192.168.1.1"]
    assert check_url(policy, httpx.URL("https://login.city.internal:8443/"))
    for host, address in [
        ("a.example", "10.2.0.1"),
        ("a.example", "127.0.0.2"),
        ("a.example", "::ffff:127.0.0.1"),
        ("x.login.city.internal", "192.168.1.1"),
    ]:
        with pytest.raises(RefuseInput):
            check_addresses(policy, host, [address])
    with pytest.raises(RefuseInput, match="port 80"):
        check_url(policy, httpx.URL("http://login.city.internal/"))


@pytest.mark.parametrize("text", ["10.1.0.1/16", "10.0.0.0/33", "a b", "http://x", "*.city", "1.2"])
def test_what_cannot_be_allowed_is_told(text: str) -> None:
    with pytest.raises(ValueError, match="found"):
        read_policy([443], [text])

"""Calling out, against servers that do what no decent server does."""

import asyncio
import gzip
import itertools
import ssl
import time
from collections.abc import Sequence
from pathlib import Path

import pytest

from cloud.outbound.caller import REDIRECTS_MAX, Caller
from cloud.outbound.policy import read_policy
from cloud.outbound.transport import Resolve, look_up
from protocols.errors import RefuseInput, RetryLater
from tests.support.certificates import issue, make_authority
from tests.support.raw_http import Handler, raw_server, says

BYTES_MAX = 64 * 1024


def caller(
    *ports: int,
    resolve: Resolve = look_up,
    timeout_s: float = 5,
    ca_file: Path | None = None,
    allowed: Sequence[str] = ("127.0.0.1",),
) -> Caller:
    return Caller(
        read_policy(ports, allowed),
        timeout_s=timeout_s,
        answer_bytes_max=BYTES_MAX,
        ca_file=ca_file,
        resolve=resolve,
    )


def finds(*answers: Sequence[str]) -> tuple[Resolve, list[str]]:
    """Return a resolver that gives one answer after the other, and the names it was asked for."""
    asked: list[str] = []
    turns = itertools.chain(answers, itertools.repeat(answers[-1]))

    async def resolve(host: str, _port: int) -> Sequence[str]:
        asked.append(host)
        return next(turns)

    return resolve, asked


def redirects(*where: str, status: str = "302 Found") -> Handler:
    """Return a handler that leads to one place after the other, then answers."""
    turns = iter(where)

    async def answer(head: bytes, writer: asyncio.StreamWriter) -> None:
        there = next(turns, None)
        if there is None:
            await says(b"arrived")(head, writer)
        else:
            await says(b"", status=status, headers=f"Location: {there}\r\n")(head, writer)

    return answer


async def test_answer_comes_whole_with_its_status() -> None:
    async with raw_server(says(b"{}", status="404 Not Found", headers="X-A: b\r\n")) as server:
        answer = await caller(server.port).fetch(f"http://127.0.0.1:{server.port}/x?y=z")
    assert (answer.status, answer.body, answer.headers["x-a"]) == (404, b"{}", "b")
    assert server.paths() == ["/x?y=z"]
    assert b"accept-encoding: identity" in server.heads[0].lower()


async def test_loopback_is_refused_before_anybody_is_called() -> None:
    async with raw_server(says(b"secret")) as server:
        closed = caller(server.port, allowed=())
        for host in ("127.0.0.1", "localhost", "localhost."):
            with pytest.raises(RefuseInput) as caught:
                await closed.fetch(f"http://{host}:{server.port}/")
            assert caught.value.reason == "bad_address"
            assert "127.0.0.1" not in caught.value.detail
    assert server.heads == []


async def test_name_that_leads_inside_is_refused_also_beside_a_public_address() -> None:
    async with raw_server(says(b"secret"), host="127.0.0.2") as server:
        resolve, asked = finds(["127.0.0.1", "127.0.0.2"])
        with pytest.raises(RefuseInput, match="may not be called"):
            await caller(server.port, resolve=resolve).fetch(f"http://a.example:{server.port}/")
    assert asked == ["a.example"]
    assert server.heads == []


async def test_rebinding_name_is_looked_up_once_and_that_address_called() -> None:
    async with (
        raw_server(says(b"public")) as public,
        raw_server(says(b"secret"), host="127.0.0.2", port=public.port) as inside,
    ):
        resolve, asked = finds(["127.0.0.1"], ["127.0.0.2"])
        calling, url = caller(public.port, resolve=resolve), f"http://a.example:{public.port}/"
        assert (await calling.fetch(url)).body == b"public"
        assert asked == ["a.example"]
        assert f"Host: a.example:{public.port}".encode() in public.heads[0]
        with pytest.raises(RefuseInput, match="may not be called"):
            await calling.fetch(url)
    assert inside.heads == []


async def test_redirect_to_a_name_that_was_rebound_is_refused() -> None:
    async with raw_server(redirects("/again")) as server:
        resolve, asked = finds(["127.0.0.1"], ["127.0.0.2"])
        with pytest.raises(RefuseInput, match="may not be called"):
            await caller(server.port, resolve=resolve).fetch(f"http://a.example:{server.port}/")
    assert asked == ["a.example", "a.example"]


@pytest.mark.parametrize(
    "target",
    [
        "http://127.0.0.2:{port}/",
        "http://127.0.0.1:22/",
        "http://2130706433:{port}/",
        "http://[::1]:{port}/",
        "file:///etc/passwd",
        "ftp://127.0.0.1/",
        "http://u:p@127.0.0.1:{port}/",
        "//169.254.169.254/latest",
        "http://xn--a/",
        "http://[",
    ],
)
async def test_redirect_is_checked_anew(target: str) -> None:
    calls: list[str] = []

    async def answer(head: bytes, writer: asyncio.StreamWriter) -> None:
        there = target.format(port=server.port)
        await says(b"", status="307 Temporary", headers=f"Location: {there}\r\n")(head, writer)

    async with raw_server(answer) as server:
        with pytest.raises((RefuseInput, RetryLater)) as caught:
            await caller(server.port).fetch(f"http://127.0.0.1:{server.port}/")
        calls = server.paths()
    assert calls == ["/"]
    assert "169.254" not in str(caught.value)


async def test_three_redirects_are_followed_and_no_fourth() -> None:
    for count in (REDIRECTS_MAX, REDIRECTS_MAX + 1):
        places = [f"/{number}" for number in range(count)]
        async with raw_server(redirects(*places)) as server:
            fetching = caller(server.port).fetch(f"http://127.0.0.1:{server.port}/start")
            if count == REDIRECTS_MAX:
                assert (await fetching).body == b"arrived"
            else:
                with pytest.raises(RefuseInput, match="more than 3 redirects"):
                    await fetching
        assert len(server.heads) == REDIRECTS_MAX + 1


async def test_redirect_elsewhere_takes_no_credential_along_and_no_cookie_is_kept() -> None:
    async with raw_server(says(b"other")) as other:
        there = f"http://b.example:{other.port}/"
        headers = f"Location: {there}\r\nSet-Cookie: a=b; Domain=example\r\n"
        async with raw_server(says(b"", status="302 Found", headers=headers)) as first:
            resolve, _ = finds(["127.0.0.1"])
            calling = caller(first.port, other.port, resolve=resolve)
            await calling.fetch(
                f"http://a.example:{first.port}/", headers={"Authorization": "Bearer secret"}
            )
            await calling.fetch(f"http://a.example:{first.port}/")
    assert b"secret" in first.heads[0]
    assert not any(b"secret" in head for head in other.heads)
    assert b"ookie" not in first.heads[1]


async def test_post_follows_no_redirect() -> None:
    async with raw_server(redirects("/elsewhere", status="307 Temporary")) as server:
        answer = await caller(server.port).fetch(
            f"http://127.0.0.1:{server.port}/", method="POST", content=b"secret=1"
        )
    assert answer.status == 307
    assert server.paths() == ["/"]


async def test_huge_body_is_refused_announced_or_not() -> None:
    sent = 0

    async def endless(_head: bytes, writer: asyncio.StreamWriter) -> None:
        nonlocal sent
        writer.write(b"HTTP/1.1 200 OK\r\n\r\n")
        while sent < 2**30:
            writer.write(b"x" * 65_536)
            await writer.drain()
            sent += 65_536

    async def announced(_head: bytes, writer: asyncio.StreamWriter) -> None:
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 99999999999\r\n\r\n")
        await writer.drain()

    async def chunked(_head: bytes, writer: asyncio.StreamWriter) -> None:
        writer.write(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n")
        for _ in range(100):
            writer.write(b"10000\r\n" + b"x" * 65_536 + b"\r\n")
            await writer.drain()

    for handler in (endless, announced, chunked):
        async with raw_server(handler) as server:
            with pytest.raises(RefuseInput, match="more than 65536 bytes"):
                await caller(server.port).fetch(f"http://127.0.0.1:{server.port}/")
    assert sent < 2**24  # it ended when the caller let go


@pytest.mark.parametrize("encoding", ["gzip", "deflate", "br", "zstd", "gzip, gzip", "unheard-of"])
async def test_packed_answer_is_never_unpacked(encoding: str) -> None:
    bomb = gzip.compress(b"\0" * 20_000_000)
    assert len(bomb) < BYTES_MAX
    async with raw_server(says(bomb, headers=f"Content-Encoding: {encoding}\r\n")) as server:
        with pytest.raises(RefuseInput) as caught:
            await caller(server.port).fetch(f"http://127.0.0.1:{server.port}/")
    assert caught.value.reason == "bad_answer"


async def test_slow_server_costs_no_more_than_the_time_allowed() -> None:
    async def silent(_head: bytes, _writer: asyncio.StreamWriter) -> None:
        await asyncio.sleep(30)

    async def drip_head(_head: bytes, writer: asyncio.StreamWriter) -> None:
        for letter in b"HTTP/1.1 200 OK\r\n" * 100:
            writer.write(bytes([letter]))
            await asyncio.sleep(0.1)

    async def drip_body(_head: bytes, writer: asyncio.StreamWriter) -> None:
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\n")
        for _ in range(1_000):
            writer.write(b"x")
            await asyncio.sleep(0.1)

    for handler in (silent, drip_head, drip_body):
        async with raw_server(handler) as server:
            started = time.monotonic()
            with pytest.raises(RetryLater, match=r"within 0\.5 s"):
                await caller(server.port, timeout_s=0.5).fetch(f"http://127.0.0.1:{server.port}/")
            assert time.monotonic() - started < 2


async def test_slow_look_up_counts_as_time_too() -> None:
    async def never(_host: str, _port: int) -> Sequence[str]:
        await asyncio.sleep(30)
        return []

    with pytest.raises(RetryLater, match="within"):
        await caller(80, resolve=never, timeout_s=0.3).fetch("http://a.example/")


@pytest.mark.parametrize(
    "bytes_", [b"", b"SSH-2.0-x\r\n", b"HTTP/1.1 200 OK\r\nA: " + b"x" * 200_000, b"\0" * 100]
)
async def test_what_is_no_http_is_an_error_to_try_again(bytes_: bytes) -> None:
    async def answer(_head: bytes, writer: asyncio.StreamWriter) -> None:
        writer.write(bytes_)

    async with raw_server(answer) as server:
        with pytest.raises(RetryLater):
            await caller(server.port).fetch(f"http://127.0.0.1:{server.port}/")


async def test_nobody_there_is_an_error_to_try_again() -> None:
    async with raw_server(says(b"")) as server:
        port = server.port
    with pytest.raises(RetryLater, match="cannot be reached"):
        await caller(port).fetch(f"http://127.0.0.1:{port}/")
    resolve, _ = finds([])
    with pytest.raises(RetryLater, match="is not found"):
        await caller(80, resolve=resolve).fetch("http://a.example/")


async def test_second_address_is_tried_when_the_first_is_dead() -> None:
    async with raw_server(says(b"here")) as server:
        resolve, _ = finds(["127.0.0.3", "127.0.0.1"])
        calling = caller(server.port, resolve=resolve, allowed=["127.0.0.0/8"])
        assert (await calling.fetch(f"http://a.example:{server.port}/")).body == b"here"


async def test_certificate_must_be_the_names_not_the_addresses(tmp_path: Path) -> None:
    make_authority(tmp_path)
    issue(tmp_path, "server")  # good for 127.0.0.1 and localhost
    tls = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    tls.load_cert_chain(tmp_path / "server.crt", tmp_path / "server.key")
    resolve, _ = finds(["127.0.0.1"])
    async with raw_server(says(b"mine"), tls=tls) as server:
        known = caller(server.port, resolve=resolve, ca_file=tmp_path / "ca.crt")
        for host in ("localhost", "127.0.0.1"):
            answer = await known.fetch(f"https://{host}:{server.port}/")
            assert answer.body == b"mine"
        with pytest.raises(RetryLater):
            await known.fetch(f"https://other.example:{server.port}/")
        with pytest.raises(RetryLater):
            await caller(server.port).fetch(f"https://127.0.0.1:{server.port}/")


async def test_redirect_from_https_to_http_is_refused(tmp_path: Path) -> None:
    make_authority(tmp_path)
    issue(tmp_path, "server")
    tls = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    tls.load_cert_chain(tmp_path / "server.crt", tmp_path / "server.key")
    async with raw_server(says(b"plain")) as plain:
        headers = f"Location: http://127.0.0.1:{plain.port}/\r\n"
        async with raw_server(says(b"", status="302 Found", headers=headers), tls=tls) as server:
            calling = caller(server.port, plain.port, ca_file=tmp_path / "ca.crt")
            with pytest.raises(RefuseInput, match="from https to http"):
                await calling.fetch(f"https://127.0.0.1:{server.port}/")
    assert plain.heads == []


async def test_environment_names_no_proxy(monkeypatch: pytest.MonkeyPatch) -> None:
    async with raw_server(says(b"proxy")) as proxy, raw_server(says(b"direct")) as server:
        for name in ("http_proxy", "HTTP_PROXY", "all_proxy", "ALL_PROXY"):
            monkeypatch.setenv(name, f"http://127.0.0.1:{proxy.port}")
        answer = await caller(server.port).fetch(f"http://127.0.0.1:{server.port}/")
    assert answer.body == b"direct"
    assert proxy.heads == []

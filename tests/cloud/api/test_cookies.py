"""Names of cookies behind TLS, on their way out and back."""

import pytest
from starlette.types import Message, Receive, Scope, Send

from cloud.api.cookies import HostCookies


async def through(
    cookie: bytes, set_cookie: bytes, *, scheme: str = "https", base_url: str = ""
) -> tuple[bytes, bytes]:
    """Return the cookies as the application sees them, and what the browser is told to set."""
    seen: list[bytes] = []
    told: list[bytes] = []

    async def app(scope: Scope, _receive: Receive, send: Send) -> None:
        seen.extend(value for name, value in scope["headers"] if name == b"cookie")
        headers = [(b"set-cookie", set_cookie), (b"x", b"suyuan_a=b")]
        await send({"type": "http.response.start", "status": 200, "headers": headers})

    async def send(message: Message) -> None:
        told.extend(value for name, value in message["headers"] if name == b"set-cookie")

    async def receive() -> Message:
        raise AssertionError

    scope = {"type": "http", "scheme": scheme, "headers": [(b"cookie", cookie)]}
    await HostCookies(app, base_url=base_url)(scope, receive, send)
    return seen[0], told[0]


@pytest.mark.parametrize(
    ("sent", "seen"),
    [
        (b"__Host-suyuan_session=a", b"suyuan_session=a"),
        (b"suyuan_session=a", b""),
        (b"suyuan_session=a; __Host-suyuan_session=b", b"suyuan_session=b"),
        (b"__Host-suyuan_session=b;suyuan_session=a; x=y", b"suyuan_session=b; x=y"),
        (b"__host-suyuan_session=a", b"__host-suyuan_session=a"),
        (b"__Host-__Host-suyuan_session=a", b"__Host-suyuan_session=a"),
        (b"", b""),
        (b";;=;", b"; ; =; "),
    ],
)
async def test_only_the_prefixed_cookie_is_taken(sent: bytes, seen: bytes) -> None:
    assert (await through(sent, b""))[0] == seen


@pytest.mark.parametrize(
    ("made", "told"),
    [
        (b"suyuan_a=b; Path=/", b"__Host-suyuan_a=b; Path=/; Secure"),
        (b"suyuan_a=b; Path=/; Secure", b"__Host-suyuan_a=b; Path=/; Secure"),
        (b'suyuan_a=""; Max-Age=0; Path=/', b'__Host-suyuan_a=""; Max-Age=0; Path=/; Secure'),
        (b"other=b", b"other=b"),
    ],
)
async def test_our_cookies_leave_with_the_prefix(made: bytes, told: bytes) -> None:
    assert (await through(b"", made))[1] == told
    assert (await through(b"", made, scheme="http", base_url="https://a.example"))[1] == told
    assert (await through(b"", made, scheme="http"))[1] == made


async def test_plain_http_is_left_alone() -> None:
    assert (await through(b"suyuan_a=b", b"", scheme="http"))[0] == b"suyuan_a=b"

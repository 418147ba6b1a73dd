"""A person at a page."""

from collections.abc import Mapping
from urllib.parse import urlsplit

import msgspec

from cloud.model.principal import Principal


class Session(msgspec.Struct, frozen=True, kw_only=True):
    """An open session."""

    id: str
    """Names it to its owner; it opens nothing."""
    cookie: str
    principal: Principal
    csrf: str
    opened_at: int
    """ms since 1970."""

    def __repr__(self) -> str:
        """Leave the secrets out."""
        return f"Session({self.id})"

    @property
    def by(self) -> str:
        """How this person is written into records."""
        return self.principal.by


class Pending(msgspec.Struct, frozen=True):
    """A password was right, and the second factor is asked for."""

    token: str
    """Comes back with the code."""


class Browser(msgspec.Struct, frozen=True):
    """From where somebody shows a password or a code."""

    address: str
    known: str = ""
    """The cookie of a browser by which an account came in before."""

    def __repr__(self) -> str:
        """Leave the cookie out."""
        return f"Browser({self.address})"


def own_hosts(headers: Mapping[str, str], base_url: str) -> set[str]:
    """Return the hosts, with ports, at which pages of this service stand."""
    return {headers.get("host", ""), urlsplit(base_url).netloc} - {""}


def browser_of(host: str | None, cookies: Mapping[str, str]) -> Browser:
    """Return it as a request tells it."""
    return Browser(host or "", cookies.get(KNOWN_COOKIE, ""))


SESSION_COOKIE = "suyuan_session"
KNOWN_COOKIE = "suyuan_known"
CSRF_HEADER = "x-csrf-token"

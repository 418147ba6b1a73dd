"""What others may ask of the resolver, as a small Protocol and frozen types."""

from collections.abc import Mapping, Sequence
from typing import Literal, Protocol

from msgspec import Struct, structs

from cloud.model.database import Work
from cloud.model.principal import Scope
from protocols.codes.registry import SchemeRegistry

Role = Literal["", "default", "default_multi"]
VOCABULARY = "https://ref.gs1.org/voc/"
"""Namespace of GS1's link types; written `gs1:` for short."""


class Link(Struct, frozen=True, kw_only=True):
    """One thing that is told of another, elsewhere."""

    type: str
    """Full address of the link type."""
    href: str
    title: str
    languages: tuple[str, ...] = ()
    """BCP 47."""
    media_type: str | None = None
    context: tuple[str, ...] = ()
    """Words that an asking application may give, such as a country."""
    role: Role = ""
    """`default`: followed where nothing better is asked for, one of an anchor at most;
    `default_multi`: instead of it, where language or media type asked for are its own."""


class Level(Struct, frozen=True):
    """A thing or one of the wider things that it is one of, with its links."""

    anchor: str
    links: Sequence[Link]


class Asked(Struct, frozen=True, kw_only=True):
    """What is asked of the resolver."""

    link_type: str | None = None
    """Full address; None: the default link."""
    languages: Sequence[str] = ()
    """The most wanted first."""
    media_types: Sequence[str] = ()
    """The most wanted first, without those that stand for any."""
    context: str | None = None


class Redirect(Struct, frozen=True):
    """Follow this one."""

    link: Link


class Choices(Struct, frozen=True):
    """Several are equally good."""

    links: Sequence[Link]


Answer = Redirect | Choices | None
"""None: there is no link of this type."""


class AnchorLinks(Struct, frozen=True):
    """All links of an anchor, and who put them."""

    anchor: str
    organisation: str
    updated_at: int
    links: Sequence[Link]


class Prefix(Struct, frozen=True):
    """A GS1 company prefix, and the organisation that has it."""

    prefix: str
    organisation: str
    updated_at: int


class Resolver(Protocol):
    """Links by what they hang on."""

    async def levels(self, paths: Sequence[str]) -> list[Level]:
        """Return the links of these anchors, in their order; also of those without any."""
        ...

    def decide(self, levels: Sequence[Level], asked: Asked, otherwise: Link) -> Answer:
        """Pick a link; `otherwise` is followed where nothing is asked for and nothing default."""
        ...

    async def put(
        self,
        anchor: str,
        links: Sequence[Link],
        *,
        organisation: str,
        also: Sequence[Work] = (),
    ) -> AnchorLinks:
        """Put all links of an anchor in place of those that were there; durable on return.

        Raises:
            RefuseInput: `quota_reached`: the organisation has links on too many anchors.

        """
        ...

    async def find(self, scope: Scope, *, after: str = "", limit: int) -> list[AnchorLinks]:
        """Return the anchors that organisations of the scope put links on, by anchor."""
        ...

    async def holder(self, digits: str) -> Prefix | None:
        """Return the longest registered prefix that digits begin with."""
        ...

    async def prefixes(self, *, after: str = "", limit: int) -> list[Prefix]:
        """Return registered prefixes, by prefix."""
        ...

    async def put_prefix(
        self, prefix: str, organisation: str, *, also: Sequence[Work] = ()
    ) -> Prefix:
        """Write who has a prefix; durable on return."""
        ...

    async def drop_prefix(self, prefix: str, *, also: Sequence[Work] = ()) -> None:
        """Forget a prefix; RefuseInput `not_found`."""
        ...


class Codes(Struct, frozen=True):
    """All that is known of codes."""

    schemes: SchemeRegistry
    links: Resolver


def linkset(
    levels: Sequence[Level], otherwise: Link, titles: Mapping[str, str], root: str
) -> dict[str, list[dict[str, object]]]:
    """Write links as a linkset (RFC 9264); one of them at least is the default.

    Args:
        levels: the most exact first.
        otherwise: what is followed where no level has a default link, and the one link of its type
            where no level has another: then it is told with the first level.
        titles: description of each anchor.
        root: what anchors stand behind, such as `https://trace.example`.

    """
    links = [link for level in levels for link in level.links]
    has_default = any(link.role == "default" for link in links)
    first, *others = levels
    if not (has_default and any(link.type == otherwise.type for link in links)):
        own = structs.replace(otherwise, role="" if has_default else "default")
        first = Level(first.anchor, [*first.links, own])
    told = [level for level in (first, *others) if level.links]
    return {"linkset": [_context(level, titles[level.anchor], root) for level in told]}


def _context(level: Level, title: str, root: str) -> dict[str, object]:
    found: dict[str, list[dict[str, object]]] = {}
    for link in level.links:
        found.setdefault(link.type, []).append(_target(link))
        if link.role == "default":
            found[f"{VOCABULARY}defaultLink"] = [{"href": link.href, "title": link.title}]
        elif link.role == "default_multi":
            found.setdefault(f"{VOCABULARY}defaultLinkMulti", []).append(_target(link))
    return {"anchor": f"{root}{level.anchor}", "itemDescription": title, **found}


def _target(link: Link) -> dict[str, object]:
    optional = {
        "type": link.media_type,
        "hreflang": list(link.languages),
        "context": list(link.context),
    }
    told = {name: value for name, value in optional.items() if value}
    return {"href": link.href, "title": link.title, **told}

"""Which link answers a request; a pure function (GS1-Conformant resolver standard 1.2)."""

from collections.abc import Callable, Sequence

from cloud.trace.resolver.base import VOCABULARY, Answer, Asked, Choices, Level, Link, Redirect

DEFAULTS = (f"{VOCABULARY}defaultLink", f"{VOCABULARY}defaultLinkMulti")


def decide(levels: Sequence[Level], asked: Asked, otherwise: Link) -> Answer:
    """Pick a link of the most exact level that has one of the type asked for.

    Args:
        levels: the most exact first.
        asked: what is asked for.
        otherwise: followed where the default is asked for and no level has one; it is also the one
            link of its own type where no level has another.

    """
    if asked.link_type is None or asked.link_type in DEFAULTS:
        return Redirect(_default(levels, asked) or otherwise)
    for level in levels:
        found = [link for link in level.links if link.type == asked.link_type]
        if found:
            found = _best(found, asked)
            return Redirect(found[0]) if len(found) == 1 else Choices(found)
    return Redirect(otherwise) if otherwise.type == asked.link_type else None


def _default(levels: Sequence[Level], asked: Asked) -> Link | None:
    for level in levels:
        multi = [link for link in level.links if link.role == "default_multi"]
        fitting = _best([link for link in multi if _wanted(link, asked)], asked)
        if len(fitting) == 1:
            return fitting[0]
        for link in level.links:
            if link.role == "default":
                return link
    return None


def _wanted(link: Link, asked: Asked) -> bool:
    """Tell whether something that is asked for is this link's own."""
    return (
        asked.context in link.context
        or any(_speaks(link, one) for one in asked.languages)
        or any(_is_of(link, one) for one in asked.media_types)
    )


def _best(links: list[Link], asked: Asked) -> list[Link]:
    """Narrow links by context, language and media type, each only as far as some are left."""
    if asked.context is not None:
        links = _some(links, lambda link: asked.context in link.context)
    else:
        links = _some(links, lambda link: not link.context)
    links = _first(links, asked.languages, _speaks)
    return _first(links, asked.media_types, _is_of)


def _first(
    links: list[Link], wishes: Sequence[str], fits: Callable[[Link, str], bool]
) -> list[Link]:
    """Keep those of the first wish that any of them fulfils."""
    for wish in wishes:
        found = [link for link in links if fits(link, wish)]
        if found:
            return found
    return links


def _some(links: list[Link], fits: Callable[[Link], bool]) -> list[Link]:
    return [link for link in links if fits(link)] or links


def _speaks(link: Link, language: str) -> bool:
    """Tell whether a link is in a language; `zh` and `zh-CN` are, each for the other."""
    wanted = f"{language}-".lower()
    own = [f"{one}-".lower() for one in link.languages]
    return any(one.startswith(wanted) or wanted.startswith(one) for one in own)


def _is_of(link: Link, media_type: str) -> bool:
    own = (link.media_type or "").lower()
    wanted = media_type.lower()
    return own == wanted or (wanted.endswith("/*") and own.startswith(wanted[:-1]))

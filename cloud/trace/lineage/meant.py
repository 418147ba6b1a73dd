"""Which things texts mean: identifiers, codes, or assets."""

from collections.abc import Collection, Mapping, Sequence

from protocols.codes.epc_uri import canonical_id
from protocols.codes.recognise import recognise
from protocols.codes.registry import SchemeRegistry
from protocols.errors import RefuseInput

MEANT_MAX = 10


def meant(text: str, registry: SchemeRegistry) -> tuple[str, ...]:
    """Return the identifiers that a text may stand for, the surest first; at least one.

    An identifier, also of another service, stands for itself alone.
    """
    own = canonical_id(text)
    if "://" in text or text[:4].lower() == "urn:":
        return (own,)
    try:
        found = recognise(text, registry)[:MEANT_MAX]
    except RefuseInput:
        return (own,)
    ids = [one.link or registry.id_of(one.scheme, one.code) for one in found]
    return tuple(dict.fromkeys([*ids, own]))


def chosen(may_be: Mapping[str, Sequence[str]], known: Collection[str]) -> tuple[str, ...]:
    """Return the one identifier of each text that is known; else its surest.

    Raises:
        RefuseInput: `ambiguous`: several are known, and all of them are told.

    """
    ids = []
    for text, some in may_be.items():
        found = [one for one in some if one in known]
        if len(found) > 1:
            expected = "expected a text that means one thing"
            raise RefuseInput("ambiguous", f"{expected}, {text[:80]!r} may be {', '.join(found)}")
        ids.append(found[0] if found else some[0])
    return tuple(dict.fromkeys(ids))

"""Words and names in the one form that events are indexed by."""

from collections.abc import Mapping

from protocols.epcis.standard import Standard


def canonical_word(
    standard: Standard, list_id: str, text: str, namespaces: Mapping[str, str]
) -> str:
    """Return a value of one of the standard's lists as a full name, any other as it stands."""
    values = standard.lists[list_id]
    return values.by_word.get(text) or values.judge(text, namespaces).canonical


def expand_name(text: str, namespaces: Mapping[str, str]) -> str:
    """Return the full name of `prefix:name`; any other as it stands."""
    prefix, colon, name = text.partition(":")
    return namespaces[prefix] + name if colon and prefix in namespaces else text

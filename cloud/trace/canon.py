"""Words and identifiers in the one form that events are indexed by."""

from collections.abc import Mapping

CBV = "https://ref.gs1.org/cbv/"
MEASUREMENT = "https://gs1.org/voc/"
FAMILIES: Mapping[str, tuple[str, str]] = {
    "bizStep": (f"{CBV}BizStep-", "urn:epcglobal:cbv:bizstep:"),
    "disposition": (f"{CBV}Disp-", "urn:epcglobal:cbv:disp:"),
    "bizTransaction": (f"{CBV}BTT-", "urn:epcglobal:cbv:btt:"),
    "party": (f"{CBV}SDT-", "urn:epcglobal:cbv:sdt:"),
    "reason": (f"{CBV}ER-", "urn:epcglobal:cbv:er:"),
    "measurement": (MEASUREMENT, "urn:epcglobal:cbv:mt:"),
}
"""Where the standard values of a vocabulary are, and how EPCIS 1.x writes them (CBV 2.0, 7)."""


def canonical_word(family: str, text: str, namespaces: Mapping[str, str]) -> str:
    """Return a vocabulary value as a full web address, any other as it stands."""
    web, urn = FAMILIES[family]
    if ":" not in text:
        return web + text
    if text.startswith(urn):
        return web + text[len(urn) :]
    prefix, _, name = text.partition(":")
    if prefix in namespaces:
        return namespaces[prefix] + name
    if prefix == "cbv":
        return CBV + name
    return MEASUREMENT + name if prefix == "gs1" else text


def expand_name(text: str, namespaces: Mapping[str, str]) -> str:
    """Return the full name of `prefix:name`; any other as it stands."""
    prefix, colon, name = text.partition(":")
    return namespaces[prefix] + name if colon and prefix in namespaces else text

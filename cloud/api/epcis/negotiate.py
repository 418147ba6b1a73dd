"""What a caller asks for by headers, and whether this service can give it: pure functions.

EPCIS 2.0, section 8.1: versions by GS1-EPCIS-* and GS1-CBV-*, formats by GS1-EPC-Format and
GS1-CBV-XML-Format, media types by Accept and Content-Type.
"""

import re
from collections.abc import Mapping, Sequence
from typing import Literal, TypeVar, get_args

from starlette.requests import HTTPConnection

from cloud.trace.base import CbvXmlFormat, EpcFormat
from protocols.errors import RefuseInput

EPCIS_VERSION = CBV_VERSION = "2.0.0"
EPCIS_MIN = CBV_MIN = "1.2.0"
"""Of documents that are captured; what leaves is of the versions above."""
EPC_FORMATS: tuple[EpcFormat, ...] = get_args(EpcFormat)
CBV_XML_FORMATS: tuple[CbvXmlFormat, ...] = get_args(CbvXmlFormat)
IN_ADDRESS = (
    *("gs1-epcis-min", "gs1-epcis-max", "gs1-epcis-version"),
    *("gs1-cbv-min", "gs1-cbv-max", "gs1-cbv-version"),
    *("gs1-epc-format", "gs1-cbv-xml-format"),
)
"""Headers that may stand in the address of a WebSocket."""
Media = Literal["application/json", "application/ld+json", "application/xml"]
JSON_OR_XML: tuple[Media, ...] = ("application/json", "application/ld+json", "application/xml")
JSON: tuple[Media, ...] = ("application/json", "application/ld+json")
Word = TypeVar("Word", bound=str)
_VERSION = re.compile(r"[0-9]{1,6}(?:\.[0-9]{1,6}){0,3}")
_SAME = {"text/xml": "application/xml"}


def asked_by(connection: HTTPConnection) -> Mapping[str, str]:
    """Return the headers of a call, names in lower case.

    For a WebSocket they may stand in the address: a page can set none.
    """
    headers = dict(connection.headers)
    if connection.scope["type"] == "websocket":
        asked = ((name.lower(), text) for name, text in connection.query_params.items())
        headers |= {name: text for name, text in asked if name in IN_ADDRESS}
    return headers


def check_versions(headers: Mapping[str, str]) -> None:
    """Refuse a caller whose versions and ours do not meet; the third number says nothing.

    Args:
        headers: of the request, names in lower case.

    Raises:
        RefuseInput: `not_acceptable`.

    """
    for kind, ours, oldest in (
        ("epcis", EPCIS_VERSION, EPCIS_MIN),
        ("cbv", CBV_VERSION, CBV_MIN),
    ):
        least = _version(headers, f"gs1-{kind}-min")
        most = _version(headers, f"gs1-{kind}-max")
        given = _version(headers, f"gs1-{kind}-version")
        mine = _read(ours)
        too_new = least is not None and least > mine
        too_old = most is not None and most < mine
        unknown = given is not None and not _read(oldest) <= given <= mine
        if too_new or too_old or unknown:
            detail = f"{kind.upper()}: expected versions that meet {oldest} to {ours}"
            raise RefuseInput("not_acceptable", detail)


def epc_format(headers: Mapping[str, str]) -> EpcFormat:
    """Return how EPCs are to be written; without the header as GS1 Digital Links."""
    return _one_of(headers, "GS1-EPC-Format", EPC_FORMATS, "Always_GS1_Digital_Link")


def cbv_xml_format(headers: Mapping[str, str]) -> CbvXmlFormat:
    """Return how vocabulary values are to be written in XML."""
    return _one_of(headers, "GS1-CBV-XML-Format", CBV_XML_FORMATS, "No_Preference")


def choose_media(accept: str, offered: Sequence[Media]) -> Media:
    """Return the media type that Accept likes best (RFC 9110, 12.5.1), the first among equals.

    Raises:
        RefuseInput: `not_acceptable`: none of them.

    """
    ranges = [_media_range(part) for part in accept.split(",") if part.strip()]
    if not ranges:
        return offered[0]
    best = max(offered, key=lambda one: _liked(ranges, one))
    if _liked(ranges, best) == 0:
        expected = ", ".join(offered)
        raise RefuseInput("not_acceptable", f"Accept: expected {expected}; found {accept[:200]!r}")
    return best


def given_media(content_type: str, taken: Sequence[Media]) -> Media:
    """Return the media type of a body.

    Raises:
        RefuseInput: `unsupported_media_type`.

    """
    name, _, parameters = content_type.partition(";")
    name = name.strip().lower()
    name = _SAME.get(name, name)
    charset = re.search(r"charset\s*=\s*\"?([^\s;\"]+)", parameters, re.IGNORECASE)
    found = next((one for one in taken if one == name), None)
    if found is None or (charset and charset[1].lower() not in ("utf-8", "us-ascii")):
        expected = f"{', '.join(taken)}, in UTF-8"
        detail = f"Content-Type: expected {expected}; found {content_type[:200]!r}"
        raise RefuseInput("unsupported_media_type", detail)
    return found


def _version(headers: Mapping[str, str], name: str) -> tuple[int, ...] | None:
    text = headers.get(name)
    if text is None:
        return None
    if not _VERSION.fullmatch(text.strip()):
        raise RefuseInput("not_acceptable", f"{name}: expected a version, found {text[:200]!r}")
    return _read(text)


def _read(text: str) -> tuple[int, ...]:
    numbers = [int(part) for part in text.strip().split(".")]
    return (*numbers, 0)[:2]


def _one_of(headers: Mapping[str, str], name: str, allowed: Sequence[Word], default: Word) -> Word:
    text = headers.get(name.lower(), default).strip()
    for one in allowed:
        if one == text:
            return one
    raise RefuseInput(
        "not_acceptable", f"{name}: expected {', '.join(allowed)}; found {text[:200]!r}"
    )


def _media_range(part: str) -> tuple[str, float]:
    name, *parameters = (piece.strip().lower() for piece in part.split(";"))
    quality = 1.0
    for one in parameters:
        if one.startswith("q="):
            found = re.fullmatch(r"(0(\.[0-9]{0,3})?|1(\.0{0,3})?)", one[2:])
            quality = float(found[0]) if found else 0.0
    return _SAME.get(name, name), quality


def _liked(ranges: Sequence[tuple[str, float]], media: str) -> float:
    """Return the quality that the most specific range gives a media type, 0 for refused."""
    liked = dict(reversed(ranges))
    for name in (media, f"{media.partition('/')[0]}/*", "*/*"):
        if name in liked:
            return liked[name]
    return 0.0

"""CAP 1.2 documents (OASIS, 1 July 2010), elements in the order of its schema."""

import re
from collections.abc import Sequence
from datetime import datetime, tzinfo
from typing import Literal

from lxml import etree
from msgspec import Struct

from cloud.feed.cap.base import CapKind
from cloud.feed.cap.words import Words
from cloud.feed.items import Item
from cloud.feed.words import FeedWords, Language

CAP = "urn:oasis:names:tc:emergency:cap:1.2"
LANGUAGES: tuple[tuple[Language, str], ...] = (("zh", "zh-CN"), ("en", "en-US"))
GEOCODE = "GB/T 2260"
_NO_XML = re.compile("[^\t\n\r -\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")
Status = Literal["Actual", "Exercise", "Test"]


class Reference(Struct, frozen=True):
    """A message that was really issued."""

    identifier: str
    sent_at: int


class Message(Struct, frozen=True, kw_only=True):
    """All that a document says."""

    identifier: str
    sender: str
    sender_name: str
    sent_at: int
    status: Status
    kind: CapKind
    item: Item
    references: Sequence[Reference] = ()
    web: str = ""


def identifier_of(item: Item) -> str:
    """Return the identifier of an item's message: unique, and always the same."""
    return f"suyuan-{item.event}-{item.about.id}-{item.offset}"


def moment(ms: int, zone: tzinfo) -> str:
    """Write a time as CAP wants it: whole seconds, an offset, never Z."""
    local = datetime.fromtimestamp(ms // 1_000, zone)
    text = local.isoformat(timespec="seconds")
    return f"{text[:-6]}-00:00" if text.endswith("+00:00") else text


def write(message: Message, words: Words, said: FeedWords, zone: tzinfo) -> etree._Element:
    """Build a document."""
    alert = etree.Element(f"{{{CAP}}}alert", nsmap={None: CAP})
    _add(alert, "identifier", message.identifier)
    _add(alert, "sender", message.sender)
    _add(alert, "sent", moment(message.sent_at, zone))
    _add(alert, "status", message.status)
    _add(alert, "msgType", message.kind)
    _add(alert, "scope", "Restricted")
    _add(alert, "restriction", words.restriction)
    if message.status != "Actual":
        _add(alert, "note", "演练，无需处置 · An exercise: nothing has happened")
    if message.references:
        told = [
            f"{message.sender},{one.identifier},{moment(one.sent_at, zone)}"
            for one in message.references
        ]
        _add(alert, "references", " ".join(told))
    if message.item.about.number:
        _add(alert, "incidents", message.item.about.number)
    for language, tag in LANGUAGES:
        described = _description(message.item, said, language)
        _info(alert, message, words, zone, (language, tag, described))
    return alert


def _info(
    alert: etree._Element,
    message: Message,
    words: Words,
    zone: tzinfo,
    told_in: tuple[Language, str, str],
) -> None:
    """Add what is told in one language: (ours, CAP's tag of it, what happened)."""
    language, tag, described = told_in
    item, about = message.item, message.item.about
    graded = words.severities[about.severity]
    info = etree.SubElement(alert, f"{{{CAP}}}info")
    _add(info, "language", tag)
    _add(info, "category", graded.category)
    _add(info, "event", item.title(language))
    response = "Execute" if item.urgent else "Monitor"
    _add(info, "responseType", "AllClear" if message.kind == "Cancel" else response)
    _add(info, "urgency", "Past" if message.kind == "Cancel" else graded.urgency)
    _add(info, "severity", graded.severity)
    _add(info, "certainty", graded.certainty)
    _add(info, "effective", moment(message.sent_at, zone))
    _add(info, "onset", moment(item.started_at, zone))
    expires = message.sent_at + round(words.expires_h * 3_600_000)
    _add(info, "expires", moment(expires, zone))
    _add(info, "senderName", message.sender_name)
    _add(info, "headline", f"{item.title(language)} {item.place.name or about.asset}")
    _add(info, "description", described)
    told = words.instruction
    zh = language == "zh"
    pair = (told.emergency_zh, told.emergency) if item.urgent else (told.other_zh, told.other)
    _add(info, "instruction", pair[0] if zh else pair[1])
    if message.web:
        _add(info, "web", message.web)
    for name in ("asset", "alert", "state", "change", "evidence", "level", "people"):
        value = getattr(about, name)
        if value is not None:
            parameter = etree.SubElement(info, f"{{{CAP}}}parameter")
            _add(parameter, "valueName", f"suyuan:{name}")
            _add(parameter, "value", str(value))
    _area(info, item, words)


def _description(item: Item, said: FeedWords, language: Language) -> str:
    about, place = item.about, item.place
    zh = language == "zh"
    where = " ".join(filter(None, (place.district, place.address))) or about.asset
    state, change = said.state(about.state, language), said.change(about.change, language)
    parts = [where, f"状态：{state}（{change}）" if zh else f"State: {state} ({change})"]
    if about.people:
        parts.append(f"被困 {about.people} 人" if zh else f"{about.people} trapped")
    return ("；" if zh else "; ").join(parts)


def _area(info: etree._Element, item: Item, words: Words) -> None:
    place = item.place
    area = etree.SubElement(info, f"{{{CAP}}}area")
    named = " ".join(filter(None, (place.district, place.address, place.name)))
    _add(area, "areaDesc", named or item.about.asset)
    if place.latitude is not None and place.longitude is not None:
        at = f"{place.latitude:.6f},{place.longitude:.6f}"
        _add(area, "circle", f"{at} {words.radius_km:g}")
    if place.division:
        geocode = etree.SubElement(area, f"{{{CAP}}}geocode")
        _add(geocode, "valueName", GEOCODE)
        _add(geocode, "value", place.division[:6])


def _add(parent: etree._Element, name: str, text: str) -> None:
    """Add a text, without what XML cannot hold."""
    etree.SubElement(parent, f"{{{CAP}}}{name}").text = _NO_XML.sub("", text)

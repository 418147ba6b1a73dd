"""What a tag says: its own number, and what a layout finds in its memory."""

from edge.sources.base import Recognised, TagSeen
from protocols.records import Code


def recognise_tag(seen: TagSeen) -> Recognised:
    """Tell the codes of a tag; a number of the chip itself always counts, its memory only whole."""
    codes = []
    if seen.uid:
        codes.append(Code("tag_uid", seen.uid.hex().upper()))
    findings = () if seen.complete else ("incomplete_read",)
    return Recognised(tuple(codes), findings)

"""What a bar code says; what cannot be told stays as scanned, and nothing is guessed."""

from edge.sources.base import Recognised
from protocols.records import Code


def recognise_text(raw: bytes) -> Recognised:
    """Tell the codes of one scan."""
    return Recognised((Code("raw", raw.decode("utf-8", "backslashreplace")[:4096]),))

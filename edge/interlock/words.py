"""What the worker is told where the rules of cylinders have no words: `interlock/words.toml`."""

from pathlib import Path
from typing import Annotated, Literal, get_args

from msgspec import Meta, Struct

from edge.interlock.base import Blocked, Trouble
from protocols.border import load_toml
from protocols.catalog.files import data_files
from protocols.errors import Fault, FixConfiguration

Text = Annotated[str, Meta(min_length=1, max_length=300)]


class Words(Struct, frozen=True, kw_only=True):
    """What something is called, and what the worker does about it."""

    id: str
    title: Text
    title_zh: Text
    do: Text
    do_zh: Text


class WordBook(Struct, frozen=True, kw_only=True):
    """All of them."""

    schema: Literal[1]
    troubles: tuple[Words, ...]
    blocked: tuple[Words, ...]


def load_words(overlay: Path | None) -> WordBook:
    """Read the words of the page.

    Raises:
        FixConfiguration: one is missing, or of nothing.

    """
    ((path, _),) = data_files("interlock", overlay)
    book = load_toml(path, WordBook)
    faults: list[Fault] = []
    for key, words, ids in (
        ("troubles", book.troubles, get_args(Trouble)),
        ("blocked", book.blocked, get_args(Blocked)),
    ):
        found = sorted(one.id for one in words)
        if found != sorted(ids):
            faults.append(Fault(str(path), key, ", ".join(sorted(ids)), ", ".join(found)))
    if faults:
        raise FixConfiguration(faults)
    return book

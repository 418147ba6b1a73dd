"""The words of alarms and rescues for people, as firmware_config/receivers/words.toml says."""

from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Literal

import msgspec
from msgspec import Meta

from protocols.border import load_toml
from protocols.catalog.files import data_root

FILE = Path("receivers", "words.toml")
Text = Annotated[str, Meta(min_length=1, max_length=100)]
Language = Literal["zh", "en"]


class Pair(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """One word in both languages."""

    en: Text
    zh: Text


class FeedWords(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Of states, and of what changed; a word that is not here is told as it stands in the feed."""

    schema: Literal[1]
    states: Mapping[str, Pair]
    changes: Mapping[str, Pair]

    def state(self, word: str, language: Language) -> str:
        """Return the words of a state."""
        return _said(self.states, word, language)

    def change(self, word: str, language: Language) -> str:
        """Return the words of a change."""
        return _said(self.changes, word, language)


def load_feed_words(overlay: Path | None = None) -> FeedWords:
    """Read the site's words, else those that are shipped; FixConfiguration with all faults."""
    own = overlay / FILE if overlay else None
    return load_toml(own if own and own.is_file() else data_root() / FILE, FeedWords)


def _said(pairs: Mapping[str, Pair], word: str, language: Language) -> str:
    pair = pairs.get(word)
    if pair is None:
        return word
    return pair.zh if language == "zh" else pair.en

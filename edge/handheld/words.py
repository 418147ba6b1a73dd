"""The words of the screens: one data file per language, with the same keys."""

import tomllib
from functools import lru_cache
from pathlib import Path
from typing import Literal

FOLDER = Path(__file__).parent / "texts"
Language = Literal["zh", "en"]


class Words:
    """The words of one language."""

    def __init__(self, language: Language, words: dict[str, str]) -> None:
        self.language, self._words = language, words

    def __call__(self, key: str, **values: object) -> str:
        """Return a text with its values filled in; KeyError when there is none."""
        return self._words[key].format(**values)

    def find(self, key: str, otherwise: str, **values: object) -> str:
        """Return the text of a word that comes from data, else `otherwise`."""
        return self._words[key].format(**values) if key in self._words else otherwise

    def title(self, one: object) -> str:
        """Return the title that a data file holds in both languages."""
        return str(getattr(one, "title_zh" if self.language == "zh" else "title"))


@lru_cache(maxsize=4)
def load_words(language: Language) -> Words:
    """Read the words of a language."""
    text = (FOLDER / f"{language}.toml").read_text(encoding="utf-8")
    return Words(language, tomllib.loads(text))

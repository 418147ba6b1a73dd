"""The words of the pages: one data file per language, all with the same keys."""

import tomllib
from functools import lru_cache
from pathlib import Path
from typing import Any

FOLDER = Path(__file__).parent / "texts"
LANGUAGES = ("zh", "en")


class Texts:
    """The words of one language."""

    def __init__(self, language: str, words: dict[str, str]) -> None:
        self.language = language
        self._words = words

    def __call__(self, key: str, **values: object) -> str:
        """Return the text of `key` with `{name}` filled in; KeyError when there is none."""
        return self._words[key].format(**values) if values else self._words[key]

    def find(self, key: str, otherwise: str) -> str:
        """Return the text of a key that comes from data, such as a word a rule uses."""
        return self._words.get(key, otherwise)

    def of(self, struct: object, name: str) -> str:
        """Return a text that a data file holds in both languages, as `title` and `title_zh`."""
        return str(getattr(struct, f"{name}_zh" if self.language == "zh" else name))

    def keys(self) -> frozenset[str]:
        """Return all keys."""
        return frozenset(self._words)


@lru_cache(maxsize=8)
def load_texts(language: str) -> Texts:
    """Read the words of one of LANGUAGES."""
    data = tomllib.loads((FOLDER / f"{language}.toml").read_text(encoding="utf-8"))
    return Texts(language, dict(_flat("", data)))


def _flat(prefix: str, data: dict[str, Any]) -> list[tuple[str, str]]:
    """Join the keys of nested tables with dots."""
    found: list[tuple[str, str]] = []
    for key, value in data.items():
        found += (
            _flat(f"{prefix}{key}.", value) if isinstance(value, dict) else [(prefix + key, value)]
        )
    return found

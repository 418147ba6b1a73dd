"""Values of the Core Business Vocabulary: bare words, compact and full names, as one full name."""

from collections.abc import Mapping
from functools import cached_property
from typing import NamedTuple

from msgspec import Struct

from protocols.epcis.values import URI, is_scheme

_CBV = "https://ref.gs1.org/cbv/"
_DRAFTS = ("https://ns.gs1.org/cbv/", "http://ns.gs1.org/cbv/")
_URN = "urn:epcglobal:cbv:"


class Judged(NamedTuple):
    """A value as it is indexed, and what is wrong with it."""

    canonical: str
    rule: str | None = None
    expected: str = ""


class ValueList(Struct, frozen=True, kw_only=True, dict=True):
    """One list of standard values."""

    id: str
    about: str
    document: str
    namespace: str
    """With the word behind it: the full name."""
    urn: str | None = None
    """With the word behind it: the name in the XML binding before 2.0."""
    values: tuple[str, ...]

    @cached_property
    def by_word(self) -> dict[str, str]:
        """Full name by bare word."""
        return {word: self.namespace + word for word in self.values}

    def judge(self, text: str, namespaces: Mapping[str, str]) -> Judged:
        """Judge a value that is no bare word of the list."""
        prefix, colon, local = text.partition(":")
        if not colon:
            expected = f"a standard value of {self.id}, or the address of another"
            return Judged(text, "unknown_word", expected)
        if text.startswith((_URN, *_DRAFTS)):
            return self._old_form(text)
        if prefix in namespaces and not local.startswith("//"):
            return self._full(namespaces[prefix] + local)
        if not URI.fullmatch(text):
            return Judged(text, "bad_uri", "an absolute URI")
        if not is_scheme(prefix) and not local.startswith("//"):
            return Judged(text, "odd_scheme", "a declared prefix or a known URI scheme")
        return self._full(text)

    def _full(self, text: str) -> Judged:
        if text.startswith(self.namespace):
            word = text.removeprefix(self.namespace)
            if word in self.by_word:
                return Judged(text, "full_name", f"the bare word {word}")
        if text.startswith((self.namespace, _CBV)):
            return Judged(text, "unknown_standard_value", f"a value of {self.id} in CBV 2.0")
        return Judged(text)

    def _old_form(self, text: str) -> Judged:
        """Read a URN, or an address of a draft of the standard."""
        word = text.rpartition(":")[2] if text.startswith(_URN) else text.rpartition("-")[2]
        full = self.by_word.get(word)
        expected = f"the bare word {word}" if full else f"a standard value of {self.id}"
        return Judged(full or text, "vocabulary_form", expected)

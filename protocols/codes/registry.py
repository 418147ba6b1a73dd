"""The schemes of codes and what is known around them, ready to be asked."""

import re
from collections.abc import Mapping, Sequence
from functools import cached_property
from urllib.parse import quote

from protocols.catalog.divisions import Divisions, Doubt
from protocols.catalog.schemes import Form, Found, Matcher, Scheme, holds
from protocols.codes.element_strings import Elements
from protocols.errors import RefuseInput
from protocols.records import Code


class SchemeRegistry:
    """Schemes by id, the divisions that their codes may hold, and where this service is."""

    def __init__(
        self, schemes: Mapping[str, Scheme], divisions: Divisions, *, base_url: str = ""
    ) -> None:
        self.schemes, self.divisions = schemes, divisions
        self._ids = f"{base_url.rstrip('/')}/id/" if base_url else "urn:suyuan:id:"
        self.plain = Matcher(schemes.values(), ("gateway", "asked"))
        """What may be told of a plain text by whoever can be shown several."""
        self._forms = {
            scheme.id: [(form, re.compile(form.pattern, re.ASCII)) for form in scheme.forms]
            for scheme in schemes.values()
        }

    @cached_property
    def labelled(self) -> Sequence[Scheme]:
        """Schemes whose codes stand on a label of several lines."""
        return [scheme for scheme in self.schemes.values() if scheme.label]

    @cached_property
    def _gs1(self) -> Sequence[Scheme]:
        """Schemes of GS1 keys, the most exact first: of one thing, of a lot, of a kind."""
        order = ("instance", "place", "party", "lot", "class")
        found = [scheme for scheme in self.schemes.values() if scheme.gs1]
        return sorted(found, key=lambda one: (-len(one.gs1), order.index(one.granularity)))

    def named(self, scheme: str, code: str) -> Found:
        """Return a code of a scheme that is known by other means, as the scheme writes it.

        Raises:
            RefuseInput: `unknown_scheme`; `bad_code`: it is not as the scheme's codes are.

        """
        if scheme not in self._forms:
            raise RefuseInput("unknown_scheme", f"{scheme[:40]!r}")
        for form, pattern in self._forms[scheme]:
            match = pattern.fullmatch(code)
            if match is not None and holds(form, match):
                return Found(scheme, _written(form, code), form, match.groupdict(""))
        about = "; or ".join(form.about for form, _ in self._forms[scheme])
        raise RefuseInput("bad_code", f"{scheme}: expected {about}, found {code[:80]!r}")

    def id_of(self, scheme: str, code: str) -> str:
        """Return what identifies a thing that has no key of GS1's: its address at this service.

        Without a `base_url` it is a URN, which cannot be followed.
        """
        between = "/" if self._ids.endswith("/") else ":"
        return f"{self._ids}{quote(scheme, safe='')}{between}{quote(code, safe='')}"

    def keys(self, elements: Elements) -> list[list[Code]]:
        """Return the keys of elements; of each key the most exact code first, then wider ones."""
        values = {one.ai: one.value for one in elements}
        found: dict[str, list[Code]] = {}
        for scheme in self._gs1:
            if values.keys() >= set(scheme.gs1):
                code = Code(scheme.id, ".".join(values[ai] for ai in scheme.gs1))
                found.setdefault(scheme.gs1[0], []).append(code)
        return [found[ai] for ai in values if ai in found]

    def doubts(self, scheme: str, fields: Mapping[str, str]) -> tuple[Doubt, ...]:
        """Return what is strange about the divisions that a code holds."""
        told = [
            self.divisions.doubt(fields[field.name])
            for field in self.schemes[scheme].fields
            if field.division and fields.get(field.name)
        ]
        return tuple(dict.fromkeys(one for one in told if one is not None))


def _written(form: Form, code: str) -> str:
    return code.rjust(form.width or 0, "0")

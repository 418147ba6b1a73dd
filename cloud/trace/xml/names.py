"""Names in XML and in the JSON binding: namespaces and prefixes, and what XML cannot write."""

import re
from collections.abc import Mapping

from protocols.epcis.contexts import PREFIXES_MAX
from protocols.epcis.values import is_scheme
from protocols.errors import RefuseInput

EVENT_NAMESPACES = ("urn:epcglobal:epcis:xsd:2", "urn:epcglobal:epcis:xsd:1")
QUERY_NAMESPACES = ("urn:epcglobal:epcis-query:xsd:2", "urn:epcglobal:epcis-query:xsd:1")
HEADER_NAMESPACE = "http://www.unece.org/cefact/namespaces/StandardBusinessDocumentHeader"
XSI = "http://www.w3.org/2001/XMLSchema-instance"
XSD = "http://www.w3.org/2001/XMLSchema"
_NOT_DECLARED = frozenset(
    {*EVENT_NAMESPACES, *QUERY_NAMESPACES, HEADER_NAMESPACE, XSI, XSD, "urn:epcglobal:xsd:1"}
)
_JSON_FORMS = {"urn:epcglobal:cbv:mda": "urn:epcglobal:cbv:mda:"}
"""Namespaces that the JSON binding writes so that name behind namespace is the full name."""
_XML_FORMS = {json: xml for xml, json in _JSON_FORMS.items()}
_BAD_CHARACTER = re.compile("[^\t\n\r\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")
_NAME_START = r"A-Z_a-z\xc0-\xd6\xd8-\xf6\xf8-\u02ff\u0370-\u037d\u037f-\u1fff\u200c\u200d"
_NAME_MORE = r"\u2070-\u218f\u2c00-\u2fef\u3001-\ud7ff\uf900-\ufdcf\ufdf0-\ufffd"
_NOT_IN_NAME = re.compile(
    f"^[^{_NAME_START}{_NAME_MORE}]|[^{_NAME_START}{_NAME_MORE}0-9.\\-\xb7]|_(?=x[0-9A-F]{{4,6}}_)"
)
_ESCAPED = re.compile("_x([0-9A-F]{4,6})_")


class Prefixes:
    """Finds for each namespace of a document the prefix that names in JSON begin with."""

    def __init__(self, standard: Mapping[str, str]) -> None:
        self._standard = standard
        self._by_namespace = {namespace: prefix for prefix, namespace in standard.items()}
        self.declared: dict[str, str] = {}
        """Namespace by prefix, of those that the EPCIS context does not declare."""
        self.as_written: dict[str, str] = {}
        """Namespace by prefix, all, each as the XML has it."""

    def declare(self, prefix: str | None, namespace: str) -> str:
        """Return the prefix for a namespace, if it can be that which the XML has for it.

        Raises:
            RefuseInput: `bad_xml`; there are too many.

        """
        known = self._by_namespace.get(_JSON_FORMS.get(namespace, namespace))
        if known is None:
            if len(self.declared) >= PREFIXES_MAX:
                raise RefuseInput(
                    "bad_xml", f"expected at most {PREFIXES_MAX} namespaces, found more"
                )
            known = self._free(prefix)
            self.declared[known] = namespace
            self._by_namespace[namespace] = known
        self.as_written[known] = namespace
        return known

    def declare_all(self, nsmap: Mapping[str | None, str]) -> None:
        """Declare what is in scope and may be used in values; EPCIS's own is not."""
        for prefix, namespace in nsmap.items():
            if prefix is not None and namespace not in _NOT_DECLARED:
                self.declare(prefix, namespace)

    def _free(self, wanted: str | None) -> str:
        taken = self._standard.keys() | self.declared.keys()
        if wanted is not None and wanted not in taken and not is_scheme(wanted):
            return wanted
        return next(name for n in range(1, PREFIXES_MAX + 2) if (name := f"ns{n}") not in taken)


def xml_namespace(namespace: str) -> str:
    """Return a namespace as XML documents have it."""
    return _XML_FORMS.get(namespace, namespace)


def split_name(name: str, namespaces: Mapping[str, str]) -> tuple[str | None, str]:
    """Return the namespace of a name of the JSON binding, compact or full, and the rest of it."""
    prefix, colon, local = name.partition(":")
    if not colon:
        return None, name
    if prefix in namespaces:
        return xml_namespace(namespaces[prefix]), local
    at = max(name.rfind("/"), name.rfind("#"), name.rfind(":")) + 1
    return name[:at], name[at:]


def xml_name(name: str) -> str:
    """Write a name so that XML can have it: what is no name's character as `_x0020_`."""
    return _NOT_IN_NAME.sub(lambda found: f"_x{ord(found[0]):04X}_", name) or "_"


def json_name(name: str) -> str:
    """Return the name that `xml_name` wrote."""
    return _ESCAPED.sub(lambda found: chr(min(int(found[1], 16), 0x10FFFF)), name)


def xml_text(text: str) -> str:
    """Return text without the characters that XML has not: each becomes U+FFFD."""
    return _BAD_CHARACTER.sub("\ufffd", text)

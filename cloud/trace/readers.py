"""Documents as they come, JSON or XML, read for the partner that sends them."""

from collections.abc import Callable, Mapping

from cloud.trace.xml.read import read_xml
from protocols.epcis.document import Document, Reading
from protocols.epcis.faults import CaptureFault
from protocols.epcis.read import read_document, read_event
from protocols.epcis.standard import Standard
from protocols.epcis.tolerances import Tolerances
from protocols.errors import RefuseInput

TolerancesOf = Callable[[str], Tolerances]
"""What the documents of a sender, an organisation or `partner:…`, are held to."""


class Readers:
    """Reads documents and single events."""

    def __init__(self, standard: Standard, *, bytes_max: int, tolerances_of: TolerancesOf) -> None:
        self._standard, self._bytes_max = standard, bytes_max
        self._tolerances_of = tolerances_of

    def by_media(self) -> Mapping[str, Callable[[bytes, int, str], Document]]:
        """Return what reads a document, by media type."""
        json = self._json
        return {
            "application/json": json,
            "application/ld+json": json,
            "application/xml": self._xml,
        }

    def event(self, data: bytes, now_us: int, sender: str) -> Reading:
        """Read one event of the JSON binding."""
        tolerances = self._tolerances_of(sender)
        return read_event(data, self._standard, now_us=now_us, tolerances=tolerances)

    def _json(self, data: bytes, now_us: int, sender: str) -> Document:
        tolerances = self._tolerances_of(sender)
        return read_document(data, self._standard, now_us=now_us, tolerances=tolerances)

    def _xml(self, data: bytes, now_us: int, sender: str) -> Document:
        tolerances = self._tolerances_of(sender)
        try:
            found = read_xml(data, self._standard, bytes_max=self._bytes_max)
        except RefuseInput as error:
            expected = "an EPCIS document in XML, without entities"
            fault = CaptureFault(
                pointer="", rule=error.reason, expected=expected, found=error.detail[:200]
            )
            return Document(faults=(fault,))
        return read_document(found.document, self._standard, now_us=now_us, tolerances=tolerances)

"""Names that this service gives to readers and batches."""

import uuid
from urllib.parse import quote

from msgspec import Struct

from protocols.topics import Stream

PREFIX, NAMESPACE = "suyuan", "urn:suyuan:field:"
"""Of the extension that says in which batch a scan came."""
_EVENT_IDS = uuid.uuid5(uuid.NAMESPACE_URL, NAMESPACE)


class RecordKey(Struct, frozen=True):
    """Where a record stands; no two records ever have the same."""

    gateway: str
    spool: str
    stream: Stream
    seq: int
    index: int
    """Among the good records of the batch."""

    def event_id(self) -> str:
        """Return the id of its event: the same whenever and wherever it is made."""
        text = f"{self.gateway}/{self.spool}/{self.stream}/{self.seq}/{self.index}"
        return f"urn:uuid:{uuid.uuid5(_EVENT_IDS, text)}"

    def extension(self) -> dict[str, str | int]:
        """Return the properties by which the batch is found from the event."""
        names = self.__struct_fields__
        return {f"{PREFIX}:{name}": getattr(self, name) for name in names}


def read_point(gateway: str, reader: str) -> str:
    """Name a reader or scanner."""
    return f"urn:suyuan:reader:{quote(gateway, safe='')}:{quote(reader, safe='')}"

"""A process that captures what waits in a state database, until it is killed or nothing waits."""

import asyncio
import sys
from pathlib import Path

from cloud.trace.capture import CaptureLimits, SqlCaptures
from cloud.trace.store import SqlTraceStore
from protocols.clock import SystemClock
from protocols.epcis.document import Document
from protocols.epcis.read import read_document
from protocols.epcis.standard import Standard, load_standard
from tests.support.state_database import open_state

EPCIS = Path(__file__).parents[2] / "firmware_config" / "epcis"
JSON = "application/json"


def captures_of(url: str, standard: Standard, limits: CaptureLimits) -> SqlCaptures:
    """Open the captures of a state database."""

    def read(document: bytes, at_us: int, _organisation: str) -> Document:
        return read_document(document, standard, now_us=at_us)

    database = open_state(url)
    store = SqlTraceStore(database, standard=standard)
    readers = {JSON: read}
    return SqlCaptures(database, store, readers=readers, clock=SystemClock(), limits=limits)


if __name__ == "__main__":
    captures = captures_of(
        sys.argv[1], load_standard(EPCIS), CaptureLimits(chunk=20, restarts_max=99)
    )
    print("ready", flush=True)
    asyncio.run(captures.run())

"""Records of handhelds of several organisations, and what each call shows a caller of them."""

import hashlib

from tests.support.account_cells import DEVICES, Probe
from tests.support.cells import Caller, City


def _record(number: int) -> dict[str, object]:
    return {
        "number": 1,
        "observed_at": 0,
        "time_source": "device",
        "person": f"{number:016}",
        "known_at": 0,
        "what": {"type": "scan", "text": "x"},
    }


async def send_records(city: City, caller: Caller) -> set[int]:
    """Send one record of each handheld; those of others are of use to nobody."""
    found = set()
    for number in DEVICES:
        store = hashlib.sha256(f"{caller.token}{number}".encode()).hexdigest()[:32]
        body = {"store": store, "records": [_record(number)]}
        answer = await city.send(caller, "POST", "/api/v1/handheld/records", body)
        assert answer.status_code in (200, 403)
        if answer.status_code == 200:
            (word,) = answer.json()["settled"]
            assert word["outcome"] in ("taken", "known", "refused")
            found |= {number} if word["outcome"] != "refused" else set()
    for path in ("", "/rules"):
        asked = await city.get(caller, f"/api/v1/handheld{path}")
        assert (asked.status_code == 200) == bool(found), asked.text
    return found


async def read_records(city: City, caller: Caller) -> set[int]:
    """List them, with one of each there."""
    await send_records(city, Caller("administrator"))
    answer = await city.get(caller, "/api/v1/handheld/records?outcome=taken&limit=500")
    assert answer.status_code in (200, 403)
    return {int(one["person"]) for one in answer.json()} if answer.status_code == 200 else set()


HANDHELD_PROBES: dict[str, tuple[Probe, dict[int, str]]] = {
    "handheld.use": (send_records, DEVICES),
    "handheld.read": (read_records, DEVICES),
}

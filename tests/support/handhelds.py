"""An office with inspectors on a real service, and handhelds that reach it."""

import hashlib
import random
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import msgspec

from edge.handheld.link import Link
from edge.handheld.session import Member, Session
from edge.handheld.store import Store
from edge.handheld.sync import Report, Sync
from edge.handheld.timing import HandTime
from protocols.clock import Clock, SystemClock
from protocols.handheld import Inspection, Photo, Record, Scan, What
from tests.support.firms import DISTRICT
from tests.support.stack import TOKEN

ROOT = {"Authorization": f"Bearer {TOKEN}"}
PASSWORD = "a long password of the tests"
PINS = {"王五": "2580", "李四": "1379"}


class Office:
    """A district office; its people get their codes from the administrator."""

    def __init__(self, address: str) -> None:
        self.address = address
        self._http = httpx.Client(base_url=address, headers=ROOT, timeout=20)
        self.accounts: dict[str, int] = {}

    def open(self, *names: str) -> None:
        """Make the office and an account for each."""
        details = {"kind": "district", "name": "船营区局", "districts": [DISTRICT]}
        self._call("PUT", "/api/v1/organisations/office", details)
        for number, name in enumerate(names):
            body = {
                "username": f"inspector-{number}",
                "name": name,
                "roles": ["inspector"],
                "organisation": "office",
            }
            made = self._call("POST", "/api/v1/accounts", body)
            self.accounts[name] = made["account"]["id"] if "account" in made else made["id"]
            self._call("POST", "/api/v1/redeem", {"code": made["code"], "password": PASSWORD})

    def code(self, name: str) -> str:
        """Make a one-time code for a handheld of somebody."""
        body = {"account": self.accounts[name]}
        return str(self._call("POST", "/api/v1/devices/codes", body)["code"])

    def register(self, *assets: str, **fields: Any) -> None:
        """Register cylinders of the office's district."""
        file = {"kind": "lpg_household", "gas": "lpg", "manufactured_on": "2024-03"}
        for asset in assets:
            code = asset.partition(":")[2]
            body = {**file, "district": DISTRICT, **fields}
            self._call("PUT", f"/api/v1/cylinders/{code}", body)

    def cylinder(self, asset: str, what: str = "") -> Any:
        """Return a cylinder as the registry has it, or what belongs to it."""
        code = asset.partition(":")[2]
        return self._call("GET", f"/api/v1/cylinders/{code}{what}")

    def revoke(self, device: str) -> None:
        """Report a handheld lost."""
        self._call("DELETE", f"/api/v1/devices/{device}")

    def records(self, **query: str) -> list[dict[str, Any]]:
        """Return what the service has, the latest first, page by page."""
        found: list[dict[str, Any]] = []
        url, params = "/api/v1/handheld/records", {"limit": "500", **query}
        while True:
            page = self._http.get(url, params=params).raise_for_status().json()
            found += page
            if len(page) < 500:
                return found
            params["before_id"] = str(page[-1]["id"])

    def photo(self, sha256: str) -> tuple[int, bytes, str]:
        """Return status, content and media type of a photo."""
        answer = self._http.get(f"/api/v1/handheld/photos/{sha256}")
        return answer.status_code, answer.content, answer.headers["content-type"]

    def close(self) -> None:
        """Close the connection."""
        self._http.close()

    def _call(self, method: str, path: str, body: object = None) -> Any:
        answer = self._http.request(method, path, json=body)
        assert answer.status_code < 400, answer.text
        return answer.json()


@dataclass
class Device:
    """One handheld, switched on."""

    folder: Path
    address: str
    store: Store
    time: HandTime
    session: Session
    client: httpx.AsyncClient
    sync: Sync
    link: Link

    async def let_in(self, office: Office, name: str) -> Member:
        """Turn a code into a person of this device."""
        told = await self.link.redeem(office.code(name), "hall 3")
        return self.session.admit(told, name, PINS[name])

    def person(self, name: str) -> str:
        """Return somebody's id on this device."""
        return next(one.id for one in self.session.members if one.name == name)

    def do(self, what: What, name: str = "王五") -> Record:
        """Keep a record."""
        now, person = self.time.now(), self.person(name)
        known_at = self.session.contact_at
        return self.store.append(
            lambda number: Record(
                number=number,
                observed_at=now.at_ms,
                time_source=now.source,
                person=person,
                known_at=known_at,
                what=what,
            )
        )

    def photo(self, name: str, raw: bytes) -> Photo:
        """Put a picture where the camera's program would."""
        folder = self.folder / "photos"
        folder.mkdir(exist_ok=True)
        (folder / name).write_bytes(raw)
        digest = hashlib.sha256(raw).hexdigest()
        return Photo(file=name, sha256=digest, size_bytes=len(raw))

    def scan(self, text: str) -> Record:
        """Keep a scan."""
        return self.do(Scan(text=text))

    def inspect(self, asset: str, *names: str, photos: tuple[Photo, ...] = ()) -> Record:
        """Keep an inspection that these have signed."""
        bare = Inspection(asset=asset, form="cylinder", outcome="passed", photos=photos)
        signed = tuple(
            self.session.sign(bare, self.person(name), PINS[name]) for name in names or PINS
        )
        return self.do(msgspec.structs.replace(bare, signatures=signed))

    async def run(self) -> Report:
        """Synchronise."""
        return await self.sync.run()

    async def off(self) -> None:
        """Switch it off."""
        await self.client.aclose()
        self.store.close()


def switch_on(
    folder: Path, address: str, *, clock: Clock | None = None, boot_id: str = "b1"
) -> Device:
    """Switch a device on."""
    store = Store(folder)
    time = HandTime(clock or SystemClock(), boot_id, store.kept("time"))
    session = Session(store, time, random.Random(1).randbytes)
    client = httpx.AsyncClient()
    link = Link(address, client)
    sync = Sync(store, session, time, link, nothing, folder)
    return Device(folder, address, store, time, session, client, sync, link)


async def nothing(_token: str) -> None:
    """Fetch nothing."""

"""A registry of cylinders, and the organisations that have to do with them."""

from dataclasses import dataclass
from typing import Any
from zoneinfo import ZoneInfo

from cloud.cylinders.book import Cylinders
from cloud.cylinders.imports import Imports
from cloud.cylinders.inspections import Inspections
from cloud.cylinders.permits import Permits
from cloud.cylinders.vehicles import Vehicles
from cloud.model.cylinder import CylinderFile
from cloud.model.database import Database
from cloud.model.granting import grant
from cloud.model.permissions import Reach, permissions
from cloud.model.principal import Granted, Principal
from cloud.organisations.book import OrganisationBook
from cloud.registry.assets import AssetRegistry
from protocols.catalog.files import data_root
from protocols.clock import ManualClock
from protocols.cylinders.load import load_rules
from tests.support.firms import DISTRICT, ROOT, firm_details
from tests.support.state_database import open_state

ZONE = ZoneInfo("Asia/Shanghai")
RULES = load_rules(data_root() / "cylinders")
CODE = "cylinder:23102299920240017"
FIRMS = {
    "gas-a": "filling_station",
    "gas-b": "filling_station",
    "body-a": "inspection_body",
    "shop": "enterprise",
}


@dataclass
class Yard:
    """The registry and what it stands on."""

    database: Database
    clock: ManualClock
    registry: AssetRegistry
    organisations: OrganisationBook
    cylinders: Cylinders
    inspections: Inspections
    vehicles: Vehicles
    permits: Permits
    imports: Imports

    def who(self, call: str, organisation: str, role: str, **reach: Any) -> Granted:
        """Return a call of somebody with a role."""
        reached = Reach(organisation=organisation, account=7, **reach)
        principal = Principal(
            kind="account",
            id="account:7",
            by=role,
            organisation=organisation,
            account=7,
            may=permissions([role], reached),
        )
        return grant(principal, call)

    def root(self, call: str) -> Granted:
        """Return a call of the administrator."""
        return grant(ROOT, call)

    def filler(self, name: str = "gas-a", call: str = "cylinders.write") -> Granted:
        """Return a call of a filler's manager."""
        return self.who(call, name, "enterprise_manager")

    def office(self, call: str) -> Granted:
        """Return a call of the district's office."""
        return self.who(call, "office", "regulator", districts=frozenset({DISTRICT}))

    def inspector(self, name: str = "body-a", call: str = "cylinders.inspect") -> Granted:
        """Return a call of a body's inspector."""
        districts = frozenset({DISTRICT})
        return self.who(call, name, "inspector", districts=districts)


async def open_yard(url: str, clock: ManualClock) -> Yard:
    """Make it, with two fillers, a body and a shop that fills nothing."""
    database = open_state(url)
    registry, organisations = AssetRegistry(database, clock), OrganisationBook(database, clock)
    await registry.load()
    await organisations.load()
    for number, (name, kind) in enumerate(FIRMS.items()):
        details = firm_details(number, kind=kind, categories=("special_equipment",))
        await organisations.put(name, details, by=ROOT)
    cylinders = Cylinders(database, clock, registry, organisations, zone=ZONE, rules=RULES)
    return Yard(
        database,
        clock,
        registry,
        organisations,
        cylinders,
        Inspections(cylinders),
        Vehicles(cylinders),
        Permits(database, clock),
        Imports(cylinders, clock),
    )


def file_of(number: int = 0, **fields: Any) -> CylinderFile:
    """Return the file of a household's bottle of gas-a."""
    given: dict[str, Any] = {
        "kind": "lpg_household",
        "gas": "lpg",
        "standard": "GB 5842-2006",
        "maker": "吉林钢瓶厂",
        "serial_number": f"{number:06d}",
        "manufactured_on": "2024-03",
        "water_capacity_l": 35.5,
        "tare_kg": 16.5,
        "allowable_fill_kg": 14.9,
        "filler": "gas-a",
        "use_registration": f"瓶10吉B{number:05d}",
    }
    return CylinderFile(**{**given, **fields})


def code_of(number: int) -> str:
    """Return the asset id of a cylinder by its number."""
    return f"cylinder:2310229992024{number:04d}"

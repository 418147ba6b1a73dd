"""The lifts, firms and stations of a city, made from its story by a seed."""

import math
import random
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from simulators.city_story import CLASSES, District, Story

KM_PER_DEGREE = 111.2
DAY_S, HOUR_S = 86_400.0, 3_600.0
_CREDIT = "0123456789ABCDEFGHJKLMNPQRTUWXY"
_OWN = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZ"


@dataclass(frozen=True, slots=True)
class FirmPlace:
    """A maintenance firm of the city."""

    id: str
    name: str
    credit_code: str
    districts: tuple[str, ...]
    phone: str


@dataclass(frozen=True, slots=True)
class UnitPlace:
    """Rescuers who can be sent."""

    unit: str
    name: str
    level: int
    firm: str | None
    """Id of the firm that they belong to."""
    habit: str
    latitude: float
    longitude: float
    phone: str

    def body(self) -> dict[str, Any]:
        """Return what the service is told of it."""
        return {
            "name": self.name,
            "level": self.level,
            "phone": self.phone,
            "latitude": self.latitude,
            "longitude": self.longitude,
            "organisation": self.firm,
        }


@dataclass(frozen=True, slots=True)
class LiftPlace:
    """One lift: where and what it is."""

    index: int
    asset: str
    name: str
    district: str
    address: str
    latitude: float
    longitude: float
    rescue_code: str
    site: str
    site_title: str
    brand: str
    firm: FirmPlace
    floors: int
    trips_day: int
    curve: str
    troubles: float
    """Relative to the city's mean."""
    gateway: str

    def body(self) -> dict[str, Any]:
        """Return what the registry is told of it."""
        return {
            "kind": "elevator",
            "name": self.name,
            "gateways": [self.gateway],
            "parties": {"maintainer": self.firm.id},
            "attributes": {
                "district": self.district,
                "address": self.address,
                "rescue_code": self.rescue_code,
                "maintenance_phone": self.firm.phone,
                "latitude": self.latitude,
                "longitude": self.longitude,
                "manufacturer": self.brand,
                "site_type": self.site,
            },
        }


@dataclass(frozen=True, slots=True)
class City:
    """All of it."""

    lifts: Sequence[LiftPlace]
    firms: Sequence[FirmPlace]
    units: Sequence[UnitPlace]

    def wrong_code(self, right: str, rng: random.Random) -> str:
        """Return a code that is as long as the right one and no lift's."""
        taken = {one.rescue_code for one in self.lifts}
        while True:
            code = f"{rng.randrange(10 ** len(right)):0{len(right)}d}"
            if code not in taken:
                return code


def build_city(story: Story, lifts: int, seed: int, *, tag: str = "city") -> City:
    """Make a city; the same seed makes the same one.

    Args:
        story: the data.
        lifts: how many, at most half of the rescue codes that there are.
        seed: of all chance.
        tag: begins the ids of gateways, firms and units, so that two cities can share a service.

    Raises:
        ValueError: more lifts than rescue codes.

    """
    codes = 10**story.rescue_code_digits
    if lifts > codes // 2:
        raise ValueError(f"at most {codes // 2} lifts have rescue codes of their own")
    rng = random.Random(f"places {seed}")
    firms = [_firm(story, number, tag) for number in range(len(story.firms))]
    places = [_lift(story, number, firms, rng, tag) for number in range(lifts)]
    return City(places, firms, [*_teams(story, firms, rng), *_stations(story, tag)])


def credit_code(number: int) -> str:
    """Make a credit code with both its check characters (GB 32100, GB 11714)."""
    own = f"MA{number:06d}"
    total = sum(_OWN.index(one) * w for one, w in zip(own, (3, 7, 9, 10, 5, 8, 4, 2), strict=True))
    code = f"91220202{own}{'0123456789X'[-total % 11]}"
    rest = sum(_CREDIT.index(one) * pow(3, at, 31) for at, one in enumerate(code))
    return code + _CREDIT[-rest % 31]


def distance_km(one: tuple[float, float], other: tuple[float, float]) -> float:
    """Return the distance of two places of one city."""
    north = (one[0] - other[0]) * KM_PER_DEGREE
    east = (one[1] - other[1]) * KM_PER_DEGREE * math.cos(math.radians(one[0]))
    return math.hypot(north, east)


def _firm(story: Story, number: int, tag: str) -> FirmPlace:
    return FirmPlace(
        id=f"{tag}-firm-{number + 1}",
        name=story.firms[number].name,
        credit_code=credit_code(710_000 + number),
        districts=tuple(one.name for one in story.districts),
        phone=f"0432-6400{number:04d}",
    )


def _teams(story: Story, firms: Sequence[FirmPlace], rng: random.Random) -> list[UnitPlace]:
    found = []
    for firm, told in zip(firms, story.firms, strict=True):
        for number in range(told.teams):
            district = _choose(story.districts, rng)
            latitude, longitude = _near(district, rng)
            found.append(
                UnitPlace(
                    unit=f"{firm.id}-team-{number + 1}",
                    name=f"{firm.name}{number + 1}组",
                    level=1,
                    firm=firm.id,
                    habit=told.habit,
                    latitude=latitude,
                    longitude=longitude,
                    phone=f"1380432{rng.randrange(10_000):04d}",
                )
            )
    return found


def _stations(story: Story, tag: str) -> list[UnitPlace]:
    middle = {one.name: one for one in story.districts}
    return [
        UnitPlace(
            unit=f"{tag}-station-{number + 1}",
            name=one.name,
            level=2,
            firm=None,
            habit=one.habit,
            latitude=middle[one.district].latitude,
            longitude=middle[one.district].longitude,
            phone=f"0432-9633{number:04d}",
        )
        for number, one in enumerate(story.stations)
    ]


def _lift(
    story: Story, number: int, firms: Sequence[FirmPlace], rng: random.Random, tag: str
) -> LiftPlace:
    district, site = _choose(story.districts, rng), _choose(story.sites, rng)
    brand, firm = _choose(story.brands, rng), rng.choices(firms, [f.share for f in story.firms])[0]
    latitude, longitude = _near(district, rng)
    building = f"{district.name[:2]}{site.title}{number // 4 + 1}号"
    least, most = story.troubles.entrapments_month_percent
    return LiftPlace(
        index=number,
        asset=f"elevator:31102202{number % 100:02d}2026{number:06d}",
        name=f"{building}{number % 4 + 1}号梯",
        district=district.name,
        address=f"{district.name}{building}",
        latitude=latitude,
        longitude=longitude,
        rescue_code=f"{number * 7 % 10**story.rescue_code_digits:0{story.rescue_code_digits}d}",
        site=site.id,
        site_title=site.title,
        brand=brand.name,
        firm=firm,
        floors=rng.randint(*site.floors),
        trips_day=rng.choices(CLASSES, site.usage)[0],
        curve=site.curve,
        troubles=brand.troubles * rng.uniform(least, most) / ((least + most) / 2),
        gateway=f"{tag}-{number // story.lifts_per_gateway:05d}",
    )


def _near(district: District, rng: random.Random) -> tuple[float, float]:
    """Return a place within a district, even over its area."""
    away, angle = district.radius_km * math.sqrt(rng.random()), rng.uniform(0, 2 * math.pi)
    north = away * math.cos(angle) / KM_PER_DEGREE
    east = away * math.sin(angle) / (KM_PER_DEGREE * math.cos(math.radians(district.latitude)))
    return round(district.latitude + north, 6), round(district.longitude + east, 6)


def _choose(parts: Sequence[Any], rng: random.Random) -> Any:
    return rng.choices(parts, [one.share for one in parts])[0]

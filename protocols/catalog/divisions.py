"""Administrative divisions of GB/T 2260, as far as they are certain."""

from collections.abc import Mapping
from functools import lru_cache
from typing import Annotated, Literal

from msgspec import Meta, Struct

from protocols.border import load_toml
from protocols.catalog.files import data_root

Two = Annotated[str, Meta(pattern=r"^[0-9]{2}\Z")]
Doubt = Literal["no_such_province", "prefecture_not_listed", "county_not_listed"]
"""What is strange about a division; only the first is certain to be wrong."""
WHOLE = "00"
"""The two digits that stand for all of what is above."""


class Province(Struct, frozen=True, kw_only=True):
    """A province with its prefectures."""

    code: Two
    title: str
    title_zh: str
    prefectures: tuple[Two, ...]
    """The two digits behind the province's."""
    former: tuple[Two, ...] = ()
    """Given up, and still in older numbers."""


class Prefecture(Struct, frozen=True, kw_only=True):
    """A prefecture of which all counties are listed."""

    code: Annotated[str, Meta(pattern=r"^[0-9]{4}\Z")]
    title: str
    title_zh: str
    counties: tuple[Two, ...]


class _File(Struct, frozen=True, kw_only=True):
    schema: Literal[1]
    province: tuple[Province, ...]
    prefecture: tuple[Prefecture, ...] = ()


class Divisions:
    """Tells whether a division exists."""

    def __init__(
        self, provinces: Mapping[str, Province], prefectures: Mapping[str, Prefecture]
    ) -> None:
        self.provinces, self.prefectures = provinces, prefectures

    def doubt(self, code: str) -> Doubt | None:
        """Say what is strange about a division of two, four or six digits; None: nothing."""
        province = self.provinces.get(code[:2])
        if province is None:
            return "no_such_province"
        below = code[2:4]
        if not below or below in (WHOLE, *province.former):
            return None
        if below not in province.prefectures:
            return "prefecture_not_listed"
        prefecture = self.prefectures.get(code[:4])
        county = code[4:6]
        if prefecture is None or not county or county in (WHOLE, *prefecture.counties):
            return None
        return "county_not_listed"


@lru_cache(maxsize=1)
def load_divisions() -> Divisions:
    """Read the shipped list; FixConfiguration when it is wrong."""
    found = load_toml(data_root() / "divisions" / "gb2260.toml", _File)
    provinces = {one.code: one for one in found.province}
    return Divisions(provinces, {one.code: one for one in found.prefecture})

"""What an organisation's file may say: every field checked, and written in one way."""

import re
import unicodedata
from collections.abc import Collection, Iterable, Sequence
from functools import lru_cache
from typing import TypeVar

from msgspec.structs import replace

from cloud.model.asset import DISTRICT_CHARS_MAX
from cloud.model.organisation import Application, Contact, Details
from cloud.model.permissions import load_categories
from cloud.organisations.kinds import Kind, load_departments, load_kinds
from protocols.catalog.files import data_root
from protocols.catalog.schemes import Matcher, load_scheme
from protocols.errors import RefuseInput

Checked = TypeVar("Checked", bound=Details)

NAME_CHARS_MAX = 200
PERSON_CHARS_MAX = 64
REASON_CHARS_MAX = 500
DISTRICTS_MAX = 50
PASSWORD_CHARS_MAX = 256
_PHONE = re.compile(r"\+?[0-9][0-9 -]{4,23}")
_USERNAME = re.compile(r"[a-z0-9][a-z0-9._-]{2,31}")
_REFUSED = ("Cc", "Cf", "Cs", "Co", "Zl", "Zp")
"""Categories of characters that show nothing, or turn around what stands beside them."""


def plain(text: str, what: str, *, most: int, least: int = 1) -> str:
    """Return a text of one line, its spaces single.

    Raises:
        RefuseInput: `bad_request` for its length, and for characters that do not show.

    """
    if len(text) > most * 2 or any(unicodedata.category(one) in _REFUSED for one in text):
        raise RefuseInput("bad_request", f"{what}: expected one line of {most} characters at most")
    found = " ".join(text.split())
    if not least <= len(found) <= most:
        raise RefuseInput("bad_request", f"{what}: expected {least} to {most} characters")
    return found


def check_details(details: Checked, tolerances: Collection[str] = ("standard",)) -> Checked:
    """Return the same, checked and tidied; `tolerances` are the ids that are known.

    Raises:
        RefuseInput: `bad_request`, naming the field.

    """
    kind = load_kinds().get(details.kind)
    if kind is None:
        raise _expected("kind", ", ".join(load_kinds()), details.kind)
    if details.tolerances not in tolerances:
        raise _expected("tolerances", ", ".join(sorted(tolerances)), details.tolerances)
    department = _department(details.department, kind)
    tidied = replace(
        details,
        name=plain(details.name, "name", most=NAME_CHARS_MAX),
        credit_code=None if details.credit_code is None else credit_code(details.credit_code),
        districts=_districts(details.districts),
        categories=_categories(details.categories) or department,
        contact=check_contact(details.contact),
    )
    for need in kind.needs:
        if not getattr(tidied, need):
            raise RefuseInput("bad_request", f"{need}: expected for kind {kind.id}, found nothing")
    return tidied


def check_application(asked: Application, districts: Collection[str]) -> Application:
    """Return the same, checked and tidied; it may name `districts` only.

    Raises:
        RefuseInput: `bad_request`, naming the field.

    """
    asked = check_details(asked)
    if not load_kinds()[asked.kind].signs_up:
        can = [kind.id for kind in load_kinds().values() if kind.signs_up]
        raise _expected("kind", ", ".join(can), asked.kind)
    for district in asked.districts:
        if district not in districts:
            raise _expected("districts", ", ".join(sorted(districts)), district)
    if not (asked.contact.name and asked.contact.phone):
        raise RefuseInput("bad_request", "contact: expected a name and a phone number")
    username = asked.username.strip().lower()
    # Where a wished name is taken the credit code is the name: it must never be another's wish.
    of_another = username.upper() != asked.credit_code and _matcher().match(username.upper())
    if not _USERNAME.fullmatch(username) or of_another:
        raise _expected("username", "3 to 32 of a-z 0-9 . _ -, no other's credit code", username)
    if not 0 < len(asked.password) <= PASSWORD_CHARS_MAX:
        raise RefuseInput("bad_request", f"password: expected {PASSWORD_CHARS_MAX} characters")
    return replace(asked, username=username)


def check_contact(contact: Contact) -> Contact:
    """Return the same, checked and tidied; empty fields stay so. RefuseInput `bad_request`."""
    phone = contact.phone.strip()
    if phone and not _PHONE.fullmatch(phone):
        raise _expected("contact.phone", "digits, spaces and hyphens", phone)
    name = plain(contact.name, "contact.name", most=PERSON_CHARS_MAX, least=0)
    return Contact(name=name, phone=phone)


def credit_code(text: str) -> str:
    """Return a unified social credit code (GB 32100); RefuseInput `bad_request`."""
    code = text.strip().upper()
    if not _matcher().match(code):
        raise _expected("credit_code", "18 characters with their check character", code)
    return code


@lru_cache(maxsize=1)
def _matcher() -> Matcher:
    path = data_root() / "schemes" / "credit_code.toml"
    return Matcher([load_scheme(path, shipped=True)])


def _department(department: str | None, kind: Kind) -> tuple[str, ...]:
    """Return the categories that the department looks after."""
    if department is None:
        return ()
    known = load_departments()
    if "department" not in kind.needs:
        raise RefuseInput("bad_request", f"department: a {kind.id} is of none")
    if department not in known:
        raise _expected("department", ", ".join(known), department)
    return known[department].categories


def _districts(districts: Sequence[str]) -> tuple[str, ...]:
    if len(districts) > DISTRICTS_MAX:
        raise RefuseInput("bad_request", f"districts: expected at most {DISTRICTS_MAX}")
    return _once(plain(one, "districts", most=DISTRICT_CHARS_MAX) for one in districts)


def _categories(categories: Sequence[str]) -> tuple[str, ...]:
    known = load_categories()
    for one in categories:
        if one not in known:
            raise _expected("categories", ", ".join(known), one)
    return _once(categories)


def _once(items: Iterable[str]) -> tuple[str, ...]:
    return tuple(sorted(set(items)))


def _expected(field: str, expected: str, found: str) -> RefuseInput:
    return RefuseInput("bad_request", f"{field}: expected {expected}, found {found[:60]!r}")

from typing import Any

import pytest

from cloud.model.organisation import Application, Contact, Details
from cloud.organisations.details import check_application, check_contact, check_details, plain
from protocols.errors import RefuseInput
from tests.support.firms import DISTRICT, application, credit_code, firm_details

HOSTILE = [
    "a\nb",
    "a\0b",
    "\x1b[31m",
    "right\u202eleft",
    "zero\u200bwidth",
    "line\u2028sep",
    "\ud800",
    "\ue000",
    "",
    "   ",
    "x" * 4_096,
    "字" * 201,
]


@pytest.mark.parametrize("name", HOSTILE)
def test_name_that_does_not_show_or_fit_is_refused(name: str) -> None:
    with pytest.raises(RefuseInput, match="bad_request: name"):
        check_details(firm_details(1, name=name))


@pytest.mark.parametrize(
    ("name", "kept"),
    [
        (" 吉林市　 永丰 气瓶\u00a0站 ", "吉林市 永丰 气瓶 站"),
        ("<script>alert(1)</script>", "<script>alert(1)</script>"),  # a text like any other
        ("=1+1", "=1+1"),
        ("\U00031350商行", "\U00031350商行"),  # a rare character, newer than this Python
    ],
)
def test_name_is_kept_with_single_spaces(name: str, kept: str) -> None:
    assert check_details(firm_details(1, name=name)).name == kept


@pytest.mark.parametrize(
    ("fields", "named"),
    [
        ({"kind": "castle"}, "kind"),
        ({"credit_code": None}, "credit_code"),
        ({"credit_code": ""}, "credit_code"),
        ({"credit_code": "91220202MA0TRACE9X"}, "credit_code"),
        ({"credit_code": credit_code(1) + "\n1"}, "credit_code"),
        ({"districts": ()}, "districts"),
        ({"districts": ("a" * 65,)}, "districts"),
        ({"districts": tuple(map(str, range(51)))}, "districts"),
        ({"categories": ()}, "categories"),
        ({"categories": ("meals",)}, "categories"),
        ({"department": "health"}, "department"),
        ({"kind": "department", "department": "magic"}, "department"),
        ({"kind": "department"}, "department"),
        ({"contact": Contact(phone="<b>")}, "contact.phone"),
        ({"contact": Contact(name="a\nb")}, "contact.name"),
    ],
)
def test_field_that_is_wrong_or_missing_is_named(fields: dict[str, Any], named: str) -> None:
    with pytest.raises(RefuseInput, match=f"bad_request: {named}"):
        check_details(firm_details(1, **fields))


def test_details_are_written_in_one_way() -> None:
    code = credit_code(1)
    found = check_details(
        firm_details(1, credit_code=f" {code.lower()} ", districts=("b", "a", "b"))
    )
    assert (found.credit_code, found.districts) == (code, ("a", "b"))
    office = Details(kind="department", name="卫健委", department="health")
    assert check_details(office).categories == ("drugs",)
    narrower = Details(kind="department", name="x", department="commerce", categories=("food",))
    assert check_details(narrower).categories == ("food",)


@pytest.mark.parametrize(
    ("fields", "named"),
    [
        ({"kind": "district"}, "kind"),
        ({"kind": "platform", "credit_code": None}, "kind"),
        ({"districts": ("elsewhere",)}, "districts"),
        ({"contact": Contact(name="王五")}, "contact"),
        ({"contact": Contact(phone="0432 1234567")}, "contact"),
        ({"username": "ab"}, "username"),
        ({"username": "a" * 33}, "username"),
        ({"username": "wang@wu"}, "username"),
        ({"username": "管理员"}, "username"),
        ({"username": credit_code(2).lower()}, "username"),
        ({"password": ""}, "password"),
        ({"password": "x" * 257}, "password"),
    ],
)
def test_application_that_cannot_be_is_refused(fields: dict[str, Any], named: str) -> None:
    given = application(1, contact=Contact(name="王五", phone="0432 1234567"))
    asked = Application(**{**given, "districts": (DISTRICT,), "categories": ("food",), **fields})
    with pytest.raises(RefuseInput, match=f"bad_request: {named}"):
        check_application(asked, {DISTRICT})


def test_contact_may_be_empty_and_plain_tells_its_bounds() -> None:
    assert check_contact(Contact()) == Contact()
    with pytest.raises(RefuseInput, match="reason: expected 1 to 5 characters"):
        plain("", "reason", most=5)

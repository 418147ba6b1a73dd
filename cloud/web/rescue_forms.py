"""What is typed at the rescue desk, read into what may be done."""

from typing import get_args

from cloud.model.incident import Act, Call, Verb
from cloud.web.rescue_view import ANSWERS, FIELDS
from protocols.errors import RefuseInput

VERBS: tuple[Verb, ...] = get_args(Verb)
NOTE_CHARS_MAX = 2_000
NUMBERS = {"people": 1_000, "injured": 1_000, "satisfaction": 5, "eta_min": 24 * 60}
"""Fields that are whole numbers, and the largest of each."""


def is_act(text: str) -> Verb:
    """Return an operator's verb; RefuseInput `not_found`."""
    return _verb(text, tuple(verb for verb in VERBS if verb not in ANSWERS))


def is_answer(text: str) -> Verb:
    """Return a unit's verb; RefuseInput `not_found`."""
    return _verb(text, ANSWERS)


def act_of(verb: Verb, form: dict[str, str]) -> Act:
    """Read what comes with a verb; only its own fields are looked at.

    Raises:
        RefuseInput: `bad_request`, naming the field.

    """
    asked, given = FIELDS[verb], {name: form.get(name, "").strip() for name in FIELDS[verb]}
    eta_min = number_in(given, "eta_min") if "eta_min" in asked else None
    return Act(
        note=given.get("note", "")[:NOTE_CHARS_MAX],
        unit=given.get("unit") or None,
        to=given.get("to", "")[:64],
        into=_id_in(given, "into"),
        people=number_in(given, "people"),
        injured=number_in(given, "injured"),
        cause=given.get("cause") or None,
        satisfaction=number_in(given, "satisfaction"),
        eta_s=None if eta_min is None else eta_min * 60,
    )


def call_of_form(form: dict[str, str]) -> Call:
    """Read a telephone call; RefuseInput `bad_request`, naming the field."""
    given = {name: value.strip() for name, value in form.items()}
    asset = given.get("asset") or None
    return Call(
        rescue_code="" if asset else given.get("rescue_code", "")[:16],
        asset=asset,
        people=number_in(given, "people"),
        caller_name=given.get("caller_name", "")[:64],
        caller_phone=given.get("caller_phone", "")[:32],
        note=given.get("note", "")[:NOTE_CHARS_MAX],
        drill=given.get("drill") == "yes",
        call=_id_in(given, "call"),
    )


def number_in(given: dict[str, str], name: str) -> int | None:
    """Return a whole number of a form, None where nothing was typed; RefuseInput `bad_request`."""
    text = given.get(name, "").strip()
    if not text:
        return None
    most = NUMBERS[name]
    if not (text.isascii() and text.isdigit() and len(text) <= 6 and int(text) <= most):
        raise RefuseInput("bad_request", f"{name}: expected a whole number up to {most}")
    return int(text)


def _id_in(given: dict[str, str], name: str) -> int | None:
    text = given.get(name, "")
    if text and not (text.isascii() and text.isdigit() and len(text) <= 16):
        raise RefuseInput("bad_request", f"{name}: expected a number")
    return int(text) if text else None


def _verb(text: str, among: tuple[Verb, ...]) -> Verb:
    for verb in among:
        if verb == text:
            return verb
    raise RefuseInput("not_found", f"nothing is called {text[:40]!r}")

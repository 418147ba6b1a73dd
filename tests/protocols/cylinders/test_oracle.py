"""Ten thousand random fillings, judged by the rules and by a slow oracle that shares nothing."""

import random
from collections import Counter
from datetime import date

from protocols.catalog.files import data_root
from protocols.cylinders.load import load_rules
from protocols.cylinders.verdict import fill_verdict
from tests.protocols.cylinders.oracle import Day, Opinion
from tests.protocols.cylinders.random_cylinders import random_case

BOOK = load_rules(data_root() / "cylinders")
CASES = 10_000


def of(day: Day | None) -> date | None:
    return None if day is None else date(*day)


def test_ten_thousand_random_fillings_are_judged_as_the_oracle_does() -> None:
    rng = random.Random(20_260_331)
    decisions: Counter[str] = Counter()
    reasons: Counter[str] = Counter()
    for _ in range(CASES):
        cylinder, seen = random_case(rng)
        verdict, opinion = fill_verdict(cylinder, seen, BOOK), Opinion(cylinder, seen)
        case = (cylinder, seen, verdict, opinion.against)
        assert (verdict.decision == "fill") == (not opinion.against), case
        assert verdict.due_on == of(opinion.due), case
        assert verdict.life_ends_on == of(opinion.life), case
        assert verdict.limit_kg == opinion.limit, case
        decisions[verdict.decision] += 1
        reasons.update({one.reason for one in verdict.reasons})
    assert min(decisions.values()) > CASES / 20, decisions
    assert set(reasons) == set(BOOK.reason), set(BOOK.reason) - set(reasons)

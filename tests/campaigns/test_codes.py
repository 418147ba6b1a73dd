"""The campaign over bar codes and weights in small: every case once, nothing told wrong."""

from pathlib import Path

from tests.campaigns.codes import CASES, run


def test_every_case_once_without_a_wrong_code_or_weight(tmp_path: Path) -> None:
    account = run(tmp_path, len(CASES), seed=1)
    assert account.faults == []
    assert not account.breached
    assert account.cases.total() == len(CASES)

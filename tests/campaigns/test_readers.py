"""A quick sample of the readers' campaign."""

from pathlib import Path

from tests.campaigns.readers import CASES, run


async def test_some_cases_over_every_kind_of_reader(tmp_path: Path) -> None:
    account = await run(tmp_path, cases=len(CASES), seed=3)
    assert not account.breached, account

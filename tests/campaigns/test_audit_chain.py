"""A sample of the campaign that bends audits."""

from pathlib import Path

import pytest

from tests.campaigns.audit_chain import Stage, Sums, run
from tests.support.postgres import BIN, MISSING, Postgres


def test_sample_of_bent_audits_is_found_and_located(tmp_path: Path) -> None:
    sums = Sums()
    run(Stage(f"sqlite:///{tmp_path / 'state.db'}", tmp_path / "stage", 1), 60, 3, sums)
    assert sums.faults == []
    assert sums.cases == 60
    assert len(sums.bent) == 13


def test_sample_of_bent_audits_is_found_in_postgresql(tmp_path: Path) -> None:
    if BIN is None:
        pytest.skip(MISSING)
    server, sums = Postgres(tmp_path / "postgres"), Sums()
    server.start()
    try:
        run(Stage(server.new_database(), tmp_path / "stage", 1), 10, 4, sums)
    finally:
        server.stop()
    assert sums.faults == []

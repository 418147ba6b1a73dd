"""Software updates with real environments: installed, tried, proved, or taken back."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.campaigns.audit import Audit, audit_ledger, edge_last_seqs, wait_drained
from tests.support.field import Field, online
from tests.support.stack import running, wait_until

pytestmark = pytest.mark.end_to_end


@pytest.fixture
def field(tmp_path: Path) -> Iterator[Field]:
    field = Field(tmp_path, proof_s=6)
    with running(field.stack):
        wait_until(lambda: online(field.stack), timeout_s=30, what="gateway online")
        yield field


@pytest.mark.timeout(300)
def test_good_release_stays_and_a_bad_one_is_taken_back(field: Field) -> None:
    good = field.roll_out(field.release().serial)
    assert field.wait_end(good, 60)["state"] == "updated"
    wait_until(lambda: field.version() == "1.0.1", timeout_s=20, what="the new version")
    assert (field.base / "current").resolve().name == "b"

    broken = field.roll_out(field.release("no_check").serial)
    assert field.wait_end(broken, 60)["detail"].startswith("self_test")

    deaf = field.roll_out(field.release("deaf").serial)
    assert field.wait_end(deaf, 90)["detail"] == "not_healthy"
    wait_until(lambda: field.version() == "1.0.1", timeout_s=20, what="the last good version")
    assert (field.base / "current").resolve().name == "b"

    field.gateway.stop()
    field.gateway.start()
    field.stack.lifts.child.kill()
    wait_drained(field.stack)
    field.gateway.stop()
    audit = Audit()
    audit_ledger(field.stack, audit, edge_last_seqs(field.stack.edge_state))
    assert audit.faults == []
    assert audit.produced == audit.stored + audit.declared_lost
    assert audit.declared_lost == 0

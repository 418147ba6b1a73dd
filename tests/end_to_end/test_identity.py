"""Gateways with certificates, from the invitation on, as real processes."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.mosquitto import MOSQUITTO
from tests.support.stack import wait_until
from tests.support.trust_stack import TrustStack, trusting

pytestmark = pytest.mark.skipif(
    not Path(MOSQUITTO).exists(), reason="mosquitto is not installed (Debian: mosquitto)"
)


@pytest.fixture
def stack(tmp_path: Path) -> Iterator[TrustStack]:
    with trusting(tmp_path) as one:
        yield one


def test_enrol_run_and_the_batch_is_in_the_log(stack: TrustStack) -> None:
    state = stack.enrol("gw-1")
    key = state / "identity" / "key.pem"
    assert key.stat().st_mode & 0o777 == 0o600
    assert not (state / "identity" / "next-key.pem").exists()
    stack.run_gateway("gw-1")
    wait_until(lambda: stack.records("gw-1") > 0, timeout_s=20, what="a batch in the log")
    status = stack.status("gw-1")
    assert status["link"]["broker"] == f"mqtts://127.0.0.1:{stack.port}"
    assert status["identity"]["certificate_until"]

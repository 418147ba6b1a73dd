"""Every kind of reader that the contract and the campaign run over; one line a kind."""

from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

from tests.support.nfc import Pn532Harness
from tests.support.nfc import missing as nfc_missing
from tests.support.pcsc import PcscHarness
from tests.support.pcsc import missing as pcsc_missing
from tests.support.readers import Harness
from tests.support.uhf import LlrpHarness, UhfModuleHarness
from tests.support.uhf import missing as uhf_missing


class Kind(NamedTuple):
    """How one kind is made."""

    make: Callable[[Path], Harness]
    """Takes an empty folder; plugs everything in, no tag there."""
    missing: Callable[[], str | None]
    """Says what this machine lacks, if anything."""
    lanes_max: int = 1_000
    """How many of it can run in one process."""


HARNESSES = {
    "pcsc": Kind(PcscHarness, pcsc_missing, lanes_max=1),
    "nfc_pn532": Kind(Pn532Harness, nfc_missing),
    "uhf_serial": Kind(UhfModuleHarness, uhf_missing),
    "llrp": Kind(LlrpHarness, uhf_missing),
}

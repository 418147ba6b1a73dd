"""Every shipped scheme file, and what of its codes another scheme could take for its own."""

import re

import pytest

from protocols.catalog.files import data_files
from protocols.catalog.schemes import Matcher, Scheme, load_schemes

SCHEMES, FAULTS = load_schemes(None)
EACH = [pytest.param(one, id=one.id) for one in SCHEMES.values()]
MATCHER = Matcher(SCHEMES.values())
KNOWN_CLASHES = {frozenset({"detonator", "meat_vegetable_subject"})}
"""Of samples: both may be meant, and the gateway says so."""


def test_every_shipped_file_loads() -> None:
    assert not FAULTS, "\n".join(map(str, FAULTS))
    assert {path.stem for path, _ in data_files("schemes")} == set(SCHEMES)
    assert {"gtin", "elevator", "detonator"} <= set(SCHEMES)


@pytest.mark.parametrize("scheme", EACH)
def test_sample_gives_its_code_among_all_schemes(scheme: Scheme) -> None:
    for sample in scheme.samples:
        found = MATCHER.match(sample.text, sample.symbology)
        expected = [] if sample.code is None else [(scheme.id, sample.code)]
        others = [one for one in found if one[0] != scheme.id]
        assert [one for one in found if one[0] == scheme.id] == expected
        if expected and others:
            assert frozenset(name for name, _ in found) in KNOWN_CLASHES


@pytest.mark.parametrize("scheme", EACH)
def test_pattern_takes_no_other_writing_and_no_line_end(scheme: Scheme) -> None:
    for form in scheme.forms:
        pattern = re.compile(form.pattern, re.ASCII)
        for sample in scheme.samples:
            other = sample.text.translate({ord(d): 0x660 + int(d) for d in "0123456789"})
            assert not pattern.fullmatch(f"{sample.text}\n")
            assert other == sample.text or not pattern.fullmatch(other)

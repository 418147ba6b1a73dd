"""How things without a key of GS1's are named."""

from protocols.catalog.divisions import load_divisions
from protocols.codes.registry import SchemeRegistry


def test_thing_without_a_key_is_named_by_its_address() -> None:
    here = SchemeRegistry({}, load_divisions(), base_url="https://trace.example.com/")
    assert here.id_of("cylinder", "A 1/2") == "https://trace.example.com/id/cylinder/A%201%2F2"
    nowhere = SchemeRegistry({}, load_divisions())
    assert nowhere.id_of("cylinder", "A:1") == "urn:suyuan:id:cylinder:A%3A1"

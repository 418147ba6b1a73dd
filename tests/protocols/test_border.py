from pathlib import Path
from typing import Annotated, Any, Literal

import pytest
from msgspec import Meta, Struct

from protocols.border import convert, load_toml
from protocols.errors import Fault, FixConfiguration


class Part(Struct, frozen=True):
    id: str
    size: Annotated[int, Meta(ge=1, le=9)] = 1


class Whole(Struct, frozen=True, kw_only=True):
    schema: Literal[1]
    name: str
    kind: Literal["red", "green"] | None = None
    parts: tuple[Part, ...] = ()
    more: list[Part] = []
    one: Part = Part(id="none")

    def __post_init__(self) -> None:
        if self.name == "forbidden":
            raise ValueError("another name; found forbidden")


def faults_of(data: object) -> dict[str, Fault]:
    faults: list[Fault] = []
    assert convert(data, Whole, file="f.toml", faults=faults) is None
    assert len({fault.key for fault in faults}) == len(faults)
    return {fault.key: fault for fault in faults}


def test_good_data_becomes_the_struct(tmp_path: Path) -> None:
    path = tmp_path / "f.toml"
    path.write_text(
        'schema = 1\nname = "n"\n[[parts]]\nid = "a"\n[[more]]\nid = "b"\n[one]\nid="c"'
    )
    found = load_toml(path, Whole)
    assert found.parts == (Part("a"),)
    assert found.more == [Part("b")]
    assert found.one == Part("c")


def test_every_fault_is_reported_at_once() -> None:
    found = faults_of(
        {
            "schema": 2,
            "nmae": "typo",
            "kind": "blue",
            "parts": [{"id": "a", "size": 0}, {"id": 7}, "text", {"size": 2}],
            "more": {"id": "x"},
            "one": [1],
        }
    )
    assert found["nmae"].found == "an unknown key"
    assert found["name"].found == "nothing: the key is missing"
    assert found["schema"].expected == "one of 1"
    assert found["kind"].expected == "one of red, green"
    assert found["parts[0].size"].expected == "int >= 1"
    assert found["parts[1].id"] == Fault("f.toml", "parts[1].id", "str", "7")
    assert found["parts[2]"].expected == "a table"
    assert found["parts[3].id"].found == "nothing: the key is missing"
    assert found["more"].expected == "a list of tables"
    assert found["one"].expected == "a table"


def test_fault_of_the_structs_own_rule_is_told() -> None:
    found = faults_of({"schema": 1, "name": "forbidden"})
    assert found["file"] == Fault("f.toml", "file", "another name", "forbidden")


@pytest.mark.parametrize("data", [None, [], 7, "text"])
def test_document_that_is_no_table_is_a_fault(data: Any) -> None:
    assert faults_of(data)["file"].expected == "a table"


def test_long_value_is_shown_shortened() -> None:
    found = faults_of({"schema": 1, "name": ["x" * 100_000]})
    assert len(str(found["name"])) < 200


@pytest.mark.parametrize(
    ("text", "found"),
    [
        (b"\xff\xfe", "no UTF-8"),
        (b"a = ", "Invalid value"),
        (b"a = 1\na = 2", "overwrite"),
        (b"[t]\n[t]", "twice"),
    ],
)
def test_file_that_is_no_toml_is_one_fault(tmp_path: Path, text: bytes, found: str) -> None:
    path = tmp_path / "f.toml"
    path.write_bytes(text)
    with pytest.raises(FixConfiguration) as caught:
        load_toml(path, Whole)
    (fault,) = caught.value.faults
    assert found in fault.found
    assert fault.file == str(path)


def test_missing_file_is_one_fault(tmp_path: Path) -> None:
    with pytest.raises(FixConfiguration, match="No such file"):
        load_toml(tmp_path / "none.toml", Whole)


@pytest.mark.parametrize("text", ["a = " + "[" * 100_000, "a = " + "9" * 100_000])
def test_hostile_toml_is_one_fault(tmp_path: Path, text: str) -> None:
    path = tmp_path / "f.toml"
    path.write_text(text)
    with pytest.raises(FixConfiguration):
        load_toml(path, Whole)

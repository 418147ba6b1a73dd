"""Every file on who may do what: it loads, and names nothing that the others do not know."""

from pathlib import Path

import pytest

from cloud.access.passwords import load_common
from cloud.model import permissions, personal
from cloud.organisations import kinds
from protocols.catalog.files import data_root
from protocols.errors import FixConfiguration

LOADERS = {
    "calls": permissions.load_calls,
    "categories": permissions.load_categories,
    "common_passwords": load_common,
    "departments": kinds.load_departments,
    "organisation_kinds": kinds.load_kinds,
    "personal": personal.load_personal,
    "roles": permissions.load_roles,
}
FOLDER = data_root() / "access"


def test_every_file_is_known_and_loads() -> None:
    assert {path.stem for path in FOLDER.glob("*")} == set(LOADERS)
    for load in LOADERS.values():
        load.cache_clear()
        assert load()


def test_files_name_only_what_the_others_know() -> None:
    known = kinds.load_kinds()
    for role in permissions.load_roles().values():
        assert set(role.held_in) <= set(known)
    cared_for = {one for d in kinds.load_departments().values() for one in d.categories}
    assert cared_for == set(permissions.load_categories())
    assert {kind.id for kind in known.values() if kind.signs_up}.isdisjoint(kinds.authorities())


@pytest.mark.parametrize(
    ("name", "before", "after", "found"),
    [
        ("organisation_kinds", "authority = true", "authorty = true", "unknown key"),
        ("organisation_kinds", 'id = "enterprise"', 'id = "firm"', "enterprise"),
        ("organisation_kinds", 'id = "enterprise"', 'id = "platform"', "each id once"),
        ("organisation_kinds", '"districts", "categories"]', '"districts"]', "categories"),
        ("organisation_kinds", '"credit_code", ', "", "credit code"),
        ("organisation_kinds", "keys_max", "keyes_max", "quotas"),
        ("organisation_kinds", "keys_max = 10", "keys_max = -1", "quotas"),
        ("departments", '"food"', '"meals"', "categories.toml"),
        ("departments", 'id = "health"', 'id = "commerce"', "each id once"),
    ],
)
def test_faulty_file_is_refused_with_what_is_wrong(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str, before: str, after: str, found: str
) -> None:
    (tmp_path / "access").mkdir()
    for path in FOLDER.glob("*.toml"):
        text = path.read_text(encoding="utf-8")
        assert path.stem != name or before in text
        text = text.replace(before, after, 1) if path.stem == name else text
        (tmp_path / "access" / path.name).write_text(text, encoding="utf-8")
    monkeypatch.setattr(kinds, "data_root", lambda: tmp_path)
    load = LOADERS[name]
    load.cache_clear()
    with pytest.raises(FixConfiguration, match=found):
        load()
    monkeypatch.undo()
    load.cache_clear()

"""What can be said of a configuration before it is signed: its shape, its ids, its data files.

The gateway checks everything once more, with what only it knows.
"""

import tempfile
import tomllib
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from protocols.catalog.controller import load_controllers
from protocols.errors import RefuseInput
from protocols.ids import ASSET_ID
from protocols.signed import check_overlay

FAULTS_TOLD_MAX = 5
_PARTS = ("buses", "readers", "scanners", "scales")


def check_configuration(gateway_id: str, site: str, overlay: Mapping[str, str]) -> None:
    """Refuse what no gateway would take.

    Raises:
        RefuseInput: `bad_site`, `bad_path`.

    """
    check_overlay(overlay)
    try:
        raw = tomllib.loads(site)
    except (ValueError, RecursionError) as error:
        raise RefuseInput("bad_site", f"site: expected TOML: {str(error)[:200]}") from None
    faults = list(_shape_faults(raw, gateway_id))
    if not faults:
        faults = list(_controller_faults(raw, overlay))
    if faults:
        raise RefuseInput("bad_site", "\n".join(faults[:FAULTS_TOLD_MAX]))


def _shape_faults(raw: dict[str, Any], gateway_id: str) -> Iterator[str]:
    if raw.get("schema") != 1:
        yield f"schema: expected 1, found {raw.get('schema')!r}"
    if raw.get("gateway_id") != gateway_id:
        yield f"gateway_id: expected {gateway_id!r}, found {str(raw.get('gateway_id'))[:64]!r}"
    uplink = raw.get("uplink", {})  # without it, the gateway knows by its enrolment
    if not isinstance(uplink, dict) or not isinstance(uplink.get("broker", ""), str):
        yield "uplink.broker: expected mqtt://host:port or mqtts://host:port"
    seen: set[str] = set()
    for name in _PARTS:
        tables = raw.get(name, [])
        if not isinstance(tables, list):
            yield f"{name}: expected a list of tables"
            continue
        for index, table in enumerate(tables):
            own = table.get("id") if isinstance(table, dict) else None
            if not isinstance(own, str) or own in seen:
                yield f"{name}[{index}].id: expected an id of its own, found {own!r}"
            else:
                seen.add(own)


def _controller_faults(raw: dict[str, Any], overlay: Mapping[str, str]) -> Iterator[str]:
    with tempfile.TemporaryDirectory(prefix="suyuan-overlay-") as name:
        folder = Path(name)
        for path, text in overlay.items():
            (folder / path).parent.mkdir(parents=True, exist_ok=True)
            (folder / path).write_text(text, encoding="utf-8")
        controllers, faults = load_controllers(folder)
        yield from (str(fault).replace(f"{folder}/", "") for fault in faults)
    for index, bus in enumerate(raw.get("buses", [])):
        devices = bus.get("devices", [])
        for number, device in enumerate(devices if isinstance(devices, list) else []):
            key = f"buses[{index}].devices[{number}]"
            asset, controller = (
                (device.get("asset"), device.get("controller"))
                if isinstance(device, dict)
                else (None, None)
            )
            if not isinstance(asset, str) or not ASSET_ID.fullmatch(asset):
                yield f"{key}.asset: expected scheme:code, found {asset!r}"
            if controller not in controllers:
                yield f"{key}.controller: expected a controller file, found {controller!r}"

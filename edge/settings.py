"""The site file: what one gateway reads, and where it sends it (design 4, pinned).

Parsed once into frozen types; every fault of a file is reported, not only the first.
"""

from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Annotated, Any, Literal
from urllib.parse import urlsplit

from msgspec import Meta, Struct

from protocols.border import convert, read_toml
from protocols.catalog.defaults import defaults
from protocols.errors import Fault, FixConfiguration
from protocols.ids import ASSET_ID, GATEWAY_ID

BusKind = Literal["modbus_tcp", "modbus_rtu", "modbus_rtu_over_tcp"]
Parity = Literal["none", "even", "odd", "N", "E", "O"]
"""In words, or by the letter of `8N1`."""
Id = Annotated[str, Meta(pattern="^[A-Za-z0-9][A-Za-z0-9._-]{0,63}$")]
Words = Annotated[str, Meta(min_length=1, max_length=256)]

_DEFAULTS = defaults()
_PORTS = {"mqtt": 1883, "mqtts": 8883}
_DEVICES_MAX = 247
_BITS_OF_PARITY = {"none": 0, "N": 0, "even": 1, "E": 1, "odd": 1, "O": 1}


class Uplink(Struct, frozen=True, kw_only=True):
    """The broker, and who we are there; the password comes from `$SUYUAN_MQTT_PASSWORD`."""

    broker: str
    """`mqtt://host:port`, or `mqtts://host:port` with TLS."""
    username: str = ""
    ca_file: str | None = None
    cert_file: str | None = None
    key_file: str | None = None

    @property
    def host(self) -> str:
        """The broker's name or address."""
        return urlsplit(self.broker).hostname or ""

    @property
    def port(self) -> int:
        """The broker's port; 1883, or 8883 with TLS, when the URL names none."""
        parts = urlsplit(self.broker)
        return parts.port or _PORTS[parts.scheme]

    @property
    def tls(self) -> bool:
        """Whether the connection is encrypted."""
        return urlsplit(self.broker).scheme == "mqtts"


class Device(Struct, frozen=True, kw_only=True):
    """One controller on a bus, and the asset it speaks of."""

    asset: str
    controller: Words
    """The id of a controller file."""
    unit_id: Annotated[int, Meta(ge=0, le=255)] = 1
    """On a serial line 1 to 247."""
    poll_interval_s: Annotated[float, Meta(ge=0.05, le=3600)] = _DEFAULTS.modbus.poll_interval_s


class Bus(Struct, frozen=True, kw_only=True):
    """One connection or serial line; one read is in flight on it at a time."""

    id: Id
    kind: BusKind
    devices: tuple[Device, ...]
    host: str | None = None
    port: Annotated[int, Meta(ge=1, le=65535)] | None = None
    """502 when a TCP bus names none."""
    device: str | None = None
    """A serial line's path."""
    baud_rate: Annotated[int, Meta(ge=300, le=4_000_000)] | None = None
    """9,600 when an RTU line names none."""
    parity: Parity | None = None
    stop_bits: Literal[1, 2] | None = None
    timeout_s: Annotated[float, Meta(ge=0.01, le=60)] | None = None
    """1.0 over TCP, 0.3 on a serial line; there never less than the baud rate asks for."""
    gap_max: Annotated[int, Meta(ge=0, le=125)] = _DEFAULTS.modbus.gap_max
    """Unlisted registers read along rather than starting another read."""

    @property
    def serial(self) -> bool:
        """Whether replies carry no transaction number, so that a late one looks like a new one."""
        return self.kind != "modbus_tcp"

    @property
    def bits_per_character(self) -> int:
        """Bits of one byte on the line: start, 8 data, parity, stop."""
        return 9 + _BITS_OF_PARITY[self.parity or "none"] + (self.stop_bits or 1)


class Reader(Struct, frozen=True, kw_only=True):
    """A tag reader."""

    id: Id
    kind: Literal["pcsc", "nfc", "uhf_serial", "llrp"]
    device: Words
    """A PC/SC reader's name, an nfcpy path, a serial device, or host:port."""
    step: Words | None = None
    """Business step of what is scanned here."""
    baud_rate: Annotated[int, Meta(ge=300, le=4_000_000)] | None = None
    """Of a serial reader."""
    away_s: Annotated[float, Meta(ge=0.1, le=3600)] = _DEFAULTS.readers.away_s
    """A tag not seen for longer has been away: the next sighting is another reading."""
    power_dbm: Annotated[float, Meta(ge=0, le=33)] | None = None
    """Of a UHF reader; as it is set when none is given."""
    banks: tuple[Literal["tid", "user"], ...] = ("tid", "user")
    """What a UHF reader reads of a tag's memory beside its EPC, once a visit."""


class Scanner(Struct, frozen=True, kw_only=True):
    """A bar code scanner."""

    id: Id
    kind: Literal["barcode_serial", "barcode_hid"]
    device: Words
    """A serial device, or an input device's path or name."""
    step: Words | None = None
    baud_rate: Annotated[int, Meta(ge=300, le=4_000_000)] | None = None
    """Of a serial scanner."""
    pair: Id | None = None
    """The reader at the same place: what both scan of one thing must name the same."""
    pair_within_s: Annotated[float, Meta(gt=0, le=600)] = 10.0
    """A scan at one belongs to the last one at the other if it is no older than this."""


class Scale(Struct, frozen=True, kw_only=True):
    """A weighing indicator on a serial line; one that speaks Modbus is a device of a bus."""

    id: Id
    kind: Literal["scale_serial"]
    asset: str
    """Whose readings its weights are."""
    protocol: Words
    """The id of a file in `scales/`."""
    device: Words
    baud_rate: Annotated[int, Meta(ge=300, le=4_000_000)] | None = None


class GateOutput(Struct, frozen=True, kw_only=True):
    """The gun or filling scale of a gate: the only thing that a gateway writes to."""

    kind: BusKind
    gun: Words
    """The id of a file in `gates/`: what stands where."""
    writes: dict[
        Literal["coil", "holding_register"], tuple[Annotated[int, Meta(ge=0, le=0xFFFF)], ...]
    ]
    """The permission: addresses of this unit that may be written, and no others."""
    unit_id: Annotated[int, Meta(ge=1, le=247)] = 1
    host: str | None = None
    port: Annotated[int, Meta(ge=1, le=65535)] | None = None
    device: str | None = None
    baud_rate: Annotated[int, Meta(ge=300, le=4_000_000)] | None = None
    parity: Parity | None = None
    stop_bits: Literal[1, 2] | None = None
    timeout_s: Annotated[float, Meta(ge=0.01, le=5)] | None = None
    """0.3 where it says nothing."""
    refresh_s: Annotated[float, Meta(ge=0.05, le=5)] = 0.5
    """It is written and read back so often; the device's own watchdog must be longer."""


class Person(Struct, frozen=True, kw_only=True):
    """Somebody who works at a gate."""

    id: Id
    name: Words
    role: Annotated[str, Meta(pattern=r"^[a-z][a-z0-9_]{0,31}\Z")] = "operator"
    """As in `access/roles.toml`; the rules say which role may overrule which reason."""
    pin: Annotated[str, Meta(pattern=r"^[0-9a-f]{32}\$[0-9a-f]{64}\Z")] | None = None
    """Salt and scrypt hash of a number, from `suyuan-edge pin`; asked when he takes a decision."""


class Gate(Struct, frozen=True, kw_only=True):
    """A filling place: nothing is filled there without a verdict."""

    id: Id
    reader: Id
    """The reader or scanner of the place."""
    scanners: tuple[Id, ...] = ()
    """Further ones of the same place: what they read must be of the same cylinder."""
    filler: Words
    """The organisation that fills."""
    gas: Annotated[str, Meta(pattern=r"^[a-z][a-z0-9_]{0,31}\Z")]
    """What comes out of the gun, as in `cylinders/gases.toml`."""
    components: Annotated[tuple[str, ...], Meta(max_length=16)] = ()
    """Of a mixture, as in `gases.toml`; in any order those of the cylinder."""
    output: GateOutput
    scale: str | None = None
    """Asset of the scale under the cylinder; None: nothing is weighed here."""
    presence: Literal["tag", "scale"] = "tag"
    """How it is known that the cylinder is still here: its tag is seen, or its weight stays."""
    people: Annotated[tuple[Person, ...], Meta(min_length=1, max_length=32)]
    """Who works here: nothing is released before one has said so."""
    release_s: Annotated[float, Meta(ge=5, le=600)] = 60.0
    fill_s: Annotated[float, Meta(ge=5, le=7200)] = 600.0
    settle_s: Annotated[float, Meta(ge=1, le=60)] = 2.0
    reweigh_s: Annotated[float, Meta(ge=5, le=600)] = 60.0
    rest_s: Annotated[float, Meta(ge=2, le=600)] = 10.0
    load_kg: Annotated[float, Meta(ge=0.05, le=1000)] = 1.0
    rise_kg: Annotated[float, Meta(ge=0.02, le=100)] = 0.5
    stop_before_kg: Annotated[float, Meta(ge=0, le=100)] = 0.3
    """What these mean is told at `edge.interlock.state.Place`."""


class Interlock(Struct, frozen=True, kw_only=True):
    """What holds for all gates."""

    utc_offset_min: Annotated[int, Meta(ge=-720, le=840)] = 480
    """Of local time: by its days inspections fall due."""


class SpoolSettings(Struct, frozen=True, kw_only=True):
    """How much disk the spool may take."""

    bytes_max: Annotated[int, Meta(ge=1024 * 1024)] = _DEFAULTS.spool.bytes_max
    """At the bound the oldest `data` batches go, and a gap record says so."""


class Local(Struct, frozen=True, kw_only=True):
    """What the gateway offers to others on its own network."""

    metrics: Annotated[str, Meta(pattern=r"^[^:\s]{1,255}:[0-9]{1,5}$")] | None = None
    """host:port of a Prometheus `/metrics` page; none when left out. It needs no password."""

    screen: Annotated[str, Meta(pattern=r"^(127\.0\.0\.1|localhost):[0-9]{1,5}$")] | None = None
    """127.0.0.1:port of the page of the gates, for a screen on this machine; none when left out."""

    @property
    def metrics_address(self) -> tuple[str, int] | None:
        """Host and port of the page of figures."""
        return _address(self.metrics)

    @property
    def screen_address(self) -> tuple[str, int] | None:
        """Host and port of the page of the gates."""
        return _address(self.screen)


class Remote(Struct, frozen=True, kw_only=True):
    """How what comes from the cloud is taken."""

    proof_s: Annotated[float, Meta(ge=2, le=3600)] = 60.0
    """A new configuration or version that is not proved healthy within so long is taken back."""


class Site(Struct, frozen=True, kw_only=True):
    """Everything one gateway does."""

    schema: Literal[1]
    gateway_id: str
    uplink: Uplink = Uplink(broker="")
    """A site file without it: what enrolment left in the state folder (edge/identity)."""
    buses: tuple[Bus, ...] = ()
    readers: tuple[Reader, ...] = ()
    scanners: tuple[Scanner, ...] = ()
    scales: tuple[Scale, ...] = ()
    gates: tuple[Gate, ...] = ()
    interlock: Interlock = Interlock()
    spool: SpoolSettings = SpoolSettings()
    local: Local = Local()
    remote: Remote = Remote()


def load_site(path: Path) -> Site:
    """Read a site file.

    Raises:
        FixConfiguration: with all faults of syntax, types, ranges and sense.

    """
    raw = read_toml(path)
    faults: list[Fault] = []
    site = convert(raw, Site, file=str(path), faults=faults)
    faults += _Sense(str(path)).faults(raw)
    if faults or site is None:
        raise FixConfiguration(faults)
    return site


class _Sense:
    """What types do not say; looks at each part that has the right types, whatever the others."""

    def __init__(self, file: str) -> None:
        self._file = file
        self._faults: list[Fault] = []

    def faults(self, raw: dict[str, Any]) -> list[Fault]:
        gateway_id = raw.get("gateway_id")
        if isinstance(gateway_id, str) and not GATEWAY_ID.fullmatch(gateway_id):
            self._add("gateway_id", "1 to 64 of a-z 0-9 -", gateway_id)
        if (uplink := self._part(raw.get("uplink"), Uplink)) is not None:
            self._check_uplink(uplink)
        buses = [
            (f"buses[{index}]", bus)
            for index, part in enumerate(_tables(raw, "buses"))
            if (bus := self._part(part, Bus)) is not None
        ]
        for key, bus in buses:
            self._check_bus(key, bus)
        for key, asset in _named(raw, "asset", "scales"):
            if not ASSET_ID.fullmatch(asset):
                self._add(key, "an asset id such as scale:fill-1", asset)
        self._check_pairs(raw)
        gates = [
            (f"gates[{index}]", gate)
            for index, part in enumerate(_tables(raw, "gates"))
            if (gate := self._part(part, Gate)) is not None
        ]
        for key, gate in gates:
            if gate.filler != gates[0][1].filler:
                expected = f"{gates[0][1].filler}: a gateway is of one station"
                self._add(f"{key}.filler", expected, gate.filler)
            self._check_gate(key, gate, raw, [bus for _, bus in buses])
        named = _named(raw, "id", "buses", "readers", "scanners", "scales", "gates")
        self._once(named, "an id of its own")
        self._once(_assets(raw), "each asset once")
        lines = [*_lines(buses), *_lines((f"{key}.output", one.output) for key, one in gates)]
        self._once(lines, "each serial line once, with all its devices")
        return self._faults

    def _part(self, data: object, type_: type[Any]) -> Any:
        return convert(data, type_, file=self._file, faults=[])

    def _add(self, key: str, expected: str, found: object) -> None:
        self._faults.append(Fault(self._file, key, expected, repr(found)))

    def _check_uplink(self, uplink: Uplink) -> None:
        if (problem := _url_problem(uplink.broker)) is not None:
            self._add("uplink.broker", problem, uplink.broker)
            return
        files = {name: getattr(uplink, name) for name in ("ca_file", "cert_file", "key_file")}
        if not uplink.tls and any(files.values()):
            self._add("uplink.broker", "mqtts:// where certificate files are given", uplink.broker)
        if bool(uplink.cert_file) != bool(uplink.key_file):
            self._add("uplink.cert_file", "both cert_file and key_file, or neither", files)

    def _check_bus(self, key: str, bus: Bus) -> None:
        self._check_keys(key, bus)
        if not 1 <= len(bus.devices) <= _DEVICES_MAX:
            self._add(f"{key}.devices", f"1 to {_DEVICES_MAX} devices", len(bus.devices))
        units: dict[tuple[int, str], int] = {}
        for index, device in enumerate(bus.devices):
            here = f"{key}.devices[{index}]"
            if not ASSET_ID.fullmatch(device.asset):
                self._add(f"{here}.asset", "an asset id such as elevator:3110", device.asset)
            if bus.serial and not 1 <= device.unit_id <= 247:
                self._add(f"{here}.unit_id", "1 to 247 on a serial line", device.unit_id)
            first = units.setdefault((device.unit_id, device.controller), index)
            if first != index:
                expected = f"another unit than {key}.devices[{first}] has"
                self._add(f"{here}.unit_id", expected, device.unit_id)

    def _check_pairs(self, raw: dict[str, Any]) -> None:
        readers = [name for _, name in _named(raw, "id", "readers")]
        for key, pair in _named(raw, "pair", "scanners"):
            if pair not in readers:
                self._add(key, f"the id of a reader ({', '.join(readers) or 'none'})", pair)

    def _check_gate(self, key: str, gate: Gate, raw: dict[str, Any], buses: Iterable[Bus]) -> None:
        output, here = gate.output, f"{key}.output"
        self._check_keys(here, output)
        readers = [name for _, name in _named(raw, "id", "readers")]
        scanners = [name for _, name in _named(raw, "id", "scanners")]
        known = ", ".join((*readers, *scanners)) or "none"
        for name in (gate.reader, *gate.scanners):
            if name not in {*readers, *scanners}:
                self._add(f"{key}.reader", f"the id of a reader or scanner ({known})", name)
        scales = [asset for _, asset in _assets(raw)]
        if gate.scale is not None and gate.scale not in scales:
            self._add(f"{key}.scale", "the asset of a scale of this site", gate.scale)
        by_scale = gate.presence == "scale" or gate.reader in scanners
        if gate.scale is None and by_scale:
            self._add(f"{key}.scale", "a scale, where no tag tells that it is still here", None)
        for bus in buses:
            same = output.host is not None and (output.host, output.port or 502) == (
                bus.host,
                bus.port or 502,
            )
            for device in bus.devices:
                if same and device.unit_id == output.unit_id and device.asset != gate.scale:
                    expected = f"another unit than that of {device.asset}: it is only read"
                    self._add(f"{here}.unit_id", expected, output.unit_id)

    def _check_keys(self, key: str, bus: Bus | GateOutput) -> None:
        line = ("device", "baud_rate", "parity", "stop_bits")
        foreign = {
            "modbus_tcp": line,
            "modbus_rtu": ("host", "port"),
            "modbus_rtu_over_tcp": ("device",),
        }
        needed = "device" if bus.kind == "modbus_rtu" else "host"
        if not getattr(bus, needed):
            self._add(f"{key}.{needed}", f"a value, for kind {bus.kind}", getattr(bus, needed))
        for name in foreign[bus.kind]:
            if getattr(bus, name) is not None:
                self._add(f"{key}.{name}", f"no such key for kind {bus.kind}", getattr(bus, name))

    def _once(self, named: Iterable[tuple[str, str]], expected: str) -> None:
        seen: dict[str, str] = {}
        for key, name in named:
            if name in seen:
                self._add(key, f"{expected}; {seen[name]} has it", name)
            seen.setdefault(name, key)


def _url_problem(url: str) -> str | None:
    try:
        parts = urlsplit(url)
        port = parts.port
    except ValueError:
        return "mqtt://host:port or mqtts://host:port"
    if parts.scheme not in _PORTS or not parts.hostname or port == 0:
        return "mqtt://host:port or mqtts://host:port"
    if parts.username is not None or parts.path.strip("/") or parts.query:
        return "nothing but scheme, host and port (the user name has its own key)"
    return None


def _address(text: str | None) -> tuple[str, int] | None:
    if text is None:
        return None
    host, _, port = text.rpartition(":")
    return host, int(port)


def _tables(raw: dict[str, Any], name: str) -> list[dict[str, Any]]:
    found = raw.get(name)
    return [one for one in found if isinstance(one, dict)] if isinstance(found, list) else []


def _named(raw: dict[str, Any], key: str, *names: str) -> Iterator[tuple[str, str]]:
    for name in names:
        for index, table in enumerate(_tables(raw, name)):
            if isinstance(table.get(key), str):
                yield f"{name}[{index}].{key}", table[key]


def _assets(raw: dict[str, Any]) -> Iterator[tuple[str, str]]:
    yield from _named(raw, "asset", "scales")
    for index, bus in enumerate(_tables(raw, "buses")):
        for key, asset in _named(bus, "asset", "devices"):
            yield f"buses[{index}].{key}", asset


def _lines(buses: Iterable[tuple[str, Bus | GateOutput]]) -> Iterator[tuple[str, str]]:
    for key, bus in buses:
        if bus.kind == "modbus_rtu" and bus.device:
            yield f"{key}.device", bus.device
        elif bus.kind == "modbus_rtu_over_tcp" and bus.host:
            yield f"{key}.host", f"{bus.host}:{bus.port or 502}"

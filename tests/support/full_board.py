"""A controller file that can say everything a simulated lift knows, for tests."""

from pathlib import Path

from protocols.catalog.controller import load_controller
from protocols.catalog.point_map import Controller

TEXT = """\
schema = 1
id = "full-board"
kind = "elevator"
word_order = "little"

[[points]]
name = "service_mode"
table = "holding_register"
address = 0x0100
type = "enum16"
bits = [0, 3]
values = { 0 = "out_of_service", 1 = "normal", 2 = "inspection", 3 = "fire_recall", \
4 = "firefighter", 5 = "emergency_power", 6 = "earthquake", 7 = "unknown" }

[[points]]
name = "car_status"
table = "holding_register"
address = 0x0100
type = "enum16"
bits = [4, 4]
values = { 0 = "stopped", 1 = "running" }

[[points]]
name = "car_direction"
table = "holding_register"
address = 0x0100
type = "enum16"
bits = [5, 6]
values = { 0 = "none", 1 = "up", 2 = "down" }

[[points]]
name = "power_status"
table = "coil"
address = 3
type = "bool"
values = { 0 = "mains", 1 = "outage" }

[[points]]
name = "door_zone"
table = "discrete_input"
address = 20
type = "bool"

[[points]]
name = "door_status"
table = "discrete_input"
address = 21
type = "bool"

[[points]]
name = "passenger_status"
table = "discrete_input"
address = 37
type = "bool"

[[points]]
name = "safety_circuit"
table = "discrete_input"
address = 38
type = "bool"

[[points]]
name = "car_position"
table = "holding_register"
address = 0x0102
type = "int16"

[[points]]
name = "speed"
table = "input_register"
address = 0x1010
type = "uint16"
scale = 0.001

[[points]]
name = "load_percent"
table = "input_register"
address = 0x1011
type = "uint16"
scale = 0.1

[[points]]
name = "total_running_time"
table = "input_register"
address = 0x1013
type = "uint32"

[[points]]
name = "present_counter_value"
table = "holding_register"
address = 0xF90B
type = "uint32"

[[points]]
name = "message_code"
table = "holding_register"
address = 0x0110
type = "bitfield16"
codes = { 0 = "90", 1 = "01", 2 = "02", 3 = "03", 4 = "04", 5 = "05", 6 = "06", 7 = "07", 8 = "08" }

[[points]]
name = "message_code"
table = "holding_register"
address = 0x0111
type = "bitfield16"
codes = { 0 = "40", 1 = "41", 2 = "42", 3 = "43", 4 = "44", 5 = "45", 6 = "46", 7 = "47" }
"""


def full_board(folder: Path) -> Controller:
    """Write and load the file."""
    path = folder / "full-board.toml"
    path.write_text(TEXT, encoding="utf-8")
    return load_controller(path, shipped=False)

"""Readings as line protocol: one line per asset and time, a field per value, its type in its name.

A field is named `{point}:{letter}`, so no two types ever meet in one field, and what comes back
has the type that it went with. Beside the values stands `_position`, the group in the log that
they came from; which log that is says the tag `log`.

    elevator,asset=elevator:1,log=all/data.0 speed:f=1.75,car_position:i=7i,_position=17i 1764…
"""

from collections.abc import Iterator
from dataclasses import dataclass

from cloud.model.logged import PlacedReadings
from cloud.telemetry.day_files.rows import qualities_of, to_json
from cloud.telemetry.remote.book import Mark
from protocols.ids import scheme_of
from protocols.readings import Value

FLOAT, INT, BOOL, TEXT, JSON, QUALITY = "fibsjq"
VALUE_LETTERS = FLOAT + INT + BOOL + TEXT + JSON
"""JSON: lists, and what no other field of the engine holds exactly."""
POSITION = "_position"
MARK = "_mark"
BODY_BYTES_MAX = 4 * 1024 * 1024
"""A body ends with the line that goes beyond this."""

_TAG_SAFE = str.maketrans(
    {",": "\\,", " ": "\\ ", "=": "\\=", "\\": "%5C", "%": "%25", '"': "%22", "\x7f": "%7F"}
    | {chr(code): f"%{code:02X}" for code in range(0x20)}
)


@dataclass(frozen=True, slots=True)
class Dialect:
    """What an engine takes; numbers outside these bounds travel as JSON text."""

    int_max: int
    """Whole numbers from -int_max to this keep their value."""
    float_min: float
    float_max: float
    """Magnitudes of a float other than 0."""
    text_bytes_max: int
    texts_in_tags: bool = False
    """True: the engine has numbers only; a text is the tag `text` of a line of its own, value 1."""
    tags: str = ""
    """On each line, with a comma before each."""


class Lines:
    """The lines of one append."""

    def __init__(self, dialect: Dialect) -> None:
        self._dialect = dialect
        self._lines: list[str] = []
        self._written: dict[tuple[str, str | tuple[str, ...]], str] = {}
        """Texts that were written before: most are words that come again and again."""

    def add(self, reading: PlacedReadings, log: str, position: int) -> None:
        """Add one reading of group `position` of `log`.

        Raises:
            ValueError: a text is longer than the engine keeps.

        """
        series = f"{scheme_of(reading.asset)},asset={reading.asset},log={log}{self._dialect.tags}"
        rows: list[list[str]] = [[] for _ in reading.at]
        plain = not reading.quality and not reading.time_unknown
        for name, column in reading.columns().items():
            self._add_column(series, reading.at, rows, name, column)
            if not plain or None in column:
                self._add_qualities(series, reading, rows, name, column)
        end = f"{POSITION}={position}i"
        for fields, at in zip(rows, reading.at, strict=True):
            fields.append(end)
            self._lines.append(f"{series} {','.join(fields)} {at}")

    def add_mark(self, mark: Mark, at: int) -> None:
        """Add a mark, at a time of its own."""
        known = {
            "position": mark.position,
            "sent": mark.sent,
            "kept_to": mark.kept_to,
            "dropped_before": mark.dropped_before,
        }
        fields = ",".join(f"{name}={value}i" for name, value in known.items() if value is not None)
        series = f"{MARK},partition={tag_text(mark.partition)},generation={mark.generation}"
        self._lines.append(f"{series}{self._dialect.tags} {fields} {at}")

    def bodies(self) -> Iterator[bytes]:
        """Yield what to send, in order."""
        start = size = 0
        for number, line in enumerate(self._lines, 1):
            size += len(line)
            if size > BODY_BYTES_MAX:
                yield "\n".join(self._lines[start:number]).encode()
                start, size = number, 0
        if start < len(self._lines):
            yield "\n".join(self._lines[start:]).encode()

    def _add_column(
        self, series: str, at: list[int], rows: list[list[str]], name: str, column: list[Value]
    ) -> None:
        dialect = self._dialect
        for row, value in enumerate(column):
            # a float, a small whole number, a truth: in the order of what is frequent
            if isinstance(value, float) and dialect.float_min <= abs(value) <= dialect.float_max:
                rows[row].append(f"{name}:f={value!r}")
            elif value is True or value is False:
                rows[row].append(f"{name}:b={value!r}")
            elif isinstance(value, int) and -dialect.int_max <= value <= dialect.int_max:
                rows[row].append(f"{name}:i={value!r}i")
            elif isinstance(value, float) and str(value) == "0.0":
                rows[row].append(f"{name}:f=0")
            elif value is not None:
                self._put(series, at[row], rows[row], self._text(name, value))

    def _add_qualities(
        self,
        series: str,
        reading: PlacedReadings,
        rows: list[list[str]],
        name: str,
        column: list[Value],
    ) -> None:
        for row, quality in enumerate(qualities_of(reading, name, column)):
            if quality != "good":
                text = self._write(name, QUALITY, quality)
                self._put(series, reading.at[row], rows[row], text)

    def _put(self, series: str, at: int, fields: list[str], written: str) -> None:
        if self._dialect.texts_in_tags:
            self._lines.append(f"{series}{written} {at}")
        else:
            fields.append(written)

    def _text(self, name: str, value: Value) -> str:
        if not isinstance(value, str | list):
            return self._write(name, JSON, str(to_json(value)))
        key = (name, value if isinstance(value, str) else tuple(value))
        written = self._written.get(key)
        if written is None:
            if isinstance(value, str) and value and value.isprintable():
                written = self._write(name, TEXT, value)
            else:
                written = self._write(name, JSON, str(to_json(value)))
            self._written[key] = written
        return written

    def _write(self, name: str, letter: str, text: str) -> str:
        if len(text) > self._dialect.text_bytes_max // 4:
            size = len(text.encode())
            if size > self._dialect.text_bytes_max:
                raise ValueError(f"{name}: a text of {size} bytes is more than the engine keeps")
        if self._dialect.texts_in_tags:
            return f",text={tag_text(text)} {name}:{letter}=1"
        if "\\" in text or '"' in text:
            text = text.replace("\\", "\\\\").replace('"', '\\"')
        return f'{name}:{letter}="{text}"'


def tag_text(text: str) -> str:
    """Write any text as a tag's value; `urllib.parse.unquote` reads it back."""
    return text.translate(_TAG_SAFE)

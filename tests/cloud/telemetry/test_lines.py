"""Line protocol: what stands in it, and what it costs."""

from urllib.parse import unquote

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cloud.model.logged import PlacedReadings, flattened
from cloud.telemetry.remote.lines import Dialect, Lines, tag_text
from protocols.readings import Quality, Value

WORDS = Dialect(int_max=2**63 - 1, float_min=5e-324, float_max=1.8e308, text_bytes_max=60_000)
NUMBERS = Dialect(
    int_max=2**53,
    float_min=1e-12,
    float_max=1e15,
    text_bytes_max=100,
    texts_in_tags=True,
    tags=",db=city",
)


def lines(
    dialect: Dialect,
    values: dict[str, list[Value]],
    quality: dict[str, list[Quality]] | None = None,
) -> list[str]:
    one = Lines(dialect)
    points, flat = flattened(values)
    count = len(next(iter(values.values())))
    one.add(
        PlacedReadings(
            asset="elevator:1",
            gateway="gw-1",
            seq=1,
            received_at=0,
            at=list(range(1_000, 1_000 + count)),
            points=points,
            flat=flat,
            quality=quality or {},
        ),
        "all/data.0",
        17,
    )
    return b"\n".join(one.bodies()).decode().split("\n")


def test_each_type_has_its_own_field() -> None:
    series = "elevator,asset=elevator:1,log=all/data.0"
    values: dict[str, list[Value]] = {
        "speed": [1.5, 2],
        "door_zone": [True, "open"],
        "code": [["01"], None],
    }
    assert lines(WORDS, values) == [
        f'{series} speed:f=1.5,door_zone:b=True,code:j="[\\"01\\"]",_position=17i 1000',
        f'{series} speed:i=2i,door_zone:s="open",code:q="no_value",_position=17i 1001',
    ]


def test_texts_travel_in_tags_where_there_are_numbers_alone() -> None:
    series = "elevator,asset=elevator:1,log=all/data.0,db=city"
    assert lines(NUMBERS, {"mode": ["a b"], "speed": [1.5], "huge": [2**53 + 1]}) == [
        f"{series},text=a\\ b mode:s=1 1000",
        f"{series},text=9007199254740993 huge:j=1 1000",
        f"{series} speed:f=1.5,_position=17i 1000",
    ]


def test_qualities_are_kept_where_not_good() -> None:
    (line,) = lines(WORDS, {"speed": [1.5]}, {"speed": ["stale"]})
    assert ' speed:f=1.5,speed:q="stale",_position' in line


def test_text_beyond_the_bound_is_refused() -> None:
    with pytest.raises(ValueError, match="more than the engine keeps"):
        lines(NUMBERS, {"mode": ["电" * 34]})


def test_bodies_are_cut_between_lines(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("cloud.telemetry.remote.lines.BODY_BYTES_MAX", 150)
    values: dict[str, list[Value]] = {"speed": [1.5] * 5}
    assert len(lines(WORDS, values)) == 5


@given(st.text())
def test_tag_text_comes_back_and_ends_no_tag(text: str) -> None:
    written = tag_text(text)
    assert not set('\n\r\t"') & set(written)
    plain = written.replace("\\,", "").replace("\\ ", "").replace("\\=", "")
    assert not set(", =\\") & set(plain)
    unescaped = written.replace("\\,", ",").replace("\\ ", " ").replace("\\=", "=")
    assert unquote(unescaped) == text

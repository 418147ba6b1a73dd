"""The broker's log is counted once, whatever is rotated, emptied or started again."""

from pathlib import Path

from cloud.model.refusal import Refusal
from cloud.trust.book import REFUSALS_MAX, add_refusals, read_refusals
from cloud.trust.watch import LogWatch
from tests.support.authority import Bureau


def _denied(topic: str) -> str:
    return f"1795648632: Denied PUBLISH from gw-1 (d0, q1, r0, m1, '{topic}', ... (6 bytes))\n"


def _watch(bureau: Bureau, file: Path) -> LogWatch:
    return LogWatch(file, bureau.database, bureau.clock)


def _drain(watch: LogWatch) -> None:
    while watch.step():
        pass


def _counts(bureau: Bureau) -> dict[str, int]:
    return {one.what: one.count for one in bureau.desk.refusals()}


def test_each_line_counts_once_across_restarts_and_rotation(bureau: Bureau, tmp_path: Path) -> None:
    file = tmp_path / "broker.log"
    _drain(_watch(bureau, file))
    file.write_text(_denied("a") + _denied("a") + _denied("b")[:20])
    _drain(_watch(bureau, file))
    assert _counts(bureau) == {"a": 2}
    with file.open("a") as log:
        log.write(_denied("b")[20:] + _denied("c"))
    file.rename(tmp_path / "broker.log.1")
    file.write_text(_denied("d"))
    _drain(_watch(bureau, file))
    _drain(_watch(bureau, file))
    assert _counts(bureau) == {"a": 2, "b": 1, "c": 1, "d": 1}
    file.write_text("")
    _drain(_watch(bureau, file))
    file.write_text(_denied("f"))
    _drain(_watch(bureau, file))
    assert _counts(bureau)["f"] == 1


def test_bytes_that_are_no_text_stop_nothing(bureau: Bureau, tmp_path: Path) -> None:
    file = tmp_path / "broker.log"
    file.write_bytes(b"\xff\x00\xfe\n" + _denied("a").encode() + b"x" * 2_000_000)
    _drain(_watch(bureau, file))
    assert _counts(bureau) == {"a": 1}


def test_book_of_refusals_is_bounded_and_keeps_the_latest(bureau: Bureau) -> None:
    many = [
        Refusal(kind="publish", who="gw-1", what=f"x/{number}", first_at=number, last_at=number)
        for number in range(REFUSALS_MAX + 50)
    ]
    bureau.database.write_now(lambda c: add_refusals(c, many))
    kept = bureau.database.read_now(lambda c: read_refusals(c, 5_000))
    assert len(kept) == REFUSALS_MAX
    assert kept[0].what == f"x/{REFUSALS_MAX + 49}"

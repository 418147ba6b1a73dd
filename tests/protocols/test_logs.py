"""Logs for machines: one JSON object a line, whatever is in the message."""

import json
import logging

import pytest

from protocols.logs import JsonLines, log_to_stderr


def test_a_record_is_one_line_of_json() -> None:
    record = logging.LogRecord("edge.x", logging.WARNING, "f", 1, "a\nb %s", ("罐",), None)
    line = JsonLines().format(record)
    assert "\n" not in line
    found = json.loads(line)
    assert (found["level"], found["logger"], found["message"]) == ("warning", "edge.x", "a\nb 罐")
    assert found["at"].endswith("Z")


def test_an_error_keeps_its_traceback(capsys: pytest.CaptureFixture[str]) -> None:
    root = logging.getLogger()
    before = root.handlers[:]
    try:
        log_to_stderr({"SUYUAN_LOG": "json"})
        try:
            raise ValueError("boom")
        except ValueError:
            logging.getLogger("x").exception("broke")
        assert "ValueError: boom" in json.loads(capsys.readouterr().err)["error"]
        log_to_stderr({})
        logging.getLogger("x").info("plain")
        assert capsys.readouterr().err.endswith("INFO x plain\n")
    finally:
        root.handlers[:] = before

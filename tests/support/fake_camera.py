"""What Chromium's fake camera shows: a code, drawn into a file of raw pictures."""

from pathlib import Path

import segno

WIDTH, HEIGHT, FRAMES = 640, 480, 8
DOT = 9
"""Pixels of one module of the code."""


def arguments(file: Path) -> tuple[str, ...]:
    """Return what Chromium is started with to see this file by its camera."""
    return (
        "--use-fake-ui-for-media-stream",
        "--use-fake-device-for-media-stream",
        f"--use-file-for-fake-video-capture={file}",
    )


def show(file: Path, text: str) -> None:
    """Write a film (YUV4MPEG2) of a QR code before a grey wall."""
    rows = [bytes(row) for row in segno.make_qr(text, error="m").matrix_iter(border=4)]
    side = len(rows) * DOT
    left, top = (WIDTH - side) // 2, (HEIGHT - side) // 2
    wall = bytearray(b"\x90" * (WIDTH * HEIGHT))
    for number in range(side):
        line = b"".join((b"\x10" if dot else b"\xeb") * DOT for dot in rows[number // DOT])
        start = (top + number) * WIDTH + left
        wall[start : start + side] = line
    colours = b"\x80" * (WIDTH * HEIGHT // 2)
    head = f"YUV4MPEG2 W{WIDTH} H{HEIGHT} F5:1 Ip A1:1 C420jpeg\n".encode()
    file.write_bytes(head + (b"FRAME\n" + bytes(wall) + colours) * FRAMES)

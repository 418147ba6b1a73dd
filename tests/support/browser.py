"""Debian's Chromium and an application on a free loopback port, both in the test's event loop."""

import asyncio
import contextlib
import os
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
import uvicorn
from playwright.async_api import Browser, async_playwright
from starlette.types import ASGIApp

from tests.support.mosquitto import free_port

CHROMIUM = Path("/usr/bin/chromium")
ARGUMENTS = [
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
]


@contextlib.asynccontextmanager
async def serve(app: ASGIApp, stopping: asyncio.Event) -> AsyncIterator[str]:
    """Serve `app`; yields its address."""
    port = free_port()
    config = uvicorn.Config(
        app, host="127.0.0.1", port=port, log_level="warning", timeout_graceful_shutdown=1
    )
    server = uvicorn.Server(config)
    server.capture_signals = contextlib.nullcontext  # type: ignore[method-assign, assignment]
    task = asyncio.create_task(server.serve())
    while not server.started:
        if task.done():
            task.result()
        await asyncio.sleep(0.01)
    try:
        yield f"http://127.0.0.1:{port}"
    finally:
        stopping.set()
        server.should_exit = True
        await task


@contextlib.asynccontextmanager
async def chromium(*more: str) -> AsyncIterator[Browser]:
    """Start a browser of the test's own, with further arguments."""
    if not CHROMIUM.exists():
        pytest.skip("chromium is not installed (Debian: apt-get install chromium fonts-noto-cjk)")
    os.environ.setdefault("PLAYWRIGHT_SKIP_VALIDATE_HOST_REQUIREMENTS", "1")
    async with async_playwright() as playwright:
        browser = await playwright.chromium.launch(
            executable_path=str(CHROMIUM), args=[*ARGUMENTS, *more], timeout=60_000
        )
        try:
            yield browser
        finally:
            await browser.close()

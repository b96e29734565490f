"""Fixtures for all tests."""

import asyncio
from collections.abc import Iterator

import pytest


@pytest.fixture(scope="session", autouse=True)
def _event_loop_to_close() -> Iterator[None]:
    """Give the main thread a loop: looptime and pytest-asyncio would make one each, and leave it open (a warning)."""
    loop = asyncio.new_event_loop()
    asyncio.set_event_loop(loop)
    yield
    asyncio.set_event_loop(None)
    loop.close()

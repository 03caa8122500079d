"""What is easier said in Python of the classes for asyncio."""

from __future__ import annotations

import asyncio
import atexit
from collections.abc import Awaitable, Callable, Coroutine, Generator
from types import TracebackType
from typing import Any, Generic, Optional, TypeVar

from . import _native

T = TypeVar("T")

# So `asyncio.create_task` and `asyncio.run` take one.
Coroutine.register(_native.Operation)

atexit.register(_native._at_exit)


def go_on(future: asyncio.Future[None]) -> None:
    """Lets a task go on that may have been cancelled meanwhile."""
    if not future.done():
        future.set_result(None)


class Entered(Generic[T]):
    """Something that is opened when it is awaited, or for an `async with` block."""

    def __init__(self, operation: _native.Operation[T]) -> None:
        self._operation = operation
        self._opened: Any = None

    def __await__(self) -> Generator[Any, None, T]:
        return self._operation.__await__()

    async def __aenter__(self) -> T:
        self._opened = await self._operation
        return self._opened  # type: ignore[no-any-return]

    async def __aexit__(
        self,
        kind: Optional[type[BaseException]],
        value: Optional[BaseException],
        traceback: Optional[TracebackType],
    ) -> None:
        await self._opened.close()


async def run(
    block: _native.AsyncBlock,
    body: Callable[[_native.AsyncTransaction], Awaitable[T]],
) -> T:
    """Runs `body` until what it did commits."""
    try:
        transaction = await block._next()
        assert transaction is not None
        while True:
            value = await body(transaction)
            transaction = await block._next()
            if transaction is None:
                return value
    except BaseException:
        block._abandon()
        raise

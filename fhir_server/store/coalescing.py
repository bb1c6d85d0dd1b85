"""Natural batching: whatever waits while the database is busy goes out together, without any timer.

A lone request is sent at once. The driver's fixed cost of a call is paid once for all that wait.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import AsyncIterator, Awaitable, Callable, Hashable
from contextlib import asynccontextmanager
from typing import Generic, TypeVar

from fhir_server.store.documents import Unavailable

Item = TypeVar("Item")
Result = TypeVar("Result")

#: A flush takes at most this many items, bytes; so many flushes are under way at once.
FLUSH_ITEMS = 200
FLUSH_BYTES = 12 << 20
FLUSHES = 2
#: Above this many waiting items a new one is refused: the database does not keep up.
LONGEST_QUEUE = 20_000


class Waiter(Generic[Item, Result]):
    """One item in the queue and the future that its caller awaits."""

    __slots__ = ("future", "item", "key", "size")

    def __init__(self, item: Item, size: int, key: Hashable, future: asyncio.Future[Result]) -> None:
        self.item = item
        self.size = size
        self.key = key
        self.future = future

    def resolve(self, result: Result) -> None:
        """Answer the caller, unless it is gone."""
        if not self.future.done():
            self.future.set_result(result)

    def refuse(self, problem: BaseException) -> None:
        """Raise in the caller, unless it is gone."""
        if not self.future.done():
            self.future.set_exception(problem)


class Coalescer(Generic[Item, Result]):
    """A queue whose items are flushed together.

    ``flush`` gets the waiters and answers each of them; an exception from it answers the rest. Items with the
    same ``key`` never share a flush and are never under way at the same time: they keep their order.
    """

    def __init__(self, flush: Callable[[list[Waiter[Item, Result]]], Awaitable[None]]) -> None:
        self._flush = flush
        self._queue: deque[Waiter[Item, Result]] = deque()
        self._behind: dict[Hashable, deque[Waiter[Item, Result]]] = {}
        self._under_way: set[asyncio.Task[None]] = set()
        self._is_scheduled = False
        self._is_closed = False
        self.flushes = 0
        self.flushed = 0

    @property
    def waiting(self) -> int:
        """How many items are queued for a flush."""
        return len(self._queue)

    @property
    def flights(self) -> int:
        """How many flushes are under way."""
        return len(self._under_way)

    async def submit(self, item: Item, *, size: int = 0, key: Hashable = None) -> Result:
        """Return the flush's answer for this item; raise Unavailable when the queue is full or closed.

        A caller that is cancelled while its item is still queued takes it back; once the flush is under way
        the item is completed without it.
        """
        if self._is_closed or len(self._queue) >= LONGEST_QUEUE:
            reason = "is shutting down" if self._is_closed else "has too much to do"
            raise Unavailable(f"The server {reason}; nothing was done.")
        loop = asyncio.get_running_loop()
        waiter: Waiter[Item, Result] = Waiter(item, size, key, loop.create_future())
        if key is not None and key in self._behind:
            self._behind[key].append(waiter)
        else:
            if key is not None:
                self._behind[key] = deque()
            self._queue.append(waiter)
            self._schedule(loop)
        return await waiter.future

    async def close(self) -> None:
        """Refuse new items and return when all that were accepted are answered."""
        self._is_closed = True
        while self._queue or self._under_way:
            self._pump()
            await asyncio.gather(*self._under_way, return_exceptions=True)

    def _schedule(self, loop: asyncio.AbstractEventLoop) -> None:
        if not self._is_scheduled and len(self._under_way) < FLUSHES:
            self._is_scheduled = True
            loop.call_soon(self._pump)  # callers of the same round of the loop join the batch

    def _pump(self) -> None:
        self._is_scheduled = False
        while self._queue and len(self._under_way) < FLUSHES:
            batch = self._take()
            if batch:
                self.flushes += 1
                self.flushed += len(batch)
                task = asyncio.create_task(self._run(batch))
                self._under_way.add(task)

    def _take(self) -> list[Waiter[Item, Result]]:
        batch: list[Waiter[Item, Result]] = []
        size = 0
        while self._queue and len(batch) < FLUSH_ITEMS:
            waiter = self._queue[0]
            if batch and size + waiter.size > FLUSH_BYTES:
                break
            self._queue.popleft()
            if waiter.future.done():  # cancelled before it was sent
                self._release(waiter)
                continue
            size += waiter.size
            batch.append(waiter)
        return batch

    async def _run(self, batch: list[Waiter[Item, Result]]) -> None:
        task = asyncio.current_task()
        assert task is not None
        problem: BaseException = RuntimeError("a flush left an item unanswered")
        try:
            await self._flush(batch)
        except Exception as raised:  # noqa: BLE001 (raised again in every caller that waits)
            problem = raised
        except asyncio.CancelledError:
            problem = Unavailable("The server is shutting down; whether this was done is unknown.")
            raise
        finally:
            self._under_way.discard(task)
            for waiter in batch:
                waiter.refuse(problem)
                self._release(waiter)
            if self._queue:
                self._schedule(asyncio.get_running_loop())

    def _release(self, waiter: Waiter[Item, Result]) -> None:
        """Let the next item with the same key go."""
        if waiter.key is None:
            return
        behind = self._behind[waiter.key]
        while behind:
            following = behind.popleft()
            if not following.future.done():
                self._queue.append(following)
                return
        del self._behind[waiter.key]


class KeyLocks:
    """One asyncio lock per key, kept only while somebody holds or awaits it."""

    def __init__(self) -> None:
        self._locks: dict[Hashable, tuple[asyncio.Lock, int]] = {}
        self._freed: dict[Hashable, asyncio.Event] = {}

    @asynccontextmanager
    async def hold(self, key: Hashable) -> AsyncIterator[None]:
        """Enter when no other task of this process holds ``key``, in the order of asking."""
        lock, users = self._locks.get(key) or (asyncio.Lock(), 0)
        self._locks[key] = (lock, users + 1)
        try:
            async with lock:
                yield
        finally:
            lock, users = self._locks[key]
            if users == 1:
                del self._locks[key]
                if key in self._freed:
                    self._freed.pop(key).set()
            else:
                self._locks[key] = (lock, users - 1)

    async def freed(self, key: Hashable) -> bool:
        """Return False at once if nobody holds ``key``, else True as soon as nobody does: to all who wait."""
        if key not in self._locks:
            return False
        await self._freed.setdefault(key, asyncio.Event()).wait()
        return True


class SharedRuns(Generic[Result]):
    """Runs of the same question, one after the other; each answers all who asked before it began."""

    def __init__(self) -> None:
        self._turns = KeyLocks()
        self._next: dict[Hashable, asyncio.Task[Result]] = {}

    async def join(self, key: Hashable, work: Callable[[], Awaitable[Result]]) -> Result:
        """Return (or raise) what ``work`` of the first who asked under ``key`` does; it begins after this call."""
        run = self._next.get(key)
        if run is None:
            run = self._next[key] = asyncio.create_task(self._run(key, work))
        return await asyncio.shield(run)

    async def _run(self, key: Hashable, work: Callable[[], Awaitable[Result]]) -> Result:
        async with self._turns.hold(key):
            del self._next[key]
            return await work()

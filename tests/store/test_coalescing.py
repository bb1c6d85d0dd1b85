from __future__ import annotations

import asyncio

import pytest

from fhir_server.store import coalescing
from fhir_server.store.coalescing import Coalescer, KeyLocks, SharedRuns
from fhir_server.store.documents import Unavailable


class Recorder:
    """A flush that records its batches and answers when it is let go."""

    def __init__(self):
        self.batches = []
        self.gate = asyncio.Event()
        self.together = 0
        self.most = 0

    async def __call__(self, waiters):
        self.batches.append([waiter.item for waiter in waiters])
        self.together += 1
        self.most = max(self.most, self.together)
        await self.gate.wait()
        self.together -= 1
        for waiter in waiters:
            waiter.resolve(waiter.item * 10)


async def start(coroutine):
    task = asyncio.create_task(coroutine)
    await asyncio.sleep(0)
    return task


async def settle():
    for _ in range(5):
        await asyncio.sleep(0)


async def test_what_waits_goes_together_with_two_flushes_under_way():
    flush = Recorder()
    queue = Coalescer(flush)
    tasks = [await start(queue.submit(1))]
    await settle()
    tasks.append(await start(queue.submit(2)))
    await settle()
    tasks += [await start(queue.submit(number)) for number in range(3, 10)]
    await settle()
    assert flush.batches == [[1], [2]]
    assert (queue.waiting, queue.flights) == (7, 2)
    flush.gate.set()
    assert await asyncio.gather(*tasks) == [number * 10 for number in range(1, 10)]
    assert flush.batches == [[1], [2], [3, 4, 5, 6, 7, 8, 9]]
    assert flush.most == 2
    assert (queue.flushes, queue.flushed) == (3, 9)


async def test_batches_end_at_their_limits_and_a_giant_goes_alone(monkeypatch):
    monkeypatch.setattr(coalescing, "FLUSH_ITEMS", 3)
    monkeypatch.setattr(coalescing, "FLUSH_BYTES", 100)
    flush = Recorder()
    flush.gate.set()
    queue = Coalescer(flush)
    sizes = [10, 10, 10, 10, 500, 60, 60, 40]
    await asyncio.gather(*(queue.submit(number, size=size) for number, size in enumerate(sizes)))
    assert flush.batches == [[0, 1, 2], [3], [4], [5], [6, 7]]


async def test_equal_keys_never_share_a_flush_and_keep_their_order():
    flush = Recorder()
    queue = Coalescer(flush)
    tasks = [asyncio.create_task(queue.submit(number, key="ab"[number % 2])) for number in range(6)]
    await settle()
    assert flush.batches == [[0, 1]]
    tasks[2].cancel()
    flush.gate.set()
    results = await asyncio.gather(*tasks, return_exceptions=True)
    assert flush.batches == [[0, 1], [4, 3], [5]]
    assert isinstance(results[2], asyncio.CancelledError)
    assert not queue._behind


async def test_a_cancelled_item_that_was_not_sent_lets_the_next_of_its_key_go():
    flush = Recorder()
    queue = Coalescer(flush)
    first = [await start(queue.submit(number)) for number in (1, 2)]
    await settle()
    more = [await start(queue.submit(number)) for number in (3, 4)]
    await settle()
    gone = await start(queue.submit(5, key="k"))
    behind = await start(queue.submit(6, key="k"))
    gone.cancel()
    await settle()
    flush.gate.set()
    assert await behind == 60
    assert 5 not in {item for batch in flush.batches for item in batch}
    await asyncio.gather(*first, *more)


async def test_an_exception_of_a_flush_reaches_all_its_callers_and_the_queue_goes_on():
    calls = []

    async def flush(waiters):
        calls.append(1)
        if len(calls) == 1:
            waiters[0].resolve("first")
            raise ZeroDivisionError
        waiters[0].resolve("later")

    queue = Coalescer(flush)
    results = await asyncio.gather(*(queue.submit(number) for number in range(3)), return_exceptions=True)
    assert results[0] == "first"
    assert [type(result) for result in results[1:]] == [ZeroDivisionError] * 2
    assert await queue.submit(9) == "later"


async def test_an_item_that_a_flush_forgot_is_a_defect_not_a_hang():
    async def flush(waiters):
        pass

    with pytest.raises(RuntimeError, match="unanswered"):
        await Coalescer(flush).submit(1)


async def test_a_queue_that_is_too_long_refuses(monkeypatch):
    monkeypatch.setattr(coalescing, "LONGEST_QUEUE", 2)
    flush = Recorder()
    queue = Coalescer(flush)
    tasks = []
    for number in range(4):
        tasks.append(await start(queue.submit(number)))
        await settle()
    with pytest.raises(Unavailable, match="too much to do"):
        await queue.submit(9)
    flush.gate.set()
    await asyncio.gather(*tasks)


async def test_close_answers_what_was_accepted_and_refuses_the_rest():
    flush = Recorder()
    flush.gate.set()
    queue = Coalescer(flush)
    tasks = [await start(queue.submit(number, key="k")) for number in range(5)]
    await queue.close()
    assert [task.result() for task in tasks] == [0, 10, 20, 30, 40]
    with pytest.raises(Unavailable, match="shutting down"):
        await queue.submit(1)


async def test_locks_admit_one_holder_per_key_in_order_and_leave_nothing():
    locks = KeyLocks()
    seen = []
    gate = asyncio.Event()

    async def hold(key, name):
        async with locks.hold(key):
            seen.append(f"+{name}")
            await gate.wait()
            await asyncio.sleep(0)
            seen.append(f"-{name}")

    tasks = [await start(hold(key, name)) for key, name in (("k", "a"), ("k", "b"), ("k", "c"), ("l", "d"))]
    assert seen == ["+a", "+d"]
    tasks[1].cancel()
    gate.set()
    await asyncio.gather(*tasks, return_exceptions=True)
    assert [step for step in seen if step[1] != "d"] == ["+a", "-a", "+c", "-c"]
    assert not locks._locks


async def test_who_waits_for_a_key_to_be_free_goes_on_with_all_others():
    locks = KeyLocks()
    assert await locks.freed("a") is False
    async with locks.hold("a"):
        waiting = [asyncio.create_task(locks.freed("a")) for _ in range(3)]
        await asyncio.sleep(0)
        assert not any(task.done() for task in waiting)
    assert await asyncio.gather(*waiting) == [True, True, True]
    assert not locks._locks
    assert not locks._freed


async def test_one_run_answers_all_who_asked_before_it_began_and_none_who_asked_later():
    runs: SharedRuns[int] = SharedRuns()
    begun = 0
    go_on = asyncio.Event()

    async def work():
        nonlocal begun
        begun += 1
        number = begun
        await go_on.wait()
        if number == 3:
            raise ValueError("third")
        return number

    async def wave(count):
        tasks = [asyncio.create_task(runs.join("a", work)) for _ in range(count)]
        await asyncio.sleep(0.01)
        return tasks

    first, second = await wave(3), await wave(5)
    assert begun == 1
    go_on.set()
    assert await asyncio.gather(*first) == [1] * 3
    assert await asyncio.gather(*second) == [2] * 5
    third = await asyncio.gather(*await wave(2), return_exceptions=True)
    assert [str(problem) for problem in third] == ["third", "third"]
    assert not runs._next


async def test_a_caller_that_gives_up_leaves_the_run_to_the_others():
    runs: SharedRuns[str] = SharedRuns()
    go_on = asyncio.Event()

    async def work():
        await go_on.wait()
        return "done"

    leader, other = (asyncio.create_task(runs.join("a", work)) for _ in range(2))
    await asyncio.sleep(0.01)
    leader.cancel()
    go_on.set()
    assert await other == "done"

"""The classes for asyncio."""

import asyncio
import os
import threading

import level_party
import pytest


def run(path, main, **options):
    async def whole():
        async with level_party.open_async(path, **options) as db:
            return await asyncio.wait_for(main(db), 120)

    return asyncio.run(whole())


def test_every_call_of_one_key(path):
    async def main(db):
        await db.put(b"a", b"1")
        assert await db.get(b"a") == b"1"
        assert await db.get(b"b") is None
        assert await db.get(b"b", 7) == 7
        assert await db.contains(b"a") and not await db.contains(b"b")
        assert await db.get_many([b"a", b"b"]) == [b"1", None]
        await db.delete(b"a", sync=True)
        await db.put(b"a", b"2", sync=True)
        await db.put(b"a", b"2", sync=False)
        assert await db.replace(b"a", b"3") == b"2"
        assert await db.setdefault(b"a", b"4") == b"3"
        assert await db.setdefault(b"c", b"4") == b"4"
        assert await db.pop(b"c") == b"4"
        assert await db.pop(b"c", None) is None
        with pytest.raises(KeyError):
            await db.pop(b"c")
        assert await db.compare_and_swap(b"a", b"3", b"5")
        assert not await db.compare_and_swap(b"a", None, b"6")
        assert await db.modify(b"a", lambda held: held + b"!") == b"5!"
        with pytest.raises(ZeroDivisionError):
            await db.modify(b"a", lambda held: 1 / 0)
        await db.update({b"x": b"1", b"y": b"2"})
        assert await db.clear(gte=b"x") == 2
        assert await db.first() == await db.last() == (b"a", b"5!")
        assert await db.first(prefix=b"z") is None

    run(path, main)


def test_ranges_and_snapshots(path):
    async def main(db):
        await db.update((b"%03d" % n, b"v" * 100) for n in range(500))
        async with db.snapshot() as before:
            await db.clear(gte=b"001")
            assert len([key async for key in before]) == 500
            assert await before.get(b"400") == b"v" * 100
            assert before.sequence == 500
        with pytest.raises(level_party.ClosedError):
            await before.get(b"000")
        snapshot = await db.snapshot()
        assert [pair async for pair in snapshot.items(reverse=True)] == [(b"000", b"v" * 100)]
        await snapshot.close()
        await db.update({b"1": b"a", b"2": b"b"})
        assert [value async for value in db.values(gt=b"0", lt=b"2")] == [b"v" * 100, b"a"]
        assert [key async for key in db.keys(limit=1, reverse=True)] == [b"2"]
        entries = db.range()
        assert (await entries.__anext__())[0] == b"000"
        entries.close()
        with pytest.raises(StopAsyncIteration):
            await entries.__anext__()

    run(path, main)


def test_batches_and_sublevels(path):
    async def main(db):
        users = db.sublevel("users")
        async with db.batch(sync=True) as batch:
            batch.put(b"a", b"1")
            batch[b"b"] = b"2"
            batch.put_in(users, b"ada", b"1815")
            del batch[b"a"]
        assert [key async for key in db] == [b"!users!ada", b"b"]
        with pytest.raises(ZeroDivisionError):
            async with db.batch() as batch:
                batch.put(b"c", b"")
                1 / 0
        assert not await db.contains(b"c")
        assert await users.get(b"ada") == b"1815"
        assert users.parent is db and users.prefix == b"!users!"
        assert await db.sublevels() == ["users"]

    run(path, main)


def test_transactions(path):
    async def main(db):
        runs = 0

        async def add(tx):
            nonlocal runs
            runs += 1
            n = int(await tx.get(b"n", b"0"))
            if runs == 1:
                await db.put(b"n", b"10")
            tx.put(b"n", b"%d" % (n + 1))
            return n

        assert await db.transaction(add) == 10 and runs == 2
        async with db.transaction() as tx:
            tx.delete(b"n")
            tx.update({b"m": b"1"})
            assert [key async for key in tx] == [b"m"]
            tx.of(db.sublevel("s")).put(b"x", b"")
        assert [key async for key in db] == [b"!s!x", b"m"]
        with pytest.raises(level_party.ConflictError):
            async with db.transaction() as tx:
                await tx.get(b"m")
                tx.put(b"o", b"")
                await db.put(b"m", b"2")
        with pytest.raises(ZeroDivisionError):
            async with db.transaction() as tx:
                tx.put(b"o", b"")
                1 / 0

        async def fails(tx):
            tx.put(b"o", b"")
            1 / 0

        with pytest.raises(ZeroDivisionError):
            await db.transaction(fails)
        assert not await db.contains(b"o")
        with pytest.raises(TypeError):
            await db.transaction()

    run(path, main)


def test_many_tasks_write_and_count(path):
    async def main(db):
        async def work(name):
            for n in range(20):
                await db.put(b"%d-%d" % (name, n), b"v", sync=n % 5 == 0)
                await db.modify(b"count", lambda held: b"%d" % (int(held or b"0") + 1))

        await asyncio.gather(*(work(name) for name in range(50)))
        assert len([key async for key in db.keys(gte=b"0", lt=b":")]) == 1000
        assert await db.get(b"count") == b"1000"

    run(path, main)


def test_synced_writes_of_tasks_share_their_syncs_and_let_others_run(path):
    async def main(db):
        ticks = 0

        async def tick():
            nonlocal ticks
            while True:
                ticks += 1
                await asyncio.sleep(0)

        ticking = asyncio.create_task(tick())
        await asyncio.gather(*(db.put(b"%d" % n, b"v", sync=True) for n in range(200)))
        ticking.cancel()
        assert ticks > 0
        assert len([key async for key in db]) == 200

    run(path, main)


def test_an_operation_is_a_coroutine(path):
    async def main(db):
        task = asyncio.create_task(db.put(b"a", b"1", sync=True))
        await asyncio.wait([task])
        assert task.result() is None
        assert asyncio.iscoroutine(db.get(b"a"))
        operation = db.get(b"a")
        assert await operation == b"1"
        with pytest.raises(RuntimeError):
            await operation
        unissued = db.put(b"b", b"")
        unissued.close()
        assert not await db.contains(b"b")

    run(path, main)


def test_cancelled_waits_lose_nothing(path):
    async def main(db):
        async with db.watch(prefix=b"k") as watch:
            with pytest.raises(asyncio.TimeoutError):
                await asyncio.wait_for(watch.__anext__(), 0.01)
            await db.update((b"k%d" % n, b"") for n in range(10))
            seen = []
            async for item in watch:
                seen.append(item.key)
                if len(seen) == 10:
                    break
            assert seen == [b"k%d" % n for n in range(10)]
            position = watch.position
        with pytest.raises(level_party.ClosedError):
            await watch.__anext__()
        await db.put(b"k!", b"")
        async with db.watch(position) as watch:
            assert (await watch.__anext__()).key == b"k!"

    run(path, main)


def test_administration(path, tmp_path):
    async def main(db):
        events = db.events()
        await db.update((b"%d" % n, b"v") for n in range(100))
        await db.compact()
        assert await db.approximate_size() > 0
        status = await db.status()
        assert status.leader_pid == os.getpid() and status.last_sequence == 100
        assert db.role == "leader" and os.fspath(db.path) == str(path) and db.queued_bytes == 0
        assert (await db.verify()).entries == 100
        assert await db.checkpoint(tmp_path / "copy") == 100
        assert await db.losses() == await db.acknowledge_losses() == []
        assert not (await db.yield_leadership()).handed_over
        assert await db.property("leveldb.num-files-at-level0") is not None
        await db.close()
        assert {event.event async for event in events} <= {"elected", "stepped-down"}
        with pytest.raises(level_party.ClosedError):
            await db.get(b"1")

    run(path, main)


def test_errors_of_opening(path):
    async def main():
        with pytest.raises(level_party.NotFoundError):
            await level_party.open_async(path, create_if_missing=False)
        with pytest.raises(TypeError):
            level_party.open_async(path, no_such=1)
        db = await level_party.open_async(path)
        await db.close()

    asyncio.run(main())


def test_one_handle_serves_the_loops_of_several_threads(path):
    async def open_it():
        return await level_party.open_async(path)

    db = asyncio.run(open_it())
    failures = []

    async def work(name):
        for n in range(50):
            await db.put(b"%d-%d" % (name, n), b"v", sync=n % 10 == 0)

    def loop(name):
        try:
            asyncio.run(work(name))
        except BaseException as error:
            failures.append(error)

    threads = [threading.Thread(target=loop, args=(name,)) for name in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert failures == []

    async def count():
        found = [key async for key in db]
        await db.close()
        return len(found)

    assert asyncio.run(count()) == 200


def test_a_loop_that_was_closed_is_no_trouble(path):
    async def leave():
        db = await level_party.open_async(path)
        pending = [db.put(b"%d" % n, b"v", sync=True) for n in range(20)]
        for operation in pending:
            # Issued, and left behind.
            try:
                operation.send(None)
            except StopIteration:
                pass
        return db, pending

    db, pending = asyncio.run(leave())

    async def again():
        for n in range(20):
            await db.put(b"again-%d" % n, b"v", sync=True)
        await db.close()

    asyncio.run(again())

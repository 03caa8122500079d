"""What child processes of the tests run. Importable, so that `multiprocessing` with spawn finds it."""

import asyncio
import os
import sys
import threading

import level_party


def write_until_killed(path, name):
    """Puts keys of its own one after another, and prints each once it was acknowledged."""
    with level_party.open(path) as db:
        n = 0
        while True:
            key = b"%s/%06d" % (name.encode(), n)
            kind = n % 4
            if kind == 0:
                db.put(key, key)
            elif kind == 1:
                with db.batch() as batch:
                    batch.put(key, key)
                    batch.put(key + b"+", key)
            elif kind == 2:
                db.transaction(lambda tx: tx.put(key, tx.get(key, key)))
            else:
                assert db.compare_and_swap(key, None, key)
            os.write(1, key + b"\n")
            n += 1


def count_up(db, times):
    for _ in range(times):
        db.modify(b"count", lambda held: b"%d" % (int(held or b"0") + 1))


def opened_anew(path, times):
    with level_party.open(path) as db:
        count_up(db, times)


def opened_anew_by_threads(path, threads, times):
    """Threads that wait for each other."""
    with level_party.open(path) as db:
        together = [threading.Thread(target=put_synced, args=(db, times)) for _ in range(threads)]
        for thread in together:
            thread.start()
        for thread in together:
            thread.join()
        count_up(db, 1)


def put_synced(db, times):
    for _ in range(times):
        db.put(b"synced", b"", sync=True)


def opened_anew_by_tasks(path, times):
    async def main():
        async with level_party.open_async(path) as db:
            async def add():
                for _ in range(times):
                    await db.modify(b"count", lambda held: b"%d" % (int(held or b"0") + 1))
                    await db.put(b"synced", b"", sync=True)

            await asyncio.gather(add(), add())

    asyncio.run(main())


def value_of(db, key):
    return db[key]


if __name__ == "__main__":
    write_until_killed(*sys.argv[1:])

"""What a type checker is to accept and infer: ci/python checks it, nothing runs it."""

from __future__ import annotations

from typing import Optional

import level_party
from typing_extensions import assert_type


def threads(db: level_party.Database) -> None:
    assert_type(db[b"a"], bytes)
    assert_type(db.get(b"a"), Optional[bytes])
    db[bytearray(b"a")] = memoryview(b"b")
    for key, value in db.range(gte=b"a", reverse=True):
        assert_type((key, value), tuple[bytes, bytes])
    for key in db:
        assert_type(key, bytes)
    assert_type(db.transaction(lambda tx: len(tx[b"a"])), int)
    with db.transaction() as tx:
        assert_type(tx, level_party.Transaction)
    with db.watch(prefix=b"a") as watch:
        for item in watch:
            if isinstance(item, level_party.Gap):
                assert_type(item.resume, int)
            else:
                assert_type(item.value, Optional[bytes])
    with db.batch() as batch:
        batch.put_in(db.sublevel("s"), b"a", b"b")


async def count(tx: level_party.AsyncTransaction) -> int:
    return len(await tx.get(b"a", b""))


async def tasks() -> None:
    async with level_party.open_async("data", timeout=5) as db:
        assert_type(db, level_party.AsyncDatabase)
        assert_type(await db.get(b"a"), Optional[bytes])
        async for key, value in db.range():
            assert_type((key, value), tuple[bytes, bytes])
        assert_type(await db.transaction(count), int)
        async with db.snapshot() as snapshot:
            assert_type(await snapshot.first(), Optional[tuple[bytes, bytes]])
        async with db.transaction() as tx:
            tx.put(b"a", b"b")
        assert_type(await db.compare_and_swap(b"a", None, b"1"), bool)

"""Ranges, iterators and snapshots."""

import itertools
import random

import level_party
import pytest


@pytest.fixture
def numbers(db):
    db.update((b"%02d" % n, b"v%d" % n) for n in range(20))
    return db


def keys(*numbers):
    return [b"%02d" % n for n in numbers]


def test_bounds(numbers):
    assert list(numbers.keys(gte=b"05", lt=b"08")) == keys(5, 6, 7)
    assert list(numbers.keys(gt=b"05", lte=b"08")) == keys(6, 7, 8)
    assert list(numbers.keys(gt=b"17")) == keys(18, 19)
    assert list(numbers.keys(lt=b"01")) == keys(0)
    assert list(numbers.keys(prefix=b"1", limit=3)) == keys(10, 11, 12)
    assert list(numbers.keys(gte=b"08", lt=b"05")) == []
    assert list(numbers.keys(limit=0)) == []


def test_reverse_gives_the_last_first(numbers):
    assert list(numbers.keys(reverse=True, limit=2)) == keys(19, 18)
    assert list(numbers.keys(gte=b"05", lt=b"08", reverse=True)) == keys(7, 6, 5)
    assert list(numbers.range(lt=b"02", reverse=True)) == [(b"01", b"v1"), (b"00", b"v0")]
    assert list(numbers.values(lt=b"02", reverse=True)) == [b"v1", b"v0"]


def test_first_and_last(numbers):
    assert numbers.first() == (b"00", b"v0")
    assert numbers.last(lt=b"05") == (b"04", b"v4")
    assert numbers.first(prefix=b"x") is None


def test_wrong_words_are_refused(numbers):
    with pytest.raises(TypeError, match="gt or gte"):
        numbers.range(gt=b"1", gte=b"1")
    with pytest.raises(TypeError, match="prefix"):
        numbers.range(prefix=b"1", lt=b"2")
    with pytest.raises(TypeError, match="start"):
        numbers.range(start=b"1")
    with pytest.raises(TypeError, match="'gt'"):
        numbers.range(gt="1")
    with pytest.raises(TypeError, match="reverse"):
        numbers.clear(reverse=True)


def test_prefix_of_high_bytes(db):
    db.update({b"\xff": b"", b"\xff\xff": b"", b"\xff\xffa": b"", b"\xfe": b""})
    assert list(db.keys(prefix=b"\xff\xff")) == [b"\xff\xff", b"\xff\xffa"]
    assert list(db.keys(prefix=b"\xfe")) == [b"\xfe"]
    assert len(list(db.keys(prefix=b""))) == 4


def test_iteration_is_over_keys(numbers):
    assert list(itertools.islice(numbers, 2)) == keys(0, 1)
    iterator = iter(numbers)
    assert iter(iterator) is iterator


def test_iterators_show_the_moment_of_their_first_step(numbers):
    entries = numbers.items()
    assert next(entries) == (b"00", b"v0")
    numbers.clear()
    assert len(list(entries)) == 19
    assert list(numbers) == []


def test_closed_iterators_end(numbers):
    entries = numbers.range()
    next(entries)
    entries.close()
    assert list(entries) == []
    with numbers.range() as entries:
        next(entries)
    assert list(entries) == []


def test_long_ranges_and_large_values_come_whole(db):
    rnd = random.Random(7)
    entries = {rnd.randbytes(8): rnd.randbytes(rnd.choice([0, 10, 100, 5000])) for _ in range(5000)}
    entries[b"large"] = rnd.randbytes(3 << 20)
    db.update(entries)
    expected = sorted(entries.items())
    assert list(db.range()) == expected
    assert list(db.range(reverse=True)) == expected[::-1]
    assert list(db.keys()) == [key for key, _ in expected]
    assert list(db.values()) == [value for _, value in expected]
    db.compact()
    assert list(db.range()) == expected


def test_snapshots_show_one_moment(numbers):
    with numbers.snapshot() as before:
        numbers[b"00"] = b"new"
        del numbers[b"01"]
        assert before[b"00"] == b"v0" and b"01" in before
        assert before.get_many([b"00", b"xx"]) == [b"v0", None]
        assert len(list(before)) == 20
        assert before.last() == (b"19", b"v19")
        assert before.sequence == 20
        assert not hasattr(before, "put")
    for call in (
        lambda: before.get(b"00"),
        lambda: list(before),
        lambda: b"00" in before,
        lambda: before.first(),
        lambda: before.sublevel("x"),
    ):
        with pytest.raises(level_party.ClosedError):
            call()
    before.close()


def test_iterators_of_a_closed_snapshot_go_on(numbers):
    snapshot = numbers.snapshot()
    entries = snapshot.keys()
    next(entries)
    snapshot.close()
    numbers.clear()
    assert len(list(entries)) == 19


def test_a_closed_database_ends_what_was_made_of_it(path):
    db = level_party.open(path)
    db.update((b"%d" % n, b"x" * 1000) for n in range(1000))
    snapshot, entries, sublevel = db.snapshot(), db.range(), db.sublevel("s")
    next(entries)
    db.close()
    db.close()
    for call in (
        lambda: db.get(b"1"),
        lambda: db.put(b"1", b""),
        lambda: snapshot.get(b"1"),
        lambda: sublevel.get(b"1"),
        lambda: list(entries),
        lambda: db.watch(),
        lambda: db.transaction(lambda tx: tx.get(b"1")),
    ):
        with pytest.raises(level_party.ClosedError):
            call()


def test_sublevels_have_keys_of_their_own(db):
    users = db.sublevel("users")
    ada = users.sublevel("ada")
    users[b"ada"] = b"Lovelace"
    ada[b"born"] = b"1815"
    assert db[b"!users!ada"] == b"Lovelace"
    assert list(ada.items()) == [(b"born", b"1815")]
    assert ada.prefix == b"!users!!ada!"
    assert ada.parent is users and users.parent is db
    assert db.sublevels() == ["users"]
    with db.snapshot() as before:
        ada.clear()
        assert before.sublevel("users").sublevel("ada")[b"born"] == b"1815"
    assert list(ada) == []
    with pytest.raises(level_party.InvalidArgumentError):
        db.sublevel("no good")


def test_large_values_come_whole_from_memory_and_from_tables(db):
    held = {b"%d" % n: bytes([n]) * 200_000 for n in range(8)}
    for state in ("in memory", "compacted"):
        if state == "in memory":
            db.update(held)
        else:
            db.compact()
        assert all(db[key] == value for key, value in held.items()), state
        assert dict(db.range()) == held, state
        assert list(db.items(reverse=True)) == sorted(held.items(), reverse=True), state
        with db.snapshot() as snapshot:
            assert snapshot[b"3"] == held[b"3"] and b"9" not in snapshot, state

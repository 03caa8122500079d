"""A database is a mapping of bytes."""

import pytest


def test_items_are_set_read_and_removed(db):
    db[b"a"] = b"1"
    assert db[b"a"] == b"1"
    assert b"a" in db and b"b" not in db
    del db[b"a"]
    assert b"a" not in db


def test_missing_key_raises_key_error(db):
    with pytest.raises(KeyError) as raised:
        db[b"a"]
    assert raised.value.args == (b"a",)
    with pytest.raises(KeyError):
        del db[b"a"]
    with pytest.raises(KeyError):
        db.pop(b"a")


def test_get_gives_none_or_the_default(db):
    assert db.get(b"a") is None
    assert db.get(b"a", b"x") == b"x"
    assert db.get(b"a", default=7) == 7
    db.put(b"a", b"")
    assert db.get(b"a", b"x") == b""


def test_keys_and_values_are_bytes_like(db):
    db.put(bytearray(b"a"), memoryview(b"123")[1:])
    assert db.get(memoryview(b"a")) == b"23"
    db[b"strided"] = memoryview(b"abcdef")[::2]
    assert db[b"strided"] == b"ace"
    for wrong in ("a", 1, None, [1]):
        with pytest.raises(TypeError):
            db.put(wrong, b"")
        with pytest.raises(TypeError):
            db.put(b"a", wrong)
        with pytest.raises(TypeError):
            db.get(wrong)


def test_any_bytes_are_keys_and_values(db):
    entries = {bytes([n]) * (n % 3): bytes([255 - n, 0]) * n for n in range(256)}
    db.update(entries)
    assert dict(db.items()) == entries
    large = bytes(range(256)) * 40_000
    db[b"large"] = large
    assert db[b"large"] == large


def test_pop_setdefault_and_replace_are_one_step(db):
    assert db.pop(b"a", None) is None
    assert db.setdefault(b"a", b"1") == b"1"
    assert db.setdefault(b"a", b"2") == b"1"
    assert db.replace(b"a", b"3") == b"1"
    assert db.pop(b"a") == b"3"
    assert db.replace(b"a", b"4") is None


def test_update_takes_mappings_and_pairs(db):
    db.update({b"a": b"1"})
    db.update([(b"b", b"2"), (b"a", b"3")], sync=True)
    assert list(db.items()) == [(b"a", b"3"), (b"b", b"2")]
    with pytest.raises(TypeError):
        db.update([(b"c", b"1"), (b"d", 2)])
    assert b"c" not in db


def test_get_many_reads_one_moment(db):
    db.update({b"a": b"1", b"c": b"3"})
    assert db.get_many([b"a", b"b", b"c"]) == [b"1", None, b"3"]
    assert db.get_many(iter([])) == []


def test_modify_applies_a_function(db):
    def add(held):
        return str(int(held or b"0") + 1).encode()

    assert db.modify(b"n", add) == b"1"
    assert db.modify(b"n", add) == b"2"
    assert db.modify(b"n", lambda held: None) is None
    assert b"n" not in db


def test_modify_that_raises_writes_nothing(db):
    db[b"n"] = b"1"
    sequence = db.status().last_sequence
    with pytest.raises(ZeroDivisionError):
        db.modify(b"n", lambda held: 1 / 0)
    with pytest.raises(TypeError):
        db.modify(b"n", lambda held: "text")
    assert db[b"n"] == b"1"
    assert db.status().last_sequence == sequence


def test_compare_and_swap(db):
    assert db.compare_and_swap(b"a", None, b"1")
    assert not db.compare_and_swap(b"a", None, b"2")
    assert not db.compare_and_swap(b"a", b"0", b"2")
    assert db.compare_and_swap(b"a", b"1", b"2")
    assert db.compare_and_swap(b"a", b"2", None)
    assert b"a" not in db


def test_a_database_without_entries_is_true(db):
    assert db


def test_clear_counts_what_it_removes(db):
    db.update({b"%d" % n: b"" for n in range(10)})
    assert db.clear(gte=b"5") == 5
    assert list(db) == [b"0", b"1", b"2", b"3", b"4"]
    assert db.clear() == 5
    assert list(db) == []

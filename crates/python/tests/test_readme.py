"""The README's lines of Python run."""

import pathlib

import level_party

README = pathlib.Path(__file__).parents[3] / "README.md"


def test_readme_lines_open_a_database_and_write(tmp_path, monkeypatch):
    block = README.read_text().split("```python\n")[1].split("```")[0]
    monkeypatch.chdir(tmp_path)
    names: dict = {}
    exec(block, names)
    names["db"].close()
    with level_party.open(tmp_path / "data") as db:
        assert dict(db.range()) == {b"a": b"1"}

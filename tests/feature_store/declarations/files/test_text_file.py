"""Whatever keeps a file or a folder from being read gives one error, which names it."""

from __future__ import annotations

import os

import pytest

from feature_store.declarations.files.text_file import files_in, read_text, states_of
from feature_store.errors import BadInput


@pytest.mark.parametrize("kind", ["missing", "bytes", "zero", "folder", "pipe", "loop", "large"])
def test_what_cannot_be_read_is_named(tmp_path, kind):
    path = tmp_path / "x.sql"
    if kind == "bytes":
        path.write_bytes(b"SELECT '\xff'")
    elif kind == "zero":
        path.write_bytes(b"SELECT 1\0")
    elif kind == "folder":
        path.mkdir()
    elif kind == "pipe":
        os.mkfifo(path)
    elif kind == "loop":
        path.symlink_to(path)
    elif kind == "large":
        path.touch()
        os.truncate(path, 5_000_000)
    with pytest.raises(BadInput, match=r"x\.sql cannot be read: ."):
        read_text(path)


def test_what_is_missing_is_said_in_words_with_what_to_do(tmp_path):
    with pytest.raises(BadInput) as caught:
        read_text(tmp_path / "x.sql")
    assert str(caught.value) == (
        f"{tmp_path}/x.sql cannot be read: No such file or directory.\n"
        "Next: Put it there; `bin/feature-store check` names all that is wrong in a folder."
    )


@pytest.mark.parametrize("name", ["x" * 500, "a\0b", "a\ud800b"], ids=["long", "zero", "half"])
def test_a_name_that_no_file_can_have_is_bad_input(tmp_path, name):
    for read in (read_text, lambda path: files_in(path, ".sql")):
        with pytest.raises(BadInput, match="cannot be read: "):
            read(tmp_path / name)


def test_a_file_is_read_as_utf_8_whatever_the_locale(tmp_path):
    path = tmp_path / "x.sql"
    path.write_bytes("-- på".encode())
    assert read_text(path) == "-- på"


def test_a_folder_gives_its_files_in_order_and_may_be_missing_only_where_it_may(tmp_path):
    for name in ("b.sql", "a.sql", "c.txt"):
        (tmp_path / name).touch()
    assert [path.name for path in files_in(tmp_path, ".sql")] == ["a.sql", "b.sql"]
    assert files_in(tmp_path / "none", ".sql", required=False) == []
    with pytest.raises(BadInput, match="none cannot be read: "):
        files_in(tmp_path / "none", ".sql")
    with pytest.raises(BadInput, match=r"c\.txt cannot be read: "):
        files_in(tmp_path / "c.txt", ".sql", required=False)


def test_a_file_that_comes_and_goes_has_another_state_each_time(tmp_path):
    """An editor's lock is a link to nowhere; a deleted file may still be listed."""
    link, gone = tmp_path / ".#x.toml", tmp_path / "gone.toml"
    link.symlink_to("nobody@nowhere.1234")
    states = [states_of([gone, link])]
    gone.write_text("x = 1")
    states.append(states_of([gone, link]))
    link.unlink()
    link.write_text("y = 1")
    states.append(states_of([gone, link]))
    assert len(set(states)) == 3
    assert [path for path, *_ in states[0]] == [str(link), str(gone)]

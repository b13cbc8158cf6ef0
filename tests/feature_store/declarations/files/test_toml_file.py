"""What is no TOML file is told by its name."""

from __future__ import annotations

import pytest

from feature_store.declarations.files.toml_file import read_toml
from feature_store.errors import BadInput


@pytest.mark.parametrize("written", [b"a = [", b"\xff", None], ids=["TOML", "UTF-8", "missing"])
def test_a_file_that_cannot_be_read_is_named_with_the_cause(tmp_path, written):
    path = tmp_path / "x.toml"
    if written is not None:
        path.write_bytes(written)
    with pytest.raises(BadInput, match=r"x\.toml cannot be read: ."):
        read_toml(path)


def test_a_file_is_read_as_utf_8_whatever_the_locale(tmp_path):
    path = tmp_path / "x.toml"
    path.write_bytes('a = "på"'.encode())
    assert read_toml(path) == {"a": "på"}


@pytest.mark.parametrize(
    "written",
    [f"a = 0x{'f' * 4_000}", "a = [{b = 9223372036854775808}]", f"{'a.' * 5_000}a = 1"],
    ids=["no text", "in a table of a list", "depth"],
)
def test_what_no_other_code_could_write_or_walk_through_is_refused_here(tmp_path, written):
    """The first is a number that Python reads in hex and then refuses to write."""
    path = tmp_path / "x.toml"
    path.write_text(written)
    with pytest.raises(BadInput, match=r"x\.toml cannot be read: (an integer of|it is nested)"):
        read_toml(path)


def test_integers_of_64_bits_are_read(tmp_path):
    path = tmp_path / "x.toml"
    path.write_text("a = 9223372036854775807\nb = -9223372036854775808")
    assert read_toml(path) == {"a": 2**63 - 1, "b": -(2**63)}

"""What is no TOML file is told by its name."""

from __future__ import annotations

import pytest

from feature_store.declarations.toml_file import read_toml
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

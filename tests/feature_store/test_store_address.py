"""What people are told to type and to open is right where they are, and names the right store."""

from __future__ import annotations

from dataclasses import replace
from html import escape

import pytest

from feature_store.errors import NotReady
from feature_store.settings import Settings, read_settings
from feature_store.store_address import addressed, is_as_told, of_store, options_of

FIRST = Settings()


@pytest.fixture
def second(tmp_path):
    return of_store(FIRST, tmp_path / "two & more", "bikes")


def test_the_store_of_the_settings_needs_no_options(monkeypatch, tmp_path):
    assert options_of(read_settings()) == ""
    words = "bin/feature-store plan; include/thresholds.toml"
    assert addressed(read_settings())(words) == words
    assert is_as_told(read_settings())
    # Nor does another store whose folder and connection somebody has exported; its files are there.
    monkeypatch.setenv("FEATURE_STORE_INCLUDE_DIR", str(tmp_path))
    monkeypatch.setenv("FEATURE_STORE_CONN_ID", "bikes")
    exported = of_store(FIRST, tmp_path, "bikes")
    assert options_of(exported) == ""
    assert addressed(exported)(words) == f"bin/feature-store plan; {tmp_path}/thresholds.toml"
    assert not is_as_told(exported)
    assert options_of(FIRST) == f"--store {FIRST.include_dir} --connection feature_store"


def test_a_command_of_another_store_names_its_folder_and_its_connection(second, tmp_path):
    folder = f"{tmp_path}/two & more"
    said = addressed(second)("Run `bin/feature-store plan`, then bin/feature-store apply --drop x.")
    command = f"bin/feature-store --store '{folder}' --connection bikes"
    assert said == f"Run `{command} plan`, then {command} apply --drop x."
    assert addressed(second)(said) == said
    assert addressed(second, escape)("bin/feature-store plan") == escape(f"{command} plan")
    only = replace(FIRST, conn_id="bikes")
    assert addressed(only)("bin/feature-store plan") == "bin/feature-store --connection bikes plan"


def test_a_file_of_another_store_is_named_in_its_own_folder(second):
    folder = second.include_dir
    said = addressed(second)("`include/sql/read/b.x.sql`, include/contracts/a.toml, x/include/sql/")
    assert said == f"`{folder}/sql/read/b.x.sql`, {folder}/contracts/a.toml, x/include/sql/"
    # The file that grants is the same for all stores.
    assert addressed(second)("psql -f include/roles.sql") == "psql -f include/roles.sql"


def test_an_error_is_reworded_in_all_its_parts(second):
    error = NotReady(
        "Two things:",
        items=["bin/feature-store apply", "another"],
        about=["a.b"],
        readers="as bin/feature-store status says.",
        next_step="bin/feature-store plan",
    )
    error.reword(addressed(second))
    assert str(error).count("bin/feature-store --store ") == 3
    assert error.next_step.endswith(" --connection bikes plan")
    assert error.about == ("a.b",)
    assert error.head == "Two things:"

"""What `init` refuses, before it writes anything and with the database as it was."""

from __future__ import annotations

import pytest

_MV = "CREATE MATERIALIZED VIEW {} AS SELECT t.a FROM public.t AS t"
_T = "CREATE TABLE public.t (a int)"

_REFUSED = {
    "no materialized view": (
        [_T, "CREATE VIEW public.v AS SELECT t.a FROM public.t AS t"], (),
        "The database has no materialized view: there is no store to be written down.",
    ),
    "none in the schemas that are named": (
        [_T, _MV.format("public.m"), "CREATE SCHEMA other"], ("--schemas", "other"),
        "There is no materialized view in other.",
    ),
    "a schema that is not there": (
        [_T, _MV.format("public.m")], ("--schemas", "public,nowhere"),
        "The database has no schema nowhere.",
    ),
    "a schema with capitals": (
        [_T, 'CREATE SCHEMA "Bikes"', _MV.format('"Bikes".m')], (),
        'The schema "Bikes" cannot be a store\'s: readers type its name without quotes',
    ),
    "a schema that is a word of SQL": (
        [_T, 'CREATE SCHEMA "order"', _MV.format('"order".m')], (),
        'The schema "order" cannot be a store\'s',
    ),
    "a name with blanks": (
        [_T, _MV.format('public."my view"')], (),
        '"public"."my view", a view: expected letters, digits, _ and $ in a name.',
    ),
    "a source with quotes and a dot": (
        [
            'CREATE TABLE public."t.""1""" (a int)',
            'CREATE MATERIALIZED VIEW public.m AS SELECT t.a FROM public."t.""1""" AS t',
        ], (),
        '"public"."t.""1""", a source: expected letters',
    ),
    "one name in two schemas": (
        [_T, "CREATE SCHEMA b", _MV.format("public.m"), _MV.format("b.m")], (),
        "b.m, public.m: expected different names, as tasks are called without the schema.",
    ),
    "a source that reads the store": (
        [
            _T, "CREATE SCHEMA b", _MV.format("public.m"),
            "CREATE VIEW b.v AS SELECT m.a FROM public.m AS m",
            "CREATE MATERIALIZED VIEW public.top AS SELECT v.a FROM b.v AS v",
        ], (),
        "b.v is outside of the schemas and reads public.m, and the store reads it. "
        "Let it be of the store: --schemas public,b",
    ),
}  # fmt: skip


@pytest.mark.parametrize(("statements", "options", "words"), _REFUSED.values(), ids=_REFUSED)
def test_what_no_folder_can_hold_is_refused(empty_db, typed, tmp_path, statements, options, words):
    empty_db.run(*statements)
    before = empty_db.snapshot()
    code, out, err = typed(empty_db, "init", tmp_path / "new", *options)
    assert (code, out) == (2, "")
    assert words in err
    assert "\nReaders: nothing was written, and the database was not changed.\n" in err
    assert not (tmp_path / "new").exists()
    assert empty_db.snapshot() == before


def test_all_that_is_wrong_with_names_is_told_at_once(empty_db, typed, tmp_path):
    empty_db.run(_T, _MV.format('public."a b"'), _MV.format('public."c-d"'))
    _, _, err = typed(empty_db, "init", tmp_path / "new")
    assert err.count("expected letters, digits, _ and $ in a name") == 2


def test_a_database_that_has_a_store_is_refused_with_its_name(store_db, typed, tmp_path, new_role):
    code, out, err = typed(store_db, "init", tmp_path / "new")
    assert (code, out) == (1, "")
    (name, dag_id), *_ = store_db.rows("SELECT name, dag_id FROM feature_store_audit.store")
    assert err.startswith(f"Error: This database has the store {name}, of the DAG {dag_id}: ")
    assert "FEATURE_STORE_INCLUDE_DIR" in err
    # A role that may not even look at it is refused in the same way.
    store_db.conninfo += f" user={new_role()}"
    code, _, err = typed(store_db, "init", tmp_path / "new")
    assert code == 1
    assert err.startswith("Error: This database has a store already: ")
    assert not (tmp_path / "new").exists()


def test_a_folder_that_cannot_be_written_is_refused_before_any_database_is_asked(
    empty_db, typed, tmp_path
):
    empty_db.conninfo = "host=127.0.0.1 port=1"
    taken = tmp_path / "taken"
    taken.mkdir()
    (taken / "store.toml").write_text("")
    file = tmp_path / "file"
    file.write_text("")
    for directory, words in ((taken, "is not empty: it has store.toml"), (file, "cannot be read")):
        code, out, err = typed(empty_db, "init", directory)
        assert (code, out) == (2, "")
        assert f"{directory} {words}" in err
    assert [path.name for path in taken.iterdir()] == ["store.toml"]


def test_what_was_written_before_the_disk_was_full_is_taken_back(
    bikes, typed, tmp_path, monkeypatch
):
    import resource

    from feature_store.schema.first_folder import folder

    monkeypatch.setattr(folder, "THRESHOLDS", "#" * 2_000_000)
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (1_000_000, limits[1]))
    try:
        code, out, err = typed(bikes, "init", tmp_path / "deep" / "new")
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    assert (code, out) == (2, "")
    assert "cannot be written: " in err
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("name", ["My Store", "", "feature_store_audit"])
def test_a_name_that_no_store_can_have_is_refused(empty_db, typed, tmp_path, name):
    with pytest.raises(SystemExit) as caught:
        typed(empty_db, "init", tmp_path / "new", "--name", name)
    assert caught.value.code == 2

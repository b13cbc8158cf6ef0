"""Contracts in the database: stamped, checked and asserted, in both schemas."""

from __future__ import annotations

from dataclasses import replace

import psycopg
import pytest

from feature_store.declarations.feature_sets import FeatureSet, read_feature_sets
from feature_store.errors import BadInput, ContractBroken, NotReady
from feature_store.relation_name import Name
from feature_store.schema.apply import apply
from feature_store.schema.stamps.contract_stamp import ContractCheck, assert_contract, check, stamp
from tests.relations import E_AI as _E_AI

_FIRST_26 = "376417e5653f05f5953e4bbbed2f562bb54329314e705c292d46bd1e3fbf4088"
_ALL_51 = "33d030da93778d2efbb4297eccbb4bc852c23229bdfa5459eaf1bcba57ff136c"
_SETS = ["tom_features_v1", "iphone_device_meta_encoded_v2_model"]


@pytest.fixture(scope="module")
def sets() -> dict[str, FeatureSet]:
    from feature_store.settings import Settings

    return {s.name: s for s in read_feature_sets(Settings().include_dir)}


@pytest.fixture
def tom(sets) -> FeatureSet:
    return sets["tom_features_v1"]


@pytest.fixture(params=_SETS)
def feature_set(request, sets) -> FeatureSet:
    return sets[request.param]


@pytest.fixture
def stamped(scratch, sets):
    """A store with both sets stamped."""
    for one in sets.values():
        stamp(scratch.connection, one, replace=False)
    return scratch


def _first_26(tom: FeatureSet) -> FeatureSet:
    """A set of the first 26 features; the 25 AI columns are then its other columns."""
    ai = tuple(f.name for f in tom.features[26:])
    return replace(
        tom,
        name="first_26",
        features=tom.features[:26],
        other_columns=(*tom.other_columns, *ai),
    )


def _notices(database, schema: str, name: str) -> list[str]:
    notices: list[str] = []

    def keep(diagnostic) -> None:
        notices.append(diagnostic.message_primary)

    database.connection.add_notice_handler(keep)
    try:
        database.run(f"SELECT {schema}.assert_feature_contract('{name}')")
    finally:
        database.connection.remove_notice_handler(keep)
    return notices


def _assert_raises(database, schema: str, name: str) -> str:
    with (
        pytest.raises(psycopg.errors.RaiseException) as caught,
        database.connection.transaction(),
    ):
        database.run(f"SELECT {schema}.assert_feature_contract('{name}')")
    return caught.value.diag.message_primary


def _broken(database, feature_set: FeatureSet) -> tuple[str, ...]:
    """What check says; assert_contract must say at least as much."""
    checked = check(database.connection, feature_set)
    assert checked.result == "MISMATCH"
    with pytest.raises(ContractBroken) as caught:
        assert_contract(database.connection, feature_set)
    for problem in checked.problems:
        assert problem in caught.value.problem
    assert caught.value.problem.startswith(f"The contract of {feature_set.name} is broken:\n")
    assert caught.value.readers == (
        "the rows that the views have now; assert_feature_contract refuses them."
    )
    assert f"bin/feature-store check-contract {feature_set.name}" in (caught.value.next_step or "")
    return checked.problems


def _drift(database, feature_set: FeatureSet, n: int | None = None) -> None:
    """The rows have drifted from the stamp, to n of them: check and assert both say so."""
    checked = check(database.connection, feature_set)
    expected = f"expected n={len(feature_set.features)} hash={feature_set.hash}"
    got = f"got n={checked.live_n} hash={checked.live_hash}"
    assert checked.live_n == (len(feature_set.features) if n is None else n)
    assert checked.live_hash != feature_set.hash
    assert _broken(database, feature_set)[0] == (
        f"its rows in the database have changed since the stamp: {expected}, {got}"
    )
    if n == 0:
        got = "got n=0 hash=<NULL>"
    assert _assert_raises(database, feature_set.schema, feature_set.name) == (
        f"FEATURE CONTRACT DRIFT: {expected}, {got}"
    )


# Stamp


def test_the_first_26_rows_stamped_as_a_set_have_the_published_hash(scratch, tom):
    checked = stamp(scratch.connection, _first_26(tom), replace=False)
    assert (checked.stamped_n, checked.stamped_hash) == (26, _FIRST_26)
    assert (checked.live_n, checked.live_hash) == (26, _FIRST_26)
    assert _notices(scratch, "ml", "first_26") == [f"Feature contract OK (n=26, hash={_FIRST_26})"]


def test_all_51_rows_stamped_have_their_hash(stamped, tom):
    assert _notices(stamped, "ml", tom.name) == [f"Feature contract OK (n=51, hash={_ALL_51})"]


def test_the_databases_hash_is_the_files(stamped, feature_set):
    checked = check(stamped.connection, feature_set)
    assert checked == ContractCheck(
        name=feature_set.name,
        relation=str(feature_set.relation),
        file_hash=feature_set.hash,
        stamped_n=len(feature_set.features),
        stamped_hash=feature_set.hash,
        live_n=len(feature_set.features),
        live_hash=feature_set.hash,
        problems=(),
    )
    assert checked.result == "OK"
    assert assert_contract(stamped.connection, feature_set) == checked
    assert _notices(stamped, feature_set.schema, feature_set.name) == [
        f"Feature contract OK (n={len(feature_set.features)}, hash={feature_set.hash})"
    ]


def test_a_stamp_writes_every_field_of_every_row(stamped, feature_set):
    rows = stamped.rows(
        "SELECT ordinal, feature_name, dtype, expr_sql, leakage_rule, is_nullable, description "
        f"FROM {feature_set.schema}.feature_contract WHERE set_id = (SELECT set_id FROM "
        f"{feature_set.schema}.feature_set WHERE name = '{feature_set.name}') ORDER BY ordinal"
    )
    assert rows == [
        (f.ordinal, f.name, f.dtype, f.expr_sql, f.leakage_rule, f.is_nullable, f.description)
        for f in feature_set.features
    ]


def test_the_hash_in_the_database_counts_letters_beyond_ascii(scratch, tom):
    features = (replace(tom.features[0], expr_sql="pris · 1 000 kr"), *tom.features[1:])
    checked = stamp(scratch.connection, replace(tom, features=features), replace=False)
    assert checked.live_hash == checked.file_hash


def test_never_stamped_is_a_mismatch_with_the_command(scratch, feature_set):
    assert _broken(scratch, feature_set) == (
        f"it has not been stamped: bin/feature-store stamp-contract {feature_set.name}",
    )
    checked = check(scratch.connection, feature_set)
    assert (checked.stamped_n, checked.stamped_hash, checked.live_n) == (None, None, 0)


def test_an_unknown_set_is_not_found_in_either_schema(scratch):
    for schema in ("ml", "feature_store"):
        assert _assert_raises(scratch, schema, "X") == "feature_set X not found"
    assert scratch.rows("SELECT * FROM ml.check_feature_contract('X')") == []


@pytest.mark.parametrize("schema", ["ml", "feature_store"])
def test_each_set_is_asserted_and_read_in_either_schema(stamped, feature_set, schema):
    """The authors' public trainer reads the device set from ml."""
    n = len(feature_set.features)
    assert _notices(stamped, schema, feature_set.name) == [
        f"Feature contract OK (n={n}, hash={feature_set.hash})"
    ]
    read = (
        f"SELECT c.feature_name FROM {schema}.feature_set AS s "
        f"INNER JOIN {schema}.feature_contract AS c ON s.set_id = c.set_id "
        f"INNER JOIN {schema}.feature_set_binding AS b ON s.set_id = b.set_id "
        f"WHERE s.name = '{feature_set.name}' ORDER BY c.ordinal"
    )
    assert [name for (name,) in stamped.rows(read)] == [f.name for f in feature_set.features]


def test_a_set_that_is_written_through_the_second_schema_is_in_the_registry(stamped):
    stamped.run(
        "INSERT INTO feature_store.feature_set (name) VALUES ('mine') "
        "ON CONFLICT (name) DO UPDATE SET notes = 'again'",
        "UPDATE feature_store.feature_set SET notes = 'mine' WHERE name = 'mine'",
    )
    assert stamped.rows("SELECT notes FROM ml.feature_set WHERE name = 'mine'") == [("mine",)]


def test_stamping_the_same_twice_is_quiet(stamped, tom):
    before = [line for line in stamped.snapshot() if "feature_set" in line]
    stamp(stamped.connection, tom, replace=False)
    assert [line for line in stamped.snapshot() if "feature_set" in line] == before


def test_stamping_the_same_mends_rows_that_were_edited(stamped, tom):
    stamped.run("UPDATE ml.feature_contract SET dtype = 'text' WHERE ordinal = 1")
    assert stamp(stamped.connection, tom, replace=False).result == "OK"


def test_a_new_description_is_no_drift_and_the_next_stamp_writes_it(stamped, tom):
    first = replace(tom.features[0], description="Which one", owner="ann", tags=("x",))
    changed = replace(tom, features=(first, *tom.features[1:]))
    assert check(stamped.connection, changed).result == "OK"
    stamp(stamped.connection, changed, replace=False)
    assert (
        stamped.rows(
            "SELECT description FROM ml.feature_contract AS c INNER JOIN ml.feature_set AS s "
            "ON c.set_id = s.set_id WHERE s.name = %s AND c.ordinal = 1 UNION ALL "
            "SELECT col_description(attrelid, attnum) FROM pg_attribute "
            "WHERE attrelid = 'feature_log.tom_features_v1'::regclass AND attname = 'generation'",
            tom.name,
        )
        == [("Which one",)] * 2
    )


def _other_rows(tom: FeatureSet) -> FeatureSet:
    return replace(tom, features=(replace(tom.features[0], is_nullable=True), *tom.features[1:]))


def test_other_rows_are_refused_without_replace(stamped, tom):
    changed = _other_rows(tom)
    before = stamped.snapshot()
    with pytest.raises(BadInput) as caught:
        stamp(stamped.connection, changed, replace=False)
    assert stamped.snapshot() == before
    assert caught.value.problem == (
        f"tom_features_v1 was stamped with 51 rows and the hash {_ALL_51}; the file has 51 rows "
        f"and the hash {changed.hash}. Models trained on the old rows would break."
    )
    assert caught.value.readers == "the contract as it was stamped before."
    assert caught.value.next_step == "Give the changed set a new name, or stamp it with --replace."


def test_other_rows_are_accepted_with_replace(stamped, tom):
    changed = _other_rows(tom)
    checked = stamp(stamped.connection, changed, replace=True)
    assert (checked.result, checked.stamped_hash) == ("OK", changed.hash)
    assert stamped.value("SELECT count(*) FROM ml.feature_set") == 2
    assert _broken(stamped, tom) == (
        f"its file has changed since the stamp: the stamp is {changed.hash}, the file {tom.hash}",
    )


def test_fewer_rows_with_replace_leave_no_old_row(scratch, tom):
    """The set has no feature log: in a log no feature that was served loses its column."""
    stamp(scratch.connection, replace(tom, served=None), replace=False)
    fewer = replace(_first_26(tom), name=tom.name, served=None)
    assert stamp(scratch.connection, fewer, replace=True).live_n == 26


def test_the_first_stamp_of_a_schema_makes_its_set_current_and_no_later_one(scratch, tom):
    current = (
        "SELECT s.name FROM ml.feature_set_current AS c "
        "INNER JOIN ml.feature_set AS s ON c.set_id = s.set_id"
    )
    assert scratch.rows(current) == []
    stamp(scratch.connection, tom, replace=False)
    assert scratch.rows(current) == [(tom.name,)]
    stamp(scratch.connection, _first_26(tom), replace=False)
    assert scratch.rows(current) == [(tom.name,)]
    assert scratch.rows("SELECT * FROM feature_store.feature_set_current") == []


def test_a_relation_that_does_not_carry_the_set_is_not_stamped(scratch, tom):
    before = scratch.snapshot()
    for wrong, words in [
        (replace(tom, relation=Name("ml", "no_such")), "the relation ml.no_such does not exist"),
        (replace(tom, other_columns=tom.other_columns[1:]), "column listing_id is neither a"),
        (replace(tom, integer_columns=()), "column battery_pct_fixed_ai has the type integer, the"),
    ]:
        with pytest.raises(ContractBroken, match=words):
            stamp(scratch.connection, wrong, replace=False)
        assert scratch.snapshot() == before


def test_without_the_contract_tables_apply_is_named(scratch_sources, tom):
    for act in (check, assert_contract):
        with pytest.raises(NotReady) as caught:
            act(scratch_sources.connection, tom)
        assert caught.value.problem == "The schema ml has no contract functions."
        assert caught.value.next_step == "Run `bin/feature-store apply`."
    with pytest.raises(NotReady):
        stamp(scratch_sources.connection, tom, replace=False)


# Drift of rows


@pytest.mark.parametrize(
    ("change", "n"),
    [
        ("UPDATE {}.feature_contract SET feature_name = 'other' WHERE ordinal = 2", 0),
        ("UPDATE {}.feature_contract SET dtype = 'text' WHERE ordinal = 1", 0),
        ("UPDATE {}.feature_contract SET expr_sql = NULL WHERE ordinal = 1", 0),
        ("UPDATE {}.feature_contract SET leakage_rule = 'none' WHERE ordinal = 1", 0),
        ("UPDATE {}.feature_contract SET is_nullable = NOT is_nullable WHERE ordinal = 1", 0),
        ("UPDATE {}.feature_contract SET ordinal = 99 WHERE ordinal = 3", 0),
        ("DELETE FROM {}.feature_contract WHERE ordinal = 5", -1),
        (
            "INSERT INTO {0}.feature_contract (set_id, ordinal, feature_name, dtype) "
            "SELECT set_id, 99, 'more', 'int' FROM {0}.feature_set",
            1,
        ),
        (
            "UPDATE {}.feature_contract SET ordinal = ordinal + 100; "
            "UPDATE {}.feature_contract SET ordinal = CASE ordinal WHEN 101 THEN 2 WHEN 102 THEN 1 "
            "ELSE ordinal - 100 END",
            0,
        ),
    ],
    ids=["renamed", "retyped", "expression", "rule", "nullable", "reordered", "deleted", "added",
         "swapped"],
)  # fmt: skip
def test_rows_that_changed_since_the_stamp_are_drift(stamped, feature_set, change, n):
    for statement in change.replace("{0}", "{}").replace("{}", feature_set.schema).split("; "):
        stamped.run(statement)
    _drift(stamped, feature_set, len(feature_set.features) + n)


def test_a_description_is_no_part_of_the_hash(stamped, feature_set):
    stamped.run(f"UPDATE {feature_set.schema}.feature_contract SET description = 'other'")
    assert check(stamped.connection, feature_set).result == "OK"


def test_an_empty_contract_fails(stamped, feature_set):
    stamped.run(f"DELETE FROM {feature_set.schema}.feature_contract")
    _drift(stamped, feature_set, 0)


def test_an_empty_contract_fails_even_if_it_was_stamped_empty(stamped, tom):
    stamped.run(
        "DELETE FROM ml.feature_contract",
        "UPDATE ml.feature_set SET n_features = 0, features_hash = NULL",
        "UPDATE ml.feature_set_binding SET other_columns = (SELECT array_agg(attname::text) "
        f"FROM pg_attribute WHERE attrelid = '{_E_AI}'::regclass AND attnum > 0)",
    )
    assert stamped.value("SELECT problems FROM ml.check_feature_contract(%s)", tom.name) == []
    assert stamped.value("SELECT contract_check FROM ml.check_feature_contract(%s)", tom.name) == (
        "MISMATCH"
    )
    assert _assert_raises(stamped, "ml", tom.name).startswith(
        "FEATURE CONTRACT DRIFT: expected n=0"
    )


def test_a_count_that_does_not_fit_its_hash_is_drift(stamped, tom):
    stamped.run("UPDATE ml.feature_set SET n_features = 50")
    assert "expected n=50" in _broken(stamped, tom)[0]
    assert _assert_raises(stamped, "ml", tom.name).startswith(
        f"FEATURE CONTRACT DRIFT: expected n=50 hash={_ALL_51}, got n=51"
    )


@pytest.mark.parametrize("column", ["feature_name", "dtype", "expr_sql", "leakage_rule"])
@pytest.mark.parametrize("schema", ["ml", "feature_store"])
def test_the_database_refuses_a_bar_in_a_hashed_field(stamped, schema, column):
    with pytest.raises(psycopg.errors.CheckViolation), stamped.connection.transaction():
        stamped.run(f"UPDATE {schema}.feature_contract SET {column} = 'a|b' WHERE ordinal = 1")


# The live relation


def _rebuild(database, columns: str) -> None:
    """Make E-AI again by hand, with some other columns."""
    database.run(
        f"CREATE TEMPORARY VIEW old AS SELECT * FROM {_E_AI}",
        f"CREATE TABLE ml.copy AS SELECT * FROM {_E_AI} WITH NO DATA",
        f"DROP MATERIALIZED VIEW {_E_AI} CASCADE",
        f"CREATE MATERIALIZED VIEW {_E_AI} AS SELECT {columns} FROM ml.copy WITH NO DATA",
    )


def _columns_but(database, without: str) -> str:
    return ", ".join(
        name
        for (name,) in database.rows(
            "SELECT attname FROM pg_attribute WHERE attrelid = %s::regclass AND attnum > 0 "
            "AND attname <> %s ORDER BY attnum",
            _E_AI,
            without,
        )
    )


@pytest.mark.parametrize(
    ("without", "instead", "problems"),
    [
        (
            "ptv_final",
            ", ptv_final AS ptv",
            [
                "column ptv_final is missing",
                "column ptv is neither a feature nor a declared column",
            ],
        ),
        (
            "price",
            ", price::numeric AS price",
            ["column price has the type numeric, the contract says int"],
        ),
        (
            "ai_urgency_f",
            ", ai_urgency_f::int AS ai_urgency_f",
            ["column ai_urgency_f has the type integer, the contract says float8"],
        ),
        ("ai_rep_apple", "", ["column ai_rep_apple is missing"]),
        ("title", "", ["column title is missing"]),
        (
            "",
            ", 1 AS sold_price",
            ["column sold_price is neither a feature nor a declared column"],
        ),
    ],
    ids=["renamed", "retyped", "float to int", "missing", "declared missing", "extra"],
)
def test_a_live_column_that_is_not_as_contracted_is_named(stamped, tom, without, instead, problems):
    _rebuild(stamped, _columns_but(stamped, without) + instead)
    assert list(_broken(stamped, tom)) == problems
    assert _assert_raises(stamped, "ml", tom.name) == (
        f"FEATURE CONTRACT DRIFT: {_E_AI} does not carry {tom.name}: {'; '.join(problems)}"
    )


def test_the_order_of_live_columns_and_their_exact_types_do_not_matter(stamped, tom):
    _rebuild(stamped, "price::bigint AS price, " + _columns_but(stamped, "price"))
    assert check(stamped.connection, tom).result == "OK"


def test_a_missing_relation_is_named(stamped, tom):
    stamped.run(f"DROP MATERIALIZED VIEW {_E_AI} CASCADE")
    assert _broken(stamped, tom) == (f"the relation {_E_AI} does not exist",)


def test_a_set_that_only_the_documents_stamped_is_told_how_it_is_bound(stamped, tom):
    """The documents' SQL knows no binding; the message gives the statement that makes one."""
    stamped.run("DELETE FROM ml.feature_set_binding")
    message = _assert_raises(stamped, "ml", tom.name)
    assert message.startswith(f"FEATURE CONTRACT DRIFT: {tom.name}: nothing says which relation")
    bind = message.partition("as the owner: ")[2]
    bind = bind.replace("SCHEMA.RELATION", str(tom.relation))
    bind = bind.replace("COLUMNS THAT ARE NO FEATURES", ", ".join(tom.other_columns))
    integers = ", ".join(tom.integer_columns)
    stamped.run(bind.replace("FEATURES OF DTYPE numeric THAT ARE INTEGERS", integers))
    assert _notices(stamped, "ml", tom.name)


@pytest.mark.parametrize(
    ("what", "change"),
    [
        ("relation", "relation_name = 'ml.copy'"),
        ("other columns", "other_columns = other_columns || '{sold_price}'::text[]"),
        ("integer columns", "integer_columns = integer_columns || '{ptv_final}'::text[]"),
    ],
)
def test_a_binding_that_was_edited_in_the_database_is_a_mismatch(stamped, tom, what, change):
    """Else a column could be smuggled in, or another relation asserted, under a right hash."""
    if what == "relation":
        stamped.run(f"CREATE TABLE ml.copy AS SELECT * FROM {_E_AI} WITH NO DATA")
    if what == "other columns":
        _rebuild(stamped, "*, 1 AS sold_price")
    stamped.run(f"UPDATE ml.feature_set_binding SET {change}")
    assert check(stamped.connection, tom).result == "MISMATCH"


def test_a_file_that_names_another_relation_than_the_stamp_is_a_mismatch(stamped, tom):
    stamped.run(f"CREATE TABLE ml.copy AS SELECT * FROM {_E_AI} WITH NO DATA")
    moved = replace(tom, relation=Name("ml", "copy"))
    assert check(stamped.connection, moved).result == "MISMATCH"


def test_a_relation_with_capitals_can_be_bound(scratch, tom):
    scratch.run(f'CREATE TABLE ml."Copy" AS SELECT * FROM {_E_AI} WITH NO DATA')
    checked = stamp(scratch.connection, replace(tom, relation=Name("ml", "Copy")), replace=False)
    assert checked.result == "OK"


_INT = {"smallint", "integer", "bigint"}
_FLOAT = {"numeric", "numeric(9,2)", "real", "double precision"}
_TEXT = {"text", "varchar", "varchar(9)"}
_OTHERS = {"boolean", "date", "timestamptz", "char(3)", "jsonb", "integer[]"}


@pytest.mark.parametrize(
    ("dtype", "allowed"),
    [
        ("int", _INT), ("int4", _INT), ("int8", _INT),
        ("numeric", _FLOAT), ("float8", _FLOAT), ("text", _TEXT),
    ],
)  # fmt: skip
def test_a_live_type_of_the_dtypes_family_and_no_other_is_allowed(scratch, tom, dtype, allowed):
    types = sorted(_INT | _FLOAT | _TEXT | _OTHERS)
    scratch.run(
        "CREATE TABLE ml.types ("
        + ", ".join(f"c{i} {type_name}" for i, type_name in enumerate(types))
        + ")"
    )
    rows = tuple(
        replace(tom.features[0], ordinal=i + 1, name=f"c{i}", dtype=dtype)
        for i in range(len(types))
    )
    families = replace(
        tom, name="types", relation=Name("ml", "types"), other_columns=(), integer_columns=(),
        features=rows,
    )  # fmt: skip
    with pytest.raises(ContractBroken) as caught:
        stamp(scratch.connection, families, replace=False)
    refused = {t for i, t in enumerate(types) if f"column c{i} has the type" in str(caught.value)}
    assert refused == set(types) - allowed


@pytest.mark.parametrize(
    ("column", "type_name", "problem"),
    [
        ("battery_pct_fixed_ai", "integer", None),
        ("battery_pct_fixed_ai", "numeric", None),
        ("battery_pct_fixed_ai", "bigint", None),
        ("condition_score", "double precision", None),
        (
            "condition_score",
            "integer",
            "column condition_score has the type integer, the contract says numeric",
        ),
        (
            "seller_rating",
            "integer",
            "column seller_rating has the type integer, the contract says numeric",
        ),
    ],
)
def test_a_sources_type_reaches_the_contract(
    scratch_sources, include, tom, column, type_name, problem
):
    scratch_sources.run(
        f'ALTER TABLE "iPhone".iphone_listings ALTER COLUMN {column} TYPE {type_name}'
    )
    apply(scratch_sources.connection, include.store, include.settings)
    if problem is None:
        assert stamp(scratch_sources.connection, tom, replace=False).result == "OK"
    else:
        with pytest.raises(ContractBroken, match=problem):
            stamp(scratch_sources.connection, tom, replace=False)


# Reads only, whoever asks


def test_check_and_assert_read_only(store_db, feature_set):
    stamp(store_db.connection, feature_set, replace=False)
    before = store_db.snapshot()
    store_db.run("BEGIN READ ONLY")
    check(store_db.connection, feature_set)
    assert_contract(store_db.connection, feature_set)
    store_db.run(f"SELECT {feature_set.schema}.assert_feature_contract('{feature_set.name}')")
    store_db.run("ROLLBACK")
    assert store_db.snapshot() == before


@pytest.mark.parametrize("search_path", ["pg_temp, public", "feature_store", "ml", ""])
def test_assert_does_not_depend_on_the_callers_search_path(stamped, tom, search_path):
    stamped.run(
        "CREATE TEMPORARY TABLE feature_set (set_id bigint, name text, features_hash text, "
        "n_features int)",
        f"SELECT set_config('search_path', '{search_path}', true)",
    )
    assert _notices(stamped, "ml", tom.name) == [f"Feature contract OK (n=51, hash={_ALL_51})"]

"""The store as its files define it: order, edges, layers, and files that cannot be used."""

from __future__ import annotations

import re

import pytest

from feature_store.declarations.dag_outline import Refresh
from feature_store.declarations.store_definition import read_store
from feature_store.errors import BadInput
from feature_store.relation_name import Name

_A = "sql/base/ml.tom_features_v1_mv.sql"
_D1 = "sql/base/ml.sold_durations_v1_mv.sql"
_F0 = "sql/read/feature_store.listing_device_features_clean_mv.sql"
_F1 = "sql/views/feature_store.v_device_meta_base_t0_v1.sql"
_SPAM = "sql/views/ml.spam_listings_v1.sql"

# What reads what, from the documents.
_READS = {
    "ml.tom_features_v1_mv": "listings",
    "ml.tom_labels_v1_mv": "ml.tom_features_v1_mv listings",
    "ml.tom_train_base_v1_mv": "ml.tom_features_v1_mv ml.tom_labels_v1_mv",
    "ml.sold_durations_v1_mv": "listings",
    "ml.ask_daily_median_v1": "listings",
    "ml.sold_prices_v1_mv": "listings",
    "ml.tom_features_v1_enriched_mv": (
        "ml.tom_features_v1_mv ml.sold_durations_v1_mv ml.ask_daily_median_v1 ml.sold_prices_v1_mv"
    ),
    "ml.spam_token_v1": "",
    "ml.spam_listings_v1": "listings ml.spam_token_v1",
    "ml.tom_features_v1_enriched_clean_mv": "ml.tom_features_v1_enriched_mv ml.spam_listings_v1",
    "ml.tom_speed_cohort_v1": "ml.tom_features_v1_enriched_mv",
    "ml.tom_speed_anchor_v1_mv": (
        "ml.sold_durations_v1_mv ml.tom_speed_cohort_v1 ml.tom_features_v1_enriched_mv"
    ),
    "ml.tom_features_v1_enriched_speed_mv": (
        "ml.tom_features_v1_enriched_clean_mv ml.tom_speed_anchor_v1_mv ml.tom_speed_cohort_v1"
    ),
    "ml.tom_features_v1_enriched_ai_clean_mv": "ml.tom_features_v1_enriched_speed_mv ai",
    "feature_store.listing_device_features_clean_mv": "ml.tom_features_v1_enriched_clean_mv",
    "feature_store.device_color_v1": "",
    "feature_store.v_device_meta_base_t0_v1": (
        "feature_store.listing_device_features_clean_mv feature_store.device_color_v1 images"
    ),
    "feature_store.device_count_day_v1_mv": "feature_store.v_device_meta_base_t0_v1",
    "feature_store.device_meta_gmc_stats_t0_v1_mv": (
        "feature_store.device_count_day_v1_mv feature_store.device_color_v1"
    ),
    "feature_store.device_meta_encoded_t0_v1": (
        "feature_store.v_device_meta_base_t0_v1 feature_store.device_meta_gmc_stats_t0_v1_mv"
    ),
}
_SOURCES = {
    "listings": "iPhone.iphone_listings",
    "ai": "iPhone.iphone_ai_enrich",
    "images": "feature_store.device_image_features_unified_v1",
}


def _refused(include) -> BadInput:
    with pytest.raises(BadInput) as caught:
        read_store(include.directory)
    return caught.value


def test_the_relations_and_their_edges_are_those_of_the_documents(store_files):
    assert {str(r.name): {str(n) for n in r.file.reads} for r in store_files.relations} == {
        name: {_SOURCES.get(read, read) for read in reads.split()} for name, reads in _READS.items()
    }


def test_edges_from_the_files_equal_the_catalogs(store_db, store_files):
    live = store_db.rows(
        """
        SELECT DISTINCT rn.nspname, r.relname, n.nspname, c.relname
        FROM pg_depend AS d
        INNER JOIN pg_rewrite AS w ON d.classid = 'pg_rewrite'::regclass AND d.objid = w.oid
        INNER JOIN pg_class AS r ON w.ev_class = r.oid
        INNER JOIN pg_namespace AS rn ON r.relnamespace = rn.oid
        INNER JOIN pg_class AS c ON d.refclassid = 'pg_class'::regclass AND d.refobjid = c.oid
        INNER JOIN pg_namespace AS n ON c.relnamespace = n.oid
        WHERE r.oid <> c.oid AND rn.nspname IN ('ml', 'feature_store')
            AND NOT starts_with(r.relname, 'feature_')
        """
    )
    from_files = {(r.name, read) for r in store_files.relations for read in r.file.reads}
    assert {(Name(a, b), Name(c, d)) for a, b, c, d in live} == from_files


def test_every_relation_comes_after_all_that_it_reads(store_files):
    seen = {source.name for source in store_files.sources}
    for relation in store_files.relations:
        assert relation.file.reads <= seen, relation.name
        seen.add(relation.name)


def test_folders_say_how_a_relation_refreshes(store_files):
    by_refresh = {refresh: set() for refresh in Refresh}
    for relation in store_files.relations:
        by_refresh[relation.refresh].add(relation.file.path.parent.name)
        assert relation.file.materialized is (relation.refresh is not Refresh.NEVER)
    assert by_refresh == {
        Refresh.BLOCKING: {"base"},
        Refresh.CONCURRENT: {"read"},
        Refresh.NEVER: {"views"},
    }
    assert [r for r in store_files.relations if r.refresh is not Refresh.NEVER] == list(
        store_files.refreshed
    )


def test_what_a_refresh_alone_can_see_has_a_witness(store_files):
    assert {str(r.name) for r in store_files.relations if r.witness} == {
        "ml.tom_features_v1_mv",
        "ml.ask_daily_median_v1",
        "ml.sold_prices_v1_mv",
        "ml.tom_features_v1_enriched_mv",
        "ml.tom_features_v1_enriched_clean_mv",
        "ml.tom_features_v1_enriched_ai_clean_mv",
        "feature_store.device_count_day_v1_mv",
        "feature_store.device_meta_gmc_stats_t0_v1_mv",
    }


def test_refreshed_before_looks_through_plain_views(store_files):
    def before(name: str) -> set[str]:
        return {str(r.name) for r in store_files.refreshed_before(store_files.find(name))}

    assert before("feature_store.device_count_day_v1_mv") == {
        "feature_store.listing_device_features_clean_mv"
    }
    assert before("ml.tom_features_v1_enriched_clean_mv") == {"ml.tom_features_v1_enriched_mv"}
    assert before("ml.tom_features_v1_mv") == set()


def test_an_unknown_relation_is_refused_with_those_that_exist(store_files):
    with pytest.raises(BadInput) as caught:
        store_files.find("ml.tom")
    assert caught.value.problem == "'ml.tom' is not a relation of the store."
    for name in _READS:
        assert name in (caught.value.next_step or "")


def test_a_new_layer_is_one_new_file(include):
    include.write(
        "sql/views/ml.new_v1.sql",
        "CREATE VIEW ml.new_v1 AS SELECT s.listing_id FROM ml.spam_listings_v1 AS s;",
    )
    assert str(include.store.find("ml.new_v1").name) == "ml.new_v1"


def test_a_cycle_between_files_is_refused_and_shown(include):
    include.edit(
        _SPAM,
        'FROM "iPhone".iphone_listings AS l',
        "FROM ml.tom_features_v1_enriched_clean_mv AS l",
    )
    error = _refused(include)
    assert error.problem.startswith("The SQL files read each other in a cycle: ")
    assert "ml.spam_listings_v1" in error.problem
    assert "ml.tom_features_v1_enriched_clean_mv" in error.problem


def test_an_undeclared_source_is_refused_with_the_file_that_reads_it(include):
    path = include.edit(_SPAM, '"iPhone".iphone_listings', '"iPhone".iphone_flags')
    error = _refused(include)
    assert error.problem == (
        f"{path} reads iPhone.iphone_flags, which is neither a relation of the store nor a source."
    )
    assert error.next_step == "Fix the name, or declare the source in include/sources.toml."


def test_a_source_with_capitals_that_is_read_without_quotes_is_told_so(include):
    path = include.edit(_SPAM, '"iPhone".iphone_listings', "iPhone.iphone_listings")
    error = _refused(include)
    assert error.problem.startswith(f"{path} reads iphone.iphone_listings, which is neither a ")
    assert error.next_step.startswith("Put the name in quotes where it has capitals")


def test_a_declared_source_may_be_read(include):
    include.edit(_SPAM, '"iPhone".iphone_listings', '"iPhone".iphone_flags')
    include.edit("sources.toml", "[", '["iPhone.iphone_flags"]\nspam = "text"\n\n[')
    assert Name("iPhone", "iphone_flags") in include.store.find("ml.spam_listings_v1").file.reads


def test_a_read_layer_without_a_plain_unique_index_is_refused(include):
    path = include.edit(_F0, "CREATE UNIQUE INDEX", "CREATE INDEX")
    error = _refused(include)
    assert error.problem == (
        f"{path}: feature_store.listing_device_features_clean_mv has no plain unique index, "
        f"so it cannot be refreshed concurrently."
    )
    assert error.next_step == (
        "Add a CREATE UNIQUE INDEX on columns, without WHERE; or move the file to base."
    )


def test_a_base_layer_that_reads_a_read_layer_is_refused(include):
    path = include.edit(_D1, 'FROM "iPhone".iphone_listings AS l', "FROM ml.spam_listings_v1 AS l")
    include.edit(
        _SPAM,
        'FROM "iPhone".iphone_listings AS l',
        "FROM feature_store.other_mv AS l",
    )
    include.write(
        "sql/read/feature_store.other_mv.sql",
        'CREATE MATERIALIZED VIEW feature_store.other_mv AS SELECT 1 AS x FROM "iPhone".'
        "iphone_listings AS l WITH NO DATA; CREATE UNIQUE INDEX u ON feature_store.other_mv (x);",
    )
    error = _refused(include)
    assert error.problem == (
        f"{path} is a base layer but reads the read layer feature_store.other_mv. All base "
        "layers are refreshed before any read layer."
    )
    assert error.next_step == "Move the file to the folder read."


@pytest.mark.parametrize(
    ("old", "new", "kind"),
    [(_A, "sql/views", "plain views"), (_F1, "sql/read", "materialized views")],
)
def test_a_relation_in_the_wrong_folder_is_refused(include, old, new, kind):
    target = include.directory / new / old.rsplit("/", 1)[1]
    (include.directory / old).rename(target)
    error = _refused(include)
    assert error.problem == f"{target}: the folder {new.split('/')[1]} is for {kind}."


def test_a_materialized_view_that_fills_itself_is_refused(include):
    path = include.edit(_A, "WITH NO DATA", "")
    assert _refused(include).problem == f"{path} fills ml.tom_features_v1_mv when it creates it."


def test_two_files_for_one_relation_are_refused(include):
    read = include.directory / "sql/read/ml.tom_speed_anchor_v1_mv.sql"
    base = include.write("sql/base/ml.tom_speed_anchor_v1_mv.sql", read.read_text())
    error = _refused(include)
    assert error.problem == f"{read} defines ml.tom_speed_anchor_v1_mv, and so does {base}."
    assert error.next_step == "Delete one of the two."


def test_two_relations_of_one_name_in_two_schemas_are_refused(include):
    path = include.write(
        "sql/views/feature_store.spam_listings_v1.sql",
        "CREATE VIEW feature_store.spam_listings_v1 AS SELECT 1 AS x;",
    )
    later = include.directory / _SPAM
    error = _refused(include)
    assert error.problem in {
        f"{p}: another file defines a relation called spam_listings_v1 too." for p in (path, later)
    }
    assert error.next_step == ("Rename it: tasks are named after the relation, without the schema.")


def test_a_folder_without_relations_is_refused(include):
    for folder in ("base", "read", "views"):
        for path in (include.directory / "sql" / folder).glob("*.sql"):
            path.unlink()
    error = _refused(include)
    assert error.problem == f"{include.directory / 'sql'} has no relation."
    assert "FEATURE_STORE_INCLUDE_DIR" in (error.next_step or "")


def test_a_folder_that_is_not_there_is_refused(tmp_path):
    with pytest.raises(BadInput, match=r"sources\.toml cannot be read"):
        read_store(tmp_path / "nowhere")


@pytest.mark.parametrize("text", ["ml", "ml.a.b", "", ".a", "ml.", 'ml."a"', "ml.a b", "ml.a;"])
def test_what_is_no_relations_name_is_refused(text):
    with pytest.raises(BadInput) as caught:
        Name.parse(text)
    told = caught.value.problem
    assert told == f"{text!r} is not the name of a relation; expected schema.relation."


@pytest.mark.parametrize("name", ["ml.typo", "feature_store.ask_daily_median_v1"])
def test_a_witness_of_no_relation_is_refused(include, name):
    include.write(f"sql/witness/{name}.sql", "SELECT 1;")
    with pytest.raises(BadInput, match=f"is named after {re.escape(name)}, which no file defines"):
        _ = include.store


def test_a_file_in_a_folder_that_nobody_reads_is_refused(include):
    include.write("sql/raed/ml.lost.sql", "SELECT 1;")
    with pytest.raises(BadInput, match="is not in a folder that is read"):
        _ = include.store


_F0_FILE = "feature_store.listing_device_features_clean_mv.sql"


@pytest.mark.parametrize(
    ("path", "old", "new", "told"),
    [
        (
            f"read/{_F0_FILE}",
            "-- Rows:       those of",
            "-- Of:         those of",
            "has no line 'Rows:",
        ),
        (
            f"specifications/{_F0_FILE}",
            "but for edited_date",
            "but for edited_day",
            "no edited_day",
        ),
    ],
)
def test_a_column_that_is_kept_from_an_owner_must_be_one_that_can_be_compared(
    include, path, old, new, told
):
    include.edit(f"sql/{path}", old, new)
    with pytest.raises(BadInput, match=told):
        read_store(include.directory)

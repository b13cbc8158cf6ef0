"""Declared exceptions: each is true and names all that it reaches, and there is no other."""

from __future__ import annotations

import dataclasses

import pytest

from feature_store.declarations.declared_exceptions import tainted_by
from feature_store.validation.leaks.gate_context import EXCEPTIONS as GATE
from feature_store.validation.leaks.gate_context import FAILURE, WARNING
from tests.feature_store.validation.leaks.variants import (
    EXCEPTIONS,
    LISTINGS,
    RULES,
    SETS,
    SPAM,
    flag_by,
    found,
    remake,
)
from tests.relations import E_CLEAN, F1, A, B, E

_AI = "iPhone.iphone_ai_enrich"
_IMAGES = "feature_store.device_image_features_unified_v1"
_READS = [e.id for e in EXCEPTIONS if e.reads]


def _without(exception: str):
    return tuple(e for e in EXCEPTIONS if e.id != exception)


def _changed(exception: str, **changes):
    return tuple(dataclasses.replace(e, **changes) if e.id == exception else e for e in EXCEPTIONS)


def _only(findings, severity):
    assert {(f.gate, f.severity) for f in findings} == {(GATE, severity)}
    return [(f.relation, f.words) for f in findings]


@pytest.mark.parametrize("exception", _READS)
def test_what_is_not_as_of_t0_passes_only_where_it_is_declared(scratch, store_files, exception):
    declared = next(e for e in EXCEPTIONS if e.id == exception)
    ((relation, said),) = _only(
        found(scratch, store_files, exceptions=_without(exception)), FAILURE
    )
    assert relation == str(declared.relation)
    assert f"{declared.reads}, {'' if declared.columns else 'which is '}not as of t0 (" in said
    assert said.endswith("no exception declares that.")


def test_an_exception_excuses_its_own_relation_and_no_other(scratch, store_files):
    flag_by(scratch, "l.listing_id = i.listing_id", f"{LISTINGS} AS l, {_IMAGES} AS i")
    ((relation, said),) = _only(found(scratch, store_files), FAILURE)
    assert relation == SPAM
    assert _IMAGES in said


def test_a_view_in_between_needs_the_declaration_too(scratch, store_files):
    scratch.run('CREATE VIEW public.ai AS SELECT * FROM "iPhone".iphone_ai_enrich')
    flag_by(scratch, "l.listing_id = i.listing_id", f"{LISTINGS} AS l, public.ai AS i")
    ((relation, said),) = _only(found(scratch, store_files), FAILURE)
    assert relation == "public.ai"
    assert _AI in said


@pytest.mark.parametrize(
    "table",
    [
        "CREATE TABLE public.extra (listing_id bigint)",
        f"CREATE TABLE public.extra () INHERITS ({LISTINGS})",
        "CREATE MATERIALIZED VIEW public.extra AS SELECT * FROM public.kept",
    ],
)
def test_a_table_that_no_rule_knows_is_found(scratch, store_files, table):
    scratch.run("CREATE TABLE public.kept (listing_id bigint)", table)
    flag_by(scratch, "l.listing_id = x.listing_id", f"{LISTINGS} AS l, public.extra AS x")
    said = [f.words for f in found(scratch, store_files) if f.gate == GATE]
    assert len(said) == 1
    assert "leak_rules.toml does not say whether that is as of t0" in said[0]


def test_a_table_of_the_server_is_found(scratch, store_files):
    flag_by(scratch, "l.listing_id = x.oid::bigint", f"{LISTINGS} AS l, pg_catalog.pg_class AS x")
    ((relation, said),) = _only(found(scratch, store_files), FAILURE)
    assert (relation, said.split(",")[0]) == (SPAM, "reads pg_catalog.pg_class")


def test_a_part_of_a_source_is_the_source_s_affair(scratch, store_files):
    scratch.run(f'CREATE TABLE "iPhone".older () INHERITS ({LISTINGS})')
    assert found(scratch, store_files) == ()


def test_a_source_column_that_nobody_has_declared_is_found(scratch, store_files):
    """It may hold anything: when an AI judged, or what a trigger copied from the sale."""
    flag_by(scratch, "l.damage_ai_at > l.edited_date AND l.url IS NULL AND l.sold_price = 1")
    ((relation, said),) = [
        (f.relation, f.words) for f in found(scratch, store_files) if f.gate == GATE
    ]
    assert relation == SPAM
    assert said == (
        "reads damage_ai_at, url of iPhone.iphone_listings, which sources.toml does not have; "
        "nobody has said that a feature may know that at t0."
    )


def test_a_source_that_is_classed_as_nothing_is_found(scratch, store_files):
    rules = dataclasses.replace(RULES, as_of={})
    said = _only(found(scratch, store_files, rules), FAILURE)
    assert {relation for relation, _ in said} == {
        A, B, SPAM, "ml.sold_durations_v1_mv", "ml.sold_prices_v1_mv", "ml.ask_daily_median_v1",
    }  # fmt: skip


@pytest.mark.parametrize("exception", _READS)
def test_a_feature_that_an_exception_reaches_and_does_not_name_is_found(
    scratch, store_files, exception
):
    declared = next(e for e in EXCEPTIONS if e.id == exception)
    ((name, features),) = declared.taints.items()
    changed = _changed(exception, taints={name: features[1:]})
    (finding,) = found(scratch, store_files, exceptions=changed)
    assert (finding.gate, finding.severity, finding.column) == (GATE, FAILURE, features[0])
    assert finding.relation == str(declared.relation)
    assert f"also reaches {features[0]} of {name}, which" in finding.words


@pytest.mark.parametrize("exception", _READS)
def test_a_feature_that_an_exception_does_not_reach_is_reported(scratch, store_files, exception):
    declared = next(e for e in EXCEPTIONS if e.id == exception)
    ((name, features),) = declared.taints.items()
    clean = {"tom_features_v1": "price", "iphone_device_meta_encoded_v2_model": "dev_var_pro"}
    changed = _changed(exception, taints={name: (*features, clean[name])})
    ((_, said),) = _only(found(scratch, store_files, exceptions=changed), WARNING)
    assert said == (
        f"the declared exception {exception} is no longer true: it does not reach {clean[name]} "
        f"of {name}."
    )


@pytest.mark.parametrize("exception", [e.id for e in EXCEPTIONS])
def test_a_feature_that_no_contract_has_is_reported(scratch, store_files, exception):
    declared = next(e for e in EXCEPTIONS if e.id == exception)
    ((name, features),) = declared.taints.items()
    changed = _changed(exception, taints={name: (*features, "gone")})
    ((_, said),) = _only(found(scratch, store_files, exceptions=changed), WARNING)
    assert said.endswith(f"no contract has gone of {name}.")


def test_an_exception_whose_read_is_gone_is_reported_and_fails_nothing(scratch, store_files):
    remake(
        scratch,
        store_files,
        E,
        (
            "LEFT JOIN ml.ask_daily_median_v1 AS ask",
            "LEFT JOIN (SELECT g.generation, g.storage_gb, g.t0_day AS ask_day, "
            "1.0::float8 AS ask_median_price, 1::bigint AS ask_cnt FROM cohort_day AS g) AS ask",
        ),
    )
    ((relation, said),) = _only(found(scratch, store_files), WARNING)
    assert relation == E
    assert said == (
        "the declared exception same-day-ask is no longer true: no feature set's "
        f"{E} reads ml.ask_daily_median_v1 now."
    )


def test_an_exception_whose_call_is_gone_is_reported(scratch, store_files):
    query = store_files.find(F1).file.create.text
    scratch.run(
        query.replace("CREATE VIEW", "CREATE OR REPLACE VIEW").replace(
            "b.edited_date::date AS t0_day", "(b.edited_date AT TIME ZONE 'UTC')::date AS t0_day"
        )
    )
    ((_, said),) = _only(found(scratch, store_files), WARNING)
    assert said.startswith("the declared exception live-zone is no longer true: ")


def test_an_exception_that_comes_to_more_features_must_name_them(scratch, store_files):
    """E-clean adds the number of asks to the title's length, a feature that no exception names."""
    remake(
        scratch,
        store_files,
        E_CLEAN,
        ("e.title_length,", "(e.title_length + e.ask_cnt)::int AS title_length,"),
    )
    (finding,) = found(scratch, store_files)
    assert (finding.severity, finding.relation, finding.column) == (FAILURE, E, "title_length")


def test_one_set_alone_leaves_the_other_s_exceptions_in_peace(scratch, store_files):
    from feature_store.validation.leaks.gates import check_gates

    for feature_set in SETS:
        assert check_gates(scratch.connection, store_files, [feature_set], RULES, EXCEPTIONS) == ()


def test_the_comment_of_every_tainted_column_tells_it(store_files, scratch):
    by_id = {e.id: e for e in EXCEPTIONS}
    relations = {s.name: s.relation for s in SETS}
    silent = []
    for (name, feature), ids in tainted_by(EXCEPTIONS).items():
        relation = relations[name]
        comment = scratch.value(
            "SELECT col_description(attrelid, attnum) FROM pg_attribute "
            "WHERE attrelid = %s::regclass AND attname = %s",
            str(relation),
            feature,
        )
        silent += [
            (feature, i) for i in ids if by_id[i].says.lower() not in (comment or "").lower()
        ]
    assert silent == []

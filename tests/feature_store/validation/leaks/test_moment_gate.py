"""Leak gate 1: a 'today' that became a constant when the relation was created."""

from __future__ import annotations

import dataclasses

import pytest

from feature_store.relation_name import Name
from feature_store.validation.leaks.gate_context import TIME_OF_QUERY
from tests.feature_store.validation.leaks.variants import (
    LISTINGS,
    RULES,
    SPAM,
    flag_by,
    found,
    make_source_a_view,
    remake,
    words,
)
from tests.relations import A

_FROZEN = {
    "a cast": "l.edited_date < 'today'::date",
    "a typed literal": "l.edited_date < date 'yesterday'",
    "a literal beside a column": "l.edited_date < 'now'",
    "a moment of a day": "l.edited_date < 'tomorrow 10:00'::timestamp",
    "another way to write it": r"l.edited_date < E'to\x64ay'::timestamptz",
    "two halves": "l.edited_date < 'to'\n'day'",
    "the time of day": "l.edited_date::time < 'now'::time",
    "a time with its zone": "l.edited_date::timetz < 'now'::timetz",
    "an array": "l.edited_date::date = ANY ('{today,yesterday}')",
    "a range": "l.edited_date::date <@ '[,today)'::daterange",
    "a range of moments": "l.edited_date <@ '{[,now)}'::tstzmultirange",
    "a field of a row": "l.edited_date < ('(0,x,now,0,x,,)'::pg_catalog.pg_stat_archiver)"
    ".last_archived_time",
    "a user's row": "l.edited_date < ('(1,now)'::public.priced).at",
    "a row in a row": "l.edited_date < (('(\"(1,now)\")'::public.around).held).at",
    "an array of rows": """l.edited_date < ('{"(1,now)"}'::public.priced[])[1].at""",
    "a user's range": "l.edited_date::date <@ '[,today)'::public.days",
    "an array of a domain": "l.edited_date::date = ANY ('{today}'::public.day[])",
}
_TYPES = (
    "CREATE TYPE public.priced AS (price int, at timestamptz)",
    "CREATE TYPE public.around AS (held public.priced)",
    "CREATE TYPE public.days AS RANGE (subtype = date)",
    "CREATE DOMAIN public.day AS date",
)


@pytest.mark.parametrize("written", _FROZEN)
def test_a_moment_that_became_a_constant_is_found(scratch, store_files, written):
    scratch.run(*_TYPES)
    flag_by(scratch, _FROZEN[written])
    (told,) = [w for w in words(found(scratch, store_files), TIME_OF_QUERY) if "constant" in w]
    assert told.startswith(f"{SPAM}: its query holds the constant ")


def _with_dates_in_its_file(store_files, relation: str, text: str):
    one = store_files.find(relation)
    file = dataclasses.replace(
        one.file, create=dataclasses.replace(one.file.create, text=one.file.create.text + text)
    )
    others = [r for r in store_files.relations if r is not one]
    edited = dataclasses.replace(one, file=file)
    return dataclasses.replace(store_files, relations=(*others, edited))


@pytest.mark.parametrize(
    "written",
    [
        "l.edited_date::date < '2026-11-28'",
        "l.edited_date > '2026-11-28'",
        "l.edited_date > '2026-11-28 10:00+02'",
        "l.edited_date::timestamp > '2026-11-28T10:00:00.5'",
        "l.edited_date::time < '08:30'",
        "l.edited_date > make_date(2026, 11, 28)",
        "l.edited_date::date < 'infinity' AND l.edited_date > '-infinity'",
        "l.listing_id <> ALL ('{1,2}') AND l.listing_id::int4 <@ '[1,9)'::int4range",
        "l.listing_id <> ('(1,2,3,x,now)'::pg_catalog.pg_seclabel).objoid",
    ],
)
def test_a_date_that_stands_in_the_file_is_none(scratch, store_files, written):
    flag_by(scratch, written)
    # Anything else about it, such as that it reads edited_date, is for another gate.
    said = words(found(scratch, _with_dates_in_its_file(store_files, SPAM, written)), TIME_OF_QUERY)
    assert [w for w in said if "constant" in w] == []


def test_a_date_of_the_file_in_another_place_excuses_no_other(scratch, store_files):
    flag_by(scratch, "l.edited_date < 'today'")
    files = _with_dates_in_its_file(store_files, SPAM, " AND l.edited_date < '2001-02-03'")
    assert [w for w in words(found(scratch, files), TIME_OF_QUERY) if "constant" in w]


def test_a_constant_of_a_view_without_a_file_is_vouched_for(scratch, store_files):
    make_source_a_view(
        scratch, store_files, "SELECT * FROM \"iPhone\".raw WHERE edited_date >= '2023-01-01'"
    )
    said = words(found(scratch, store_files), TIME_OF_QUERY)
    assert [w.partition(", which")[0] for w in said] == [
        "iPhone.iphone_listings: its query holds the constant 2023-01-01 00:00:00+00:00"
    ]
    vouched = frozenset({(Name("iPhone", "iphone_listings"), "2023-01-01 00:00:00+00:00")})
    rules = dataclasses.replace(RULES, constants=vouched)
    assert words(found(scratch, store_files, rules), TIME_OF_QUERY) == []


def test_it_is_found_on_every_version(store, store_files):
    from feature_store.validation.leaks.gates import check_gates
    from tests.feature_store.validation.leaks.variants import EXCEPTIONS, SETS

    store.connection.execute(
        f"CREATE OR REPLACE VIEW {SPAM} AS SELECT DISTINCT l.listing_id FROM {LISTINGS} AS l "
        "WHERE l.listing_id > 0 AND 'today'::date > '2001-02-03'".encode()
    )
    findings = check_gates(store.connection, store_files, SETS, RULES, EXCEPTIONS)
    assert len([f for f in findings if "constant" in f.words]) == 2


def test_a_file_that_names_a_moment_is_refused_before_any_work(scratch, include):
    from feature_store.errors import BadInput
    from feature_store.schema.planning.plan import make_plan

    path = include.edit(f"sql/base/{A}.sql", "l.spam IS NULL", "l.edited_date < 'today'")
    with pytest.raises(BadInput, match="has 'today'") as caught:
        make_plan(scratch.connection, include.store, include.directory)
    assert str(path) in caught.value.problem


def test_the_gate_is_told_of_the_relation_that_holds_it(scratch, store_files):
    remake(scratch, store_files, A, ("l.spam IS NULL", "l.spam IS NULL AND l.edited_date < 'now'"))
    said = [w for w in words(found(scratch, store_files), TIME_OF_QUERY) if "constant" in w]
    assert [w.partition(":")[0] for w in said] == [A]

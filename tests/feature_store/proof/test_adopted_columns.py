"""Columns of an owner's besides its file's: nobody proves them, and nobody may read them."""

from __future__ import annotations

import re
from dataclasses import replace

import pytest

from feature_store.audit.adopted import ADOPTED
from feature_store.declarations.feature_sets import read_feature_sets
from feature_store.declarations.folder_lint import folder_problems
from feature_store.declarations.store_definition import read_store
from feature_store.errors import NotReady
from feature_store.proof.adopted_columns import unproven_columns
from feature_store.schema.apply import apply
from feature_store.schema.readiness import check_ready
from feature_store.schema.stamps.contract_stamp import stamp
from tests.feature_store.schema.hand_built import OWNER
from tests.relations import E_AI, F0, F1, F3

_SPECIFICATION = f"sql/specifications/{F0}.sql"
# The server knows that it lacks a column; its text does not show that.
_HIDDEN = "SELECT s.* FROM (\n{}\n) AS s (generation, listing_id, edited_date)"


@pytest.fixture
def found(scratch, include):
    """What is unproven if F0 was adopted, which may have columns of its owner's."""
    scratch.run(
        "UPDATE feature_store_audit.definition SET file_definition = "
        f"'{ADOPTED}' || file_definition WHERE object = '{F0}'"
    )

    def look(change=lambda one: one):
        store = read_store(include.directory)
        sets = [change(one) for one in read_feature_sets(include.directory)]
        return unproven_columns(scratch.connection, store, sets)

    return look


def _without_model(include):
    """Let the specification of F0 forget a column, so that its text does not show it."""
    path = include.directory / _SPECIFICATION
    head, query = re.split(r"(?=^SELECT|^WITH)", path.read_text(), maxsplit=1, flags=re.MULTILINE)
    columns = "q.generation, q.listing_id, q.edited_date"
    short = f"SELECT {columns} FROM (\n{query.strip(';' + chr(10))}\n) AS q"
    path.write_text(head + _HIDDEN.format(short))


def test_of_the_shipped_folder_everything_is_proven(found):
    assert found() == []


def test_a_specification_of_an_adopted_relation_gives_all_columns_of_its_file(found, include):
    _without_model(include)
    assert found() == [f"{include.directory / _SPECIFICATION}: it lacks model."]


@pytest.mark.parametrize("folder", ["views", "specifications"])
def test_no_file_or_specification_reads_a_column_that_only_the_owner_gives(found, include, folder):
    path = f"sql/{folder}/{F1}.sql"
    text = (include.directory / path).read_text()
    (alias,) = set(re.findall(rf"{re.escape(F0)} AS (\w+)", text))
    include.edit(path, f"{alias}.listing_id,", f"{alias}.upstream_id AS listing_id,")
    assert any(path in told and f"{alias}.upstream_id does not exist" in told for told in found())


def test_no_contract_names_a_column_that_only_the_owner_gives(found):
    def with_it(one):
        more = ("upstream_id",) if str(one.relation) == F3 else ()
        return replace(one, other_columns=(*one.other_columns, *more))

    (told,) = found(with_it)
    assert told.endswith(
        f"names upstream_id of {F3}, which no file gives, so that nothing proves it."
    )


def test_a_run_does_not_start_with_such_a_specification(hand_built, include):
    with hand_built.session(OWNER) as connection:
        apply(connection, include.store, include.settings, [E_AI])
        for one in read_feature_sets(include.directory):
            stamp(connection, one, replace=True)
    _without_model(include)
    with pytest.raises(NotReady, match="it lacks model"):
        check_ready(hand_built.connection, read_store(include.directory), include.settings)


def test_what_a_text_shows_check_tells_without_a_database(include):
    text = (include.directory / _SPECIFICATION).read_text()
    (column,) = re.findall(r"^    \w+\.model$", text, re.MULTILINE)
    include.write(_SPECIFICATION, text.replace(f",\n{column}", ""))
    (told,) = folder_problems(include.directory)
    assert f"lacks model, which {F0} has" in told

"""The source tables: what is declared, and what is read."""

from __future__ import annotations

import pytest

from feature_store.declarations.source_tables import FAMILIES, read_sources
from feature_store.errors import BadInput


def test_sources_toml_lists_exactly_the_columns_that_the_relations_read(scratch, store_files):
    read = scratch.rows(
        """
        SELECT DISTINCT n.nspname || '.' || c.relname, coalesce(a.attname, 'THE WHOLE ROW')
        FROM pg_depend AS d
        INNER JOIN pg_rewrite AS w ON d.classid = 'pg_rewrite'::regclass AND d.objid = w.oid
        INNER JOIN pg_class AS r ON w.ev_class = r.oid
        INNER JOIN pg_class AS c ON d.refclassid = 'pg_class'::regclass AND d.refobjid = c.oid
        INNER JOIN pg_namespace AS n ON c.relnamespace = n.oid
        LEFT JOIN pg_attribute AS a ON c.oid = a.attrelid AND d.refobjsubid = a.attnum
        WHERE c.relkind = 'r' AND n.nspname NOT IN ('feature_store_audit', 'ml')
        """
    )
    declared = {(str(s.name), column) for s in store_files.sources for column in s.columns}
    read_by_a_witness = {("iPhone.iphone_ai_enrich", "updated_at")}
    assert set(read) | read_by_a_witness == declared


def test_an_unknown_type_family_is_refused_with_those_that_exist(tmp_path):
    path = tmp_path / "sources.toml"
    path.write_text('["a.b"]\nx = "money"\n')
    with pytest.raises(BadInput) as caught:
        read_sources(path)
    assert caught.value.problem == (
        f"{path}: a.b.x has the unknown type family 'money'; expected one of {', '.join(FAMILIES)}."
    )


@pytest.mark.parametrize("text", ["[", '["a.b"]\nx = int', '["a.b"]\nx = "int"\nx = "int"'])
def test_a_file_that_is_not_toml_is_refused(tmp_path, text):
    path = tmp_path / "sources.toml"
    path.write_text(text)
    with pytest.raises(BadInput, match=r"sources\.toml cannot be read"):
        read_sources(path)


@pytest.mark.parametrize(
    "text",
    ['x = "int"\n', '["a.b"]\nx = ["int"]\n', '["a.b"]\nx = 1\n', '["b"]\nx = "int"\n'],
    ids=["no table", "list", "number", "no schema"],
)
def test_a_file_of_another_shape_is_refused_and_named(tmp_path, text):
    path = tmp_path / "sources.toml"
    path.write_text(text)
    with pytest.raises(BadInput, match=r"sources\.toml"):
        read_sources(path)

"""Literals mean the same whatever the session's ``standard_conforming_strings``."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator

from psycopg import sql

from feature_store.declarations.store_definition import Store
from tests.conftest import ROOT, LiveStore

_COMMENT = re.compile(r"--[^\n]*")
_LITERAL = re.compile(r"'(?:[^']|'')*'")
_STATEMENT = re.compile(r"\b(SELECT|INSERT|UPDATE|DELETE|CREATE|ALTER|WHERE)\b")
_PYTHON = ("plugins", "sandbox", "dags", "bench", "config")


def _texts_of_sql() -> Iterator[tuple[str, str]]:
    for folder in ("include", "bench", "sandbox"):
        for path in sorted((ROOT / folder).rglob("*.sql")):
            yield str(path.relative_to(ROOT)), path.read_text()
    for folder in _PYTHON:
        for path in sorted((ROOT / folder).rglob("*.py")):
            for node in ast.walk(ast.parse(path.read_text())):
                text = node.value if isinstance(node, ast.Constant) else None
                if isinstance(text, str) and _STATEMENT.search(text):
                    yield f"{path.relative_to(ROOT)}:{node.lineno}", text


def test_no_literal_of_ours_has_a_backslash() -> None:
    texts = list(_texts_of_sql())
    found = [
        f"{where}: {literal}"
        for where, text in texts
        for literal in _LITERAL.findall(_COMMENT.sub("", text))
        if "\\" in literal
    ]

    assert len(texts) > 200, "both the files and the statements in Python were looked at"
    assert found == []


def test_the_relations_are_the_same_however_literals_are_read(
    store: LiveStore, store_files: Store
) -> None:
    def queries() -> list[str]:
        # The setting is fixed while we ask, as the server's answer depends on it, too.
        with store.connection.transaction():
            store.connection.execute("SET LOCAL standard_conforming_strings = on")
            return [
                store.connection.execute(
                    "SELECT pg_get_viewdef(to_regclass(%s))", (r.name.quoted,)
                ).fetchone()[0]  # type: ignore[index]
                for r in store_files.relations
            ]

    with store.connection.transaction(force_rollback=True):
        applied = queries()
        store.connection.execute("SET LOCAL standard_conforming_strings = off")
        for relation in reversed(store_files.relations):
            kind = "MATERIALIZED VIEW" if relation.file.materialized else "VIEW"
            drop = sql.SQL("DROP {} {}").format(sql.SQL(kind), relation.name.identifier)
            store.connection.execute(drop)
        for relation in store_files.relations:
            store.connection.execute(relation.file.create.text.encode())
        assert queries() == applied


def test_pro_and_max_are_apart_by_whatever_the_server_calls_a_blank(store: LiveStore) -> None:
    blanks = [" ", "  ", "\t", "\n", "\u00a0", "\u2003", "\u3000", "-", ""]
    store.load(
        [
            {"listing_id": number, "generation": 15, "model": f"Pro{blank}Max"}
            for number, blank in enumerate(blanks)
        ]
    )
    store.refresh()
    rows = store.rows("feature_store.v_device_meta_base_t0_v1")
    found = {blanks[row["listing_id"]]: row["model_variant"] == "pro_max" for row in rows}
    asked = store.connection.execute(
        r"SELECT b, b ~ '^\s+$' FROM unnest(%s::text[]) AS b", (blanks,)
    ).fetchall()
    assert found == dict(asked)
    assert sum(found.values()) >= 4

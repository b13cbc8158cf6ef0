"""SQL over relations of the same names in another schema."""

from __future__ import annotations

from feature_store.declarations.files.schema_rewrite import moved
from feature_store.relation_name import Name

_A = Name("ml", "a")


def test_names_move_whole_or_not_at_all() -> None:
    text = "SELECT ml.a.x, ml.ab, xml.a FROM ML.a AS \"ml.b\" WHERE t = 'ml.a' -- ml.a"
    assert moved(text, {_A: "r"}) == (
        'SELECT "r".a.x, ml.ab, xml.a FROM "r".a AS "ml.b" WHERE t = \'ml.a\' -- ml.a'
    )


def test_a_name_may_lose_its_schema() -> None:
    assert moved('SELECT x FROM "ml"."a"', {_A: None}) == 'SELECT x FROM "a"'

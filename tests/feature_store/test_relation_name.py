"""Names of relations: what may be one."""

from __future__ import annotations

import pytest

from feature_store.errors import BadInput
from feature_store.relation_name import Name, folded


@pytest.mark.parametrize("name", ["ml.{}", "{}.mv"])
def test_each_part_of_a_name_has_at_most_the_bytes_that_the_database_keeps(name):
    """A longer one would be created cut off, and missed under its full name for ever."""
    longest = name.format("n" * 63)
    assert str(Name.parse(longest)) == longest
    with pytest.raises(BadInput, match="has 64 bytes; expected at most 63"):
        Name.parse(name.format("n" * 64))


@pytest.mark.parametrize("name", ["mv", "a.b.c", "ml.my view", "ml.", 'ml."m"', "ml.ø"])
def test_what_is_not_plainly_schema_and_relation_is_no_name(name):
    with pytest.raises(BadInput, match=r"expected schema\.relation"):
        Name.parse(name)


def test_a_name_without_quotes_is_what_the_database_makes_of_it(scratch):
    for word in ("Share", "ÅR_Ærlig", "İ_I"):
        query = f"SELECT 1 AS {word}".encode()
        assert scratch.connection.execute(query).description[0].name == folded(word)

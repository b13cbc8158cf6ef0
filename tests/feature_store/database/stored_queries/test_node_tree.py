"""Reading the server's node trees."""

from __future__ import annotations

import pytest

from feature_store.database.stored_queries.node_tree import Node, parse_tree, walk


def _node(text: str) -> Node:
    node = parse_tree(text)
    assert isinstance(node, Node)
    return node


def test_fields_lists_numbers_and_nothing():
    node = _node('{A :one 1 :none <> :names ("a" "b\\ c") :oids (o 7 8) :inner {B :x true}}')
    assert (node.tag, node.number("one"), node.node("none")) == ("A", 1, None)
    assert node.items("names") == ['"a"', '"b c"']
    assert node.numbers("oids") == [7, 8]
    assert [n.tag for n in walk(node)] == ["A", "B"]


def test_a_field_that_is_not_there_is_empty():
    node = _node("{A}")
    assert (node.number("x"), node.text("x"), node.items("x"), node.numbers("x")) == (0, "", [], [])


def test_the_bytes_of_a_constant_are_kept():
    node = _node("{CONST :constvalue 4 [ 1 0 0 0 ] :location 3}")
    held: list[object] = ["1", "0", "0", "0"]
    assert node.fields == {"constvalue": "4", "constbytes": held, "location": "3"}


def test_a_name_that_looks_like_a_field_is_a_name():
    node = _node("{A :aliasname :funcid :colnames <>}")
    assert node.fields == {"aliasname": ":funcid", "colnames": None}


@pytest.mark.parametrize("text", ["", "{A", "(1", "{A :x}", "{A x 1}", ")", "{A} {B}"])
def test_what_is_no_tree_is_refused(text):
    with pytest.raises(ValueError, match="node tree"):
        parse_tree(text)


def test_every_rule_and_function_body_of_the_server_can_be_read(store):
    trees = store.connection.execute(
        "SELECT ev_action::text FROM pg_rewrite UNION ALL "
        "SELECT prosqlbody::text FROM pg_proc WHERE prosqlbody IS NOT NULL LIMIT 300"
    ).fetchall()
    assert all(any(n.tag == "QUERY" for n in walk(parse_tree(text))) for (text,) in trees)

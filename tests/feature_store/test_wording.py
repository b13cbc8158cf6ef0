"""Differences, lists and tables in words."""

from __future__ import annotations

from feature_store.wording import bullets, difference, text_table


def test_texts_that_differ_in_white_space_only_do_not_differ():
    assert difference("a  b\n c", "a b c ") == ""


def test_a_difference_shows_what_went_what_came_and_four_words_around():
    assert difference("1 2 3 4 5 old 6 7 8 9 10", "1 2 3 4 5 new 6 7 8 9 10") == (
        "… 2 3 4 5 [-old-] {+new+} 6 7 8 9 …"
    )


def test_what_only_went_and_what_only_came_stand_alone():
    assert difference("a b c", "a c") == "… a [-b-] c …"
    assert difference("a c", "a b c") == "… a {+b+} c …"


def test_six_places_are_shown_and_the_rest_counted():
    before = " ".join(f"same{i} x" for i in range(9))
    lines = difference(before, before.replace("x", "y")).splitlines()
    assert len(lines) == 7
    assert lines[-1] == "and 3 more places"


def test_a_long_passage_is_shortened_to_its_ends():
    long = " ".join(f"w{i}" for i in range(30))
    words = difference("a", f"a {long}")
    assert "w0 " in words
    assert "w11 (6 words) w18" in words
    assert "w29+}" in words
    exactly = " ".join(f"w{i}" for i in range(24))
    assert exactly in difference("a", f"a {exactly}")


def test_further_lines_of_a_bullet_are_indented():
    assert bullets(["one\nmore", "two"]) == "  - one\n    more\n  - two"


def test_columns_are_aligned_and_ruled():
    assert text_table(
        [("name", "n"), ("a", "10"), ("long name", "2")], right=(1,)
    ).splitlines() == [
        "name        n",
        "─────────  ──",
        "a          10",
        "long name   2",
    ]

"""Differences, lists and tables put into words."""

from __future__ import annotations

from feature_store.text_format import bounded, bullets, difference, shown, text_table


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


def test_what_an_error_quotes_is_cut_in_the_middle_and_both_ends_are_told():
    cut = bounded(f"X is {'a' * 100_000!r}; expected a day.")
    assert len(cut) < 2_000
    assert cut.startswith("X is 'aaa")
    assert cut.endswith("aaa'; expected a day.")
    assert " … (98,191 more characters) … " in cut


def test_however_many_lines_there_are_it_stays_short_and_what_is_short_stays():
    assert len(bounded("line\n" * 100_000)) <= 20_000
    assert bounded("a\nb" * 100) == "a\nb" * 100


def test_values_of_files_are_shown_however_deep_or_large_they_are():
    deep: list[object] = []
    for _ in range(100_000):
        deep = [deep]
    for value in (deep, 10**5_000, -(10**5_000), "x" * 100_000, {"a": deep}, ["x" * 1000] * 1000):
        assert 0 < len(shown(value)) < 1_300
    assert [shown(value) for value in (5, "x", [1], None)] == ["5", "'x'", "[1]", "None"]

"""How the cost of orchestration is worked out."""

from __future__ import annotations

import pytest

from bench.orchestration import critical_path, main, statement_seconds

_BELOW = {"prepare": ["a", "b"], "a": ["c"], "b": ["d"], "c": ["end"], "d": ["end"], "end": []}


def test_the_critical_path_is_the_heaviest_way_and_not_the_heaviest_task():
    weight = {"prepare": 0, "a": 2, "c": 2, "b": 3, "d": 0.5, "end": 1}
    assert critical_path(weight, _BELOW) == {"prepare", "a", "c", "end"}


def test_the_servers_log_counts_every_statement_of_a_tasks_sessions_and_of_no_other():
    log = [
        "feature_store base.a|LOG:  duration: 250.500 ms  statement: REFRESH\n",
        "\tMATERIALIZED VIEW ml.a\n",
        "feature_store base.a|LOG:  duration: 0.500 ms  bind <unnamed>: SELECT 1\n",
        "feature_store base.a|ERROR:  duration: 7 ms is what a user wrote\n",
        "airflow|LOG:  duration: 99.0 ms  statement: SELECT 1\n",
    ]
    assert statement_seconds(log) == {"base.a": pytest.approx(0.251)}


@pytest.mark.parametrize("listings", ["0", "-1", "1000001"])
def test_a_size_out_of_range_is_an_error_before_any_work(listings, capsys):
    assert main(["--listings", listings]) == 2
    assert "listings must be from 1 to 1000000" in capsys.readouterr().err

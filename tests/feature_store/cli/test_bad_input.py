"""Whatever is given from outside is used, or refused in one short error with nothing changed.

A few hundred inputs, the same ones each time: arguments, settings, files, the Airflow connection,
and parameters of a run.
"""

from __future__ import annotations

import io
import json
import os
import subprocess
import sys
from collections.abc import Callable
from contextlib import redirect_stderr, redirect_stdout
from dataclasses import fields
from datetime import UTC, datetime
from pathlib import Path
from types import SimpleNamespace
from typing import Any, ClassVar

import pytest
from airflow.sdk import Connection as AirflowConnection
from airflow.utils.types import DagRunType
from hypothesis import HealthCheck, Phase, example, given, settings
from hypothesis import strategies as st

from feature_store.cli.commands import main
from feature_store.database.connection_fields import read_extra
from feature_store.declarations.declared_exceptions import read_exceptions
from feature_store.declarations.feature_sets import read_feature_set
from feature_store.declarations.files.sql_file import read_sql_file
from feature_store.declarations.history_series import read_history
from feature_store.declarations.leak_rules import read_rules
from feature_store.declarations.source_tables import read_sources
from feature_store.declarations.store_definition import Store
from feature_store.declarations.thresholds import read_thresholds
from feature_store.errors import StoreError
from feature_store.operators.airflow_run import check_parameters
from feature_store.settings import PREFIX, Settings, read_settings
from sandbox.server import airflow_connection
from tests.conftest import ROOT

# An error is a few lines with a cut quotation; the longest of ours lists what is possible.
_SHORT = 7_000
_LONG = "9" * 5_000
_DEEP = 2_000
_SECRET = "s3cr3t-of-the-owner"

_few = settings(
    max_examples=60,
    deadline=None,
    database=None,
    phases=[Phase.explicit, Phase.generate],
    derandomize=True,
    suppress_health_check=list(HealthCheck),
)

_ODD = st.sampled_from(
    [
        "", " ", "\n", "\0", "a\0b", "\udcff", "\ud800\udc00", "\x1b]0;x\x07", "\u202ex", "'", '"',
        "$$", "--", "/*", "%", "%s", "{}", "..", "/", "~", "~nobody", "-1", "1e400", "nan", "inf",
        "-inf", "0x10", "１２", "True", "null", "[]", "{", _LONG, "-" + _LONG, "x" * 100_000,
        "(" * _DEEP, "[" * _DEEP + "]" * _DEEP, "a." * _DEEP + "a", "2999-01-01", "0000-00-00",
        "0 3 31 2 *", "*/0 * * * *", "1-99999999 * * * *", "H H * * *", "å" * 300, "🦊" * 99,
    ]
)  # fmt: skip
_TEXTS = st.one_of(_ODD, st.text(st.characters(), max_size=40))
_JSON = st.recursive(
    st.one_of(st.none(), st.booleans(), st.integers(), st.floats(), _TEXTS, st.just(10**4_000)),
    lambda inner: st.one_of(
        st.lists(inner, max_size=3), st.dictionaries(_TEXTS, inner, max_size=3)
    ),
    max_leaves=6,
)


def _refused(act: Callable[[], object]) -> None:
    """It succeeds, or raises an error of ours that is short and plain text."""
    try:
        act()
    except StoreError as error:
        told = str(error)
    else:
        return
    assert 0 < len(told) < _SHORT
    assert _SECRET not in told


class _Output(io.StringIO):
    encoding = "utf-8"


def _run(arguments: list[str]) -> tuple[int, str]:
    """The command line in this process: its exit code and all that it wrote."""
    written = _Output()
    with redirect_stdout(written), redirect_stderr(written):
        try:
            code: Any = main(arguments)
        except SystemExit as stopped:
            code = stopped.code
    return code, written.getvalue()


class TestArguments:
    """There is no database: a command that needs one ends at the connection, with 3."""

    COMMANDS = st.sampled_from(
        [
            ["plan"], ["plan", "--replace"], ["apply", "--replace"], ["apply", "--stamp-contract"],
            ["status"], ["report", "--run"], ["report", "--dag"], ["report", "--to"], ["history"],
            ["accept-history", "--day"], ["accept-history", "--day", "2026-01-01", "--reason"],
            ["accept-history", "--day", "2026-01-01", "--reason", "x", "--by"],
            ["accept-history", "--day", "2026-01-01", "--reason", "x", "--layer"],
            ["freshness", "--max-age"], ["check-contract"], ["stamp-contract"], [],
        ]
    )  # fmt: skip

    @pytest.fixture(autouse=True)
    def nowhere(self, tmp_path: Path, airflow_conn: Any) -> None:
        airflow_conn(f"host={tmp_path} user=rob dbname=shop")

    @_few
    @given(COMMANDS, st.lists(_TEXTS, min_size=1, max_size=2))
    @example(["report", "--run"], [""])
    @example(["report", "--to"], [""])
    @example(["report", "--run"], ["\udcff"])
    @example(["accept-history", "--day"], [_LONG])
    def test_any_text(self, command: list[str], texts: list[str]) -> None:
        code, written = _run([*command, *texts])
        if code == 0:
            assert any(text.startswith("-") for text in texts)  # only for -h
            return
        assert code in (2, 3), written
        assert 0 < len(written) < _SHORT
        assert "Traceback" not in written
        assert "rror: " in written

    @pytest.mark.parametrize("reason", ["…", "...", "'…'", "why", "REASON", "<reason>", "?", " - "])
    @pytest.mark.parametrize(
        "command",
        [["accept-history", "--day", "2026-01-01"], ["seal-log", "x"], ["erase", "7"]],
    )
    def test_a_reason_that_nobody_has_written(self, command: list[str], reason: str) -> None:
        """A mail, the page or an error has a placeholder there, which people paste as it stands."""
        code, written = _run([*command, "--reason", reason])
        assert code == 2
        assert "is a placeholder: replace it with your reason" in written

    @pytest.mark.parametrize(
        "arguments",
        [[b"status", b"\xff\xfe"], [b"\xff"], [b"report", b"--run", b"\xe5"], [b"plan", b""]],
    )
    def test_bytes_that_are_no_text(self, arguments: list[bytes]) -> None:
        done = _process([os.fsencode(sys.executable), b"-m", b"feature_store", *arguments])
        assert done.returncode == 2
        assert done.stdout == b""
        assert b"error: " in done.stderr
        assert b"Traceback" not in done.stderr

    @pytest.mark.parametrize("variable", ["FEATURE_STORE_ZONE", "LOGNAME", "AIRFLOW_HOME"])
    def test_variables_that_are_no_text(self, variable: str, tmp_path: Path) -> None:
        value = b"a\xff"
        command = [sys.executable, "-m", "feature_store", "accept-history"]
        done = _process(
            [*command, "--day", "2026-01-01", "--reason", "x"], {variable: value}, tmp_path
        )
        assert done.returncode in (2, 3)
        assert b"Traceback" not in done.stderr
        assert done.stderr.startswith(b"Error: ")


def _process(
    command: list[Any], variables: dict[str, bytes] | None = None, directory: Path | None = None
) -> subprocess.CompletedProcess[bytes]:
    environment = {**os.environb, b"PYTHONPATH": os.fsencode(ROOT / "plugins")}
    environment |= {os.fsencode(k): v for k, v in (variables or {}).items()}
    return subprocess.run(command, env=environment, cwd=directory, capture_output=True)


class TestSettings:
    @_few
    @given(st.sampled_from([PREFIX + f.name.upper() for f in fields(Settings)]), _TEXTS)
    def test_any_text(self, variable: str, text: str) -> None:
        _refused(lambda: read_settings({variable: text}))

    @_few
    @given(_TEXTS)
    def test_any_name(self, name: str) -> None:
        _refused(lambda: read_settings({PREFIX + name: "x"}))


_TOML = st.one_of(
    _TEXTS,
    st.builds("a = {}".format, _TEXTS),
    st.builds("[{}]".format, _TEXTS),
    st.sampled_from(
        [
            f"a = {_LONG}", f"a = 0x{'f' * 5_000}", f"a = 1{'0' * 400}.0", "a = nan", "a = -inf",
            "a = " + "[" * 100_000, "a = " + "{a = " * 10_000, "a." * _DEEP + "a = 1",
            f"['a.b']\nc = {_LONG[:4_000]}", f"['a.b']\nc = 0x{'f' * 5_000}", "a = 2026-01-01",
            "name = 'x'\nschema = " + "[" * 90 + "]" * 90, "features = [{ordinal = 0xff}]",
            f"[[exception]]\nid = '{'x' * 100_000}'", "as_of = ['\\u0000']", "a = 1\na = 2",
        ]
    ),
)  # fmt: skip
_SQL = st.one_of(
    _TEXTS,
    st.builds("SELECT {}".format, _TEXTS),
    st.builds("CREATE VIEW ml.v AS SELECT {} AS x".format, _TEXTS),
    st.sampled_from(
        [
            f"CREATE VIEW ml.v AS SELECT {'(' * n}1{')' * n} AS x" for n in (30, 60, 120, 5_000)
        ]
        + [
            f"CREATE VIEW ml.v AS SELECT {'f(' * 2_000}1{')' * 2_000} AS x",
            f"CREATE VIEW ml.v AS SELECT {'NOT ' * 2_000}TRUE AS x",
            f"CREATE VIEW ml.v AS SELECT {'CASE WHEN ' * 2_000}",
            f"CREATE VIEW ml.v AS {'SELECT * FROM (' * 3_000}",
            f"CREATE VIEW ml.v AS SELECT {_LONG} AS x",
            "CREATE VIEW ml.v AS " + "SELECT 1 AS x UNION ALL " * 300 + "SELECT 1 AS x",
            "CREATE VIEW ml.v AS SELECT 1 AS x; COMMENT ON VIEW ml.w IS 'x'", ";;;", "DROP ROLE x",
            "WITH a AS (" * 3_000, "SELECT 'x", "SELECT $$x", 'SELECT "x', "/* x", "\\i x",
        ]
    ),
)  # fmt: skip


class TestFiles:
    @_few
    @given(_TOML)
    def test_any_toml(self, tmp_path: Path, text: str) -> None:
        names = ("sources", "thresholds", "leak_rules", "exceptions", "contract")
        for name in names:
            (tmp_path / f"{name}.toml").write_bytes(text.encode(errors="surrogatepass"))
        _refused(lambda: read_sources(tmp_path / "sources.toml"))
        _refused(lambda: read_feature_set(tmp_path / "contract.toml", "ml"))
        for read in (read_thresholds, read_rules, read_exceptions):
            _refused(lambda read=read: read(tmp_path))  # type: ignore[misc]

    @_few
    @given(_SQL)
    def test_any_sql(self, tmp_path: Path, store_files: Store, text: str) -> None:
        folder = tmp_path / "sql" / "history"
        folder.mkdir(parents=True, exist_ok=True)
        header = (
            "-- History: X, x\n-- Role: input\n-- Relation: ml.tom_features_v1_mv\n-- Day: d\n"
            "-- Key: none\n"
        )
        (tmp_path / "ml.v.sql").write_bytes(text.encode(errors="surrogatepass"))
        (folder / "x.sql").write_bytes((header + text).encode(errors="surrogatepass"))
        _refused(lambda: read_sql_file(tmp_path / "ml.v.sql"))
        _refused(lambda: read_history(tmp_path, store_files))


class TestTheConnection:
    """Whatever stands in the Airflow connection."""

    DESCRIBED: ClassVar = {"conn_type": "postgres", "host": "h", "password": _SECRET}

    @_few
    @given(_JSON)
    def test_any_extra(self, value: Any) -> None:
        for extra in (value, {"options": value}, json.dumps(value), str(value)):
            written = extra if isinstance(extra, str) else json.dumps(extra)
            self._refused({**self.DESCRIBED, "extra": written})

    @_few
    @given(st.sampled_from(["login", "password", "schema", "port", "conn_type"]), _JSON)
    def test_any_field(self, field: str, value: Any) -> None:
        self._refused({**self.DESCRIBED, field: value})

    def _refused(self, described: dict[str, Any]) -> None:
        _refused(lambda: read_extra(AirflowConnection(conn_id="x", **described), ()))

    @pytest.mark.parametrize(
        "changed",
        [
            {"extra": ["a"]},
            {"extra": "no JSON"},
            {"extra": '{"a":' + "[" * 100_000},
            {"extra": {"options": {"a": 1}}},
            {"extra": {"options": ["-c geqo=off"]}},
            {"extra": {"row_factory": "x"}},
            {"extra": {"autocommit": True}},
            {"extra": {"no_such_option": 1}},
            {"extra": {"sslmode": "x"}},
            {"extra": {"connect_timeout": "x"}},
            {"extra": {"cursor": 5}},
            {"extra": {"iam": True}},
            {"port": 99_999_999},
            {"port": "x"},
            {"host": "h" * 100},
            {"login": "a\0b"},
            {"password": f"{_SECRET}\0"},
            {"password": f"{_SECRET}\ud800"},
            {"conn_type": "mysql"},
            {"hosts": "h"},
        ],
        ids=lambda changed: json.dumps(changed)[:40],
    )
    def test_what_could_never_connect_is_bad_input_and_not_a_server_that_is_away(
        self,
        empty_database: str,
        monkeypatch: pytest.MonkeyPatch,
        capsys: pytest.CaptureFixture[str],
        changed: dict[str, Any],
    ) -> None:
        described = json.loads(airflow_connection(empty_database))
        described = {**described, "password": _SECRET, **changed}
        monkeypatch.setenv("AIRFLOW_CONN_FEATURE_STORE", json.dumps(described))
        assert main(["plan"]) == 2
        out, err = capsys.readouterr()
        assert out == ""
        assert err.startswith("Error: ")
        assert len(err) < 500
        assert _SECRET not in err


class TestParametersOfARun:
    @_few
    @given(st.sampled_from(["as_of_day", "refresh_unchanged", "accept_shrink", "x"]), _JSON)
    @example("as_of_day", _LONG)
    @example("as_of_day", "2999-01-01")
    @example("as_of_day", "0001-01-01")
    @example("as_of_day", [])
    @example("refresh_unchanged", 10**5_000)
    def test_any_value(self, name: str, value: Any) -> None:
        run = SimpleNamespace(
            run_type=DagRunType.MANUAL,
            logical_date=None,
            run_after=datetime(2026, 6, 30, tzinfo=UTC),
        )
        context: Any = {"dag_run": run, "params": {name: value}}
        _refused(lambda: check_parameters(context, Settings()))

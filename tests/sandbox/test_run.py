"""What `make run` leaves on the machine: whole databases, and folders for their owner only."""

from __future__ import annotations

import os
import re
import shutil
import stat
import subprocess
import sys
import tempfile
from datetime import UTC, date, datetime, timedelta
from pathlib import Path

import psycopg
import pytest

from feature_store.declarations.files.text_file import PACKAGE_SQL
from feature_store.errors import BadInput
from sandbox import home
from sandbox import run as sandbox_run
from sandbox.csv_listings import CsvError
from sandbox.data import csv_data, find_data, sample_data, seeded_data
from sandbox.home import ROOT, make_home
from sandbox.run import _database, _database_name, _parser, answered_day, main
from sandbox.sample.options import SampleOptions

BIKES = ROOT / "examples" / "bike_stations"
LAST_DAY = date(2026, 6, 30)


def databases(server) -> set[str]:
    with psycopg.connect(server.conninfo) as connection:
        return {name for (name,) in connection.execute("SELECT datname FROM pg_database")}


def test_of_a_malformed_csv_no_database_is_left(server, tmp_path):
    path = tmp_path / "listings.csv"
    path.write_text("listing_id,edited_date\n1,2024-01-05\nx,2024-01-06\n")
    before = databases(server)
    with pytest.raises(CsvError, match="line 3, column listing_id"):
        _database(server, csv_data(ROOT / "include", path))
    assert databases(server) == before


def test_a_sample_ends_yesterday_and_its_run_answers_for_today():
    """Else the first page would call a store stale that the first run called fresh."""
    today = datetime.now(UTC).date()
    yesterday, before = today - timedelta(days=1), today - timedelta(days=2)
    assert _parser().parse_args([]).last_day in (yesterday, before)  # if midnight passes
    assert answered_day(yesterday, today) == answered_day(None, today) == today
    assert answered_day(date(2020, 1, 1), today) == date(2020, 1, 1)


def test_what_changes_the_store_starts_on_a_database_of_its_own(tmp_path, monkeypatch):
    include = shutil.copytree(ROOT / "include", tmp_path / "include")
    package = shutil.copytree(PACKAGE_SQL, tmp_path / "package")
    monkeypatch.setattr(sandbox_run, "PACKAGE_SQL", package)
    data = sample_data(include, SampleOptions())
    names = [_database_name(data)]
    for changed in (include / "store.toml", next(package.rglob("0001_*.sql"))):
        changed.write_text(changed.read_text() + "\n")
        names.append(_database_name(data))
    assert len(set(names)) == 3


def test_a_name_of_any_length_gives_a_name_that_the_server_keeps(tmp_path):
    store = shutil.copytree(BIKES, tmp_path / "store")
    (store / "store.toml").write_text(f'name = "{"n" * 40}"\n')
    name = _database_name(seeded_data(store, 3650, LAST_DAY))
    assert len(name) <= 63
    assert re.search(r"_[0-9a-f]{8}$", name)


def test_a_folder_fills_its_own_tables(empty_database):
    data = find_data(BIKES, listings=None, days=2, last_day=LAST_DAY, csv=None)
    assert data.load(empty_database) == {"city.counts": 16, "city.weather": 2}
    assert data.newest(empty_database) == LAST_DAY
    with psycopg.connect(empty_database) as connection:
        days = connection.execute("SELECT DISTINCT day::date FROM city.weather ORDER BY 1")
        assert [day for (day,) in days] == [LAST_DAY - timedelta(days=1), LAST_DAY]


def test_a_seed_that_psql_refuses_says_where_and_why(server, tmp_path):
    store = shutil.copytree(BIKES, tmp_path / "store")
    (store / "seed.sql").write_text("SELECT 1;\nINSERT INTO city.nowhere VALUES (1);\n")
    before = databases(server)
    with pytest.raises(BadInput, match=r'seed.sql:2: ERROR:  relation "city.nowhere" does not'):
        _database(server, seeded_data(store, 2, LAST_DAY))
    assert databases(server) == before


@pytest.mark.parametrize("given", [{"listings": 10_000}, {"csv": "listings.csv"}])
def test_listings_are_refused_for_a_folder_that_fills_its_own_tables(given):
    with pytest.raises(BadInput, match=r"has a seed\.sql of its own"):
        find_data(BIKES, **{"listings": None, "csv": None, **given}, days=2, last_day=LAST_DAY)


def test_so_many_listings_and_a_csv_are_not_both_loaded():
    with pytest.raises(BadInput, match="CSV and LISTINGS both say which listings are loaded"):
        find_data(ROOT / "include", listings=10, days=2, last_day=LAST_DAY, csv="listings.csv")


def test_a_folder_whose_tables_nothing_fills_is_refused(tmp_path):
    store = shutil.copytree(BIKES, tmp_path / "store")
    (store / "seed.sql").unlink()
    with pytest.raises(BadInput, match=r"Nothing here fills city\.counts, city\.weather"):
        find_data(store, listings=None, days=2, last_day=LAST_DAY, csv=None)


@pytest.mark.slow
@pytest.mark.timeout(1800)
def test_another_store_is_run_from_nothing_with_nothing_of_ours_beside_it(tmp_path):
    with tempfile.TemporaryDirectory() as clone:
        for part in ("sandbox", "plugins", "config", "dags", "examples", "bin"):
            shutil.copytree(ROOT / part, Path(clone) / part)
        shutil.copy(ROOT / "Makefile", clone)
        environment = {k: v for k, v in os.environ.items() if not k.startswith("AIRFLOW")}
        environment["PYTHONPATH"] = f"plugins:{clone}"

        def types(command: str) -> str:
            done = subprocess.run(
                ["sh", "-c", command], cwd=clone, env=environment, capture_output=True, text=True,
                check=False,
            )  # fmt: skip
            said = done.stdout + done.stderr
            assert done.returncode == 0, said
            assert not re.search("Running commandline|handling connection", said), "in between"
            return done.stdout

        try:
            store = "--store examples/bike_stations --days 40"
            ran = types(f"{sys.executable} -m sandbox.run {store}")
            told = types(f". .run/environment; {sys.executable} -m feature_store status")
            stamped = types(f". .run/owner; {sys.executable} -m feature_store stamp-proofs")
            environment_file = (Path(clone) / ".run" / "environment").read_text()
        finally:
            types(f"{sys.executable} -m sandbox.stop; make clean PYTHON={sys.executable}")
    assert "city.counts: 320 rows" in ran
    assert "The DAG bike_stations_refresh runs for" in ran
    assert "0 broken, 0 not checked; 5 relations refreshed" in ran
    assert "Contract OK: empty_risk_v1, 5 features" in ran
    assert "Fresh and certified" in ran
    assert "then: TABLE bikes.morning_load_v1 LIMIT 5;" in ran
    assert "All that it certified is still in place." in told
    assert '"login": "bikes_refresher"' in environment_file
    assert "The proofs are stamped." in stamped


def test_a_shell_that_reads_its_environment_finds_the_programs_that_mails_name(tmp_path):
    file = tmp_path / "environment"
    sandbox_run._write_environment(file, "{}", BIKES)
    done = subprocess.run(
        ["sh", "-c", f". {file}; command -v airflow"],
        env={"PATH": f"/a folder/bin:{os.defpath}"},
        capture_output=True,
        text=True,
        check=True,
    )
    assert Path(done.stdout.strip()) == Path(sys.executable).parent / "airflow"


def test_a_day_that_does_not_exist_is_named(capsys):
    with pytest.raises(SystemExit):
        _parser().parse_args(["--last-day", "2026-02-30"])
    assert "'2026-02-30' is not a day, such as 2026-06-30" in capsys.readouterr().err


def test_a_folder_that_is_not_there_is_named_with_one_that_is(tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(home, "HOME", tmp_path)
    assert main(["--store", str(tmp_path / "nope")]) == 2
    assert (
        f"No folder {tmp_path / 'nope'}; STORE=examples/bike_stations is one."
        in capsys.readouterr().err
    )


def test_a_pipe_is_refused_before_anything_is_started(tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(home, "HOME", tmp_path)
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    assert main(["--csv", str(pipe)]) == 2
    assert "not a file but a pipe" in capsys.readouterr().err


def test_what_the_sandbox_writes_is_its_owners_alone(tmp_path, monkeypatch):
    home_folder = tmp_path / ".run"
    home_folder.mkdir(mode=0o755)
    monkeypatch.setattr(home, "HOME", home_folder)
    before = os.umask(0)
    try:
        make_home(home_folder / "bench")
        (home_folder / "environment").write_text("x")
    finally:
        os.umask(before)
    written = {path: stat.S_IMODE(path.stat().st_mode) for path in home_folder.rglob("*")}
    assert written == {home_folder / "bench": 0o700, home_folder / "environment": 0o600}
    assert stat.S_IMODE(home_folder.stat().st_mode) == 0o700


@pytest.mark.skipif(os.geteuid() != 0, reason="an ordinary user's server lies in the clone")
def test_for_root_a_clone_in_a_closed_home_works_and_stays_closed():
    """The path may be long, and all of it closed to the servers' system user."""
    with tempfile.TemporaryDirectory() as home_of_root:
        clone = Path(home_of_root) / ("a-long-name-" * 8) / "clone"
        for part in ("sandbox", "plugins", "include", "config"):
            shutil.copytree(ROOT / part, clone / part)
        shutil.copy(ROOT / "Makefile", clone)
        above = [clone, *clone.parents]
        before = {path: path.stat() for path in above}
        started = subprocess.run(
            [sys.executable, "-c", _START], cwd=clone, capture_output=True, text=True, check=False,
            env={**os.environ, "PYTHONPATH": "plugins:."},
        )  # fmt: skip
        assert started.returncode == 0, started.stderr
        data = Path(started.stdout.strip())
        assert {path: path.stat().st_mode for path in above} == {
            path: found.st_mode for path, found in before.items()
        }
        assert stat.S_IMODE(data.stat().st_mode) == 0o700
        assert data.parent.parent == Path("/var/lib")
        subprocess.run(
            ["make", "clean", f"PYTHON={sys.executable}"], cwd=clone, check=True,
            capture_output=True,
        )  # fmt: skip
        assert not data.parent.exists()


_START = """
from sandbox.home import POSTGRES, make_home
from sandbox.server import start_server, stop_server
make_home()
start_server(POSTGRES)
stop_server(POSTGRES)
print(POSTGRES)
"""

"""The file that grants, for any store: printed from its folder, run by its administrator."""

from __future__ import annotations

import re
import shlex
import shutil
import subprocess
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import psycopg
import pytest

from feature_store.cli.commands import main
from feature_store.client import read_features, read_training_set
from feature_store.connection import one_value
from feature_store.database.session import pin
from feature_store.declarations.feature_sets import read_feature_sets
from feature_store.declarations.source_tables import Source
from feature_store.declarations.store_definition import Store, read_store
from feature_store.relation_name import Name
from feature_store.schema.first_start import bootstrap
from feature_store.schema.privileges.grants import grants
from feature_store.settings import Settings
from sandbox.roles import as_role
from sandbox.server import Server, run_psql
from tests.conftest import ROOT
from tests.feature_store.schema.roles.governed import DENIED, Governed, nightly_run, refusal

FOLDER = ROOT / "examples" / "bike_stations"
A = "bikes.mornings_mv"
ADMIN, CITY = "bikes_administrator", "city_hall"
ROLES = [f"bikes_{role}" for role in ("owner", "page", "reader", "refresher", "reviewer")]


@pytest.fixture
def printed(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> Callable[..., Path]:
    """What `grants` prints, written to a file."""

    def printed(*arguments: str) -> Path:
        capsys.readouterr()
        assert main(["grants", *arguments]) == 0
        file = tmp_path / "roles.sql"
        file.write_text(capsys.readouterr().out)
        return file

    return printed


def test_our_own_file_is_what_is_printed(printed, monkeypatch):
    monkeypatch.setenv("AIRFLOW_CONN_FEATURE_STORE", "no database is asked")
    assert printed().read_text() == (ROOT / "include" / "roles.sql").read_text()


def test_it_names_nothing_of_another_store(printed):
    text = printed(str(FOLDER)).read_text()
    assert not re.search(r"iphone|\bml\b|\btom_|device", text, re.IGNORECASE)
    assert "('bikes', 'morning_load_v1', TRUE)" in text
    assert "('bikes', 'outcomes_mv', FALSE)" in text
    assert "('bikes', 'outcomes_mv', 'ran_empty')" in text


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A copy of the folder that a test may edit."""
    return shutil.copytree(FOLDER, tmp_path / "bikes")


def test_a_kept_file_that_is_not_what_the_folder_asks_for_is_told_by_check(folder, printed, capsys):
    kept = printed(str(folder)).rename(folder / "roles.sql")
    assert main(["check", str(folder)]) == 0
    kept.write_text(kept.read_text().replace("TRUE", "FALSE"))
    assert main(["check", str(folder)]) == 1
    told = capsys.readouterr().err
    assert "roles.sql is not what the folder asks for now" in told
    (command,) = re.findall(r"`bin/feature-store grants (.*) > ", told)
    printed(*shlex.split(command)).rename(kept)
    assert main(["check", str(folder)]) == 0


def test_readers_are_promised_nothing_that_is_not_there(folder, capsys):
    toml = (folder / "store.toml").read_text()
    (folder / "store.toml").write_text('for_readers = ["bikes.no_such_mv"]\n' + toml)
    assert main(["grants", str(folder)]) == 2
    said = capsys.readouterr()
    assert "for_readers: bikes.no_such_mv is not a relation of the store" in said.err
    assert said.out == ""


@pytest.fixture
def city(server: Server, settings: Settings, folder: Path) -> Iterator[Governed]:
    """A database of an administrator who is no superuser; the city owns the tables in it."""
    contract = folder / "contracts" / "empty_risk_v1.toml"
    t0 = 't0 = "bikes.morning_features_clean_mv.counted_at"'  # here from a base layer
    assert t0 in contract.read_text()
    contract.write_text(contract.read_text().replace(t0, f't0 = "{A}.counted_at"'))
    conninfo = server.create_database("bikes_roles")
    store = Governed(conninfo, 0, read_store(folder), replace(settings, include_dir=folder))
    store.run(
        f"CREATE ROLE {ADMIN} LOGIN CREATEROLE",
        f"CREATE ROLE {CITY} LOGIN",
        f"ALTER DATABASE bikes_roles OWNER TO {ADMIN}",
        f"GRANT CREATE ON DATABASE bikes_roles TO {CITY}",
    )
    for script in ("sources.sql", "seed.sql"):
        run_psql(as_role(conninfo, CITY), FOLDER / script)
    yield store
    server.drop_database("bikes_roles")
    with psycopg.connect(server.conninfo, autocommit=True) as connection:
        for role in (*ROLES, ADMIN, CITY):
            connection.execute(f"DROP ROLE IF EXISTS {role}".encode())


def test_a_second_store_lives_under_roles_of_its_own(
    city: Governed, printed: Callable[..., Path]
) -> None:
    """An administrator with CREATEROLE alone makes them, on tables of somebody else's."""
    file, admin = printed(str(city.settings.include_dir)), as_role(city.conninfo, ADMIN)
    with pytest.raises(subprocess.CalledProcessError) as refused:
        run_psql(admin, file)
    (told,) = re.findall(r"HINT: +As the owner of these: (.*); then run", refused.value.stderr)
    assert set(told.split("; ")) == {
        f"GRANT {privilege} TO {role}"
        for privilege in (
            "USAGE ON SCHEMA city",
            "SELECT ON TABLE city.counts",
            "SELECT ON TABLE city.weather",
        )
        for role in ("bikes_owner", "bikes_refresher")
    }
    with psycopg.connect(as_role(city.conninfo, CITY)) as connection:
        connection.execute(told.encode())
    assert "Apply as bikes_owner" in run_psql(admin, file)
    with psycopg.connect(as_role(city.conninfo, "bikes_owner"), autocommit=True) as connection:
        pin(connection, city.settings, "tests")
        bootstrap(connection, city.files, city.settings)
    assert run_psql(admin, file) == "The roles have what they need.\n"
    nightly_run(city, "first", "bikes_refresher")

    with city.session("bikes_reader") as connection:
        for relation in (
            "bikes.morning_features_clean_mv",
            "bikes.morning_load_v1",
            "feature_log.empty_risk_v1_training",
        ):
            assert one_value(connection, f"SELECT count(*) FROM {relation}".encode()) > 0
        for name in ("empty_risk_v1", "morning_load_v1"):
            asked = connection.execute(
                "SELECT run_id FROM bikes.require_certified(%s, '1 hour')", (name,)
            ).fetchone()
            assert asked == ("first",)
    reader = as_role(city.conninfo, "bikes_reader")
    for rows in (
        read_features(reader, ["empty_risk_v1", "morning_load_v1"]),
        read_training_set(reader, "empty_risk_v1", most_lag=None),
        read_training_set(reader, "empty_risk_v1", rebuilt=True),
    ):
        assert rows["t0"].notna().all()
    assert rows["ran_empty"].notna().all()
    with city.session("bikes_page") as connection:
        run = connection.execute("SELECT verdict FROM feature_store_audit.run").fetchall()
        assert len(run) == 1
    refused_to = {
        "bikes_reader": (
            "SELECT FROM bikes.empty_days_mv",
            "SELECT docks FROM bikes.mornings_mv",
            "SELECT FROM city.counts",
        ),
        "bikes_page": ("SELECT FROM bikes.morning_load_v1", "SELECT FROM city.counts"),
        "bikes_reviewer": ("SELECT FROM bikes.morning_load_v1", "SELECT FROM city.counts"),
        "bikes_refresher": (
            "DROP MATERIALIZED VIEW bikes.mornings_mv",
            "DELETE FROM city.counts",
            "UPDATE bikes.feature_contract SET dtype = 'int8'",
        ),
    }
    for role, statements in refused_to.items():
        for statement in statements:
            assert refusal(city, role, statement) == DENIED, (role, statement)
    # No role of another store on this server has anything here.
    with city.session() as connection:
        granted = connection.execute(
            "SELECT DISTINCT r.rolname FROM pg_roles AS r INNER JOIN pg_shdepend AS d "
            "ON d.refclassid = 'pg_authid'::regclass AND d.refobjid = r.oid "
            "INNER JOIN pg_database AS b ON d.dbid = b.oid AND b.datname = current_database()"
        ).fetchall()
    assert {role for (role,) in granted} == {*ROLES, CITY}


def test_names_may_be_any(server: Server, store_files: Store, tmp_path: Path) -> None:
    """Schemas, relations, sources and roles may have capitals, blanks, quotes and dots in them."""
    relation = store_files.refreshed[0]
    odd = Name("My Schema", 'odd "mv"; it\'s')
    source = Source(Name('Ci"ty.x', "my 'counts'"), {"id": "int"})
    schemas = ["My Schema", 'or"der', "user"]
    store = Store(
        store_files.profile.model_copy(update={"governed_schemas": schemas}),
        (replace(relation, file=replace(relation.file, name=odd)),),
        (source,),
        (),
    )
    file = tmp_path / "roles.sql"
    file.write_text(grants(store, [replace(read_feature_sets(ROOT / "include")[0], relation=odd)]))
    prefix = 'It\'s; the "Bikes"'
    conninfo = server.create_database('Odd "base"')
    try:
        with psycopg.connect(conninfo, autocommit=True) as connection:
            connection.execute(
                'CREATE SCHEMA "Ci""ty.x"; CREATE TABLE "Ci""ty.x"."my \'counts\'" (id integer)'
            )
            run_psql(conninfo, file, prefix=prefix)
            connection.execute(
                'CREATE MATERIALIZED VIEW "My Schema"."odd ""mv""; it\'s" AS SELECT 1 AS x'
            )
            assert "The roles have what they need." in run_psql(conninfo, file, prefix=prefix)

            def may(role: str, name: Name) -> bool:
                row = connection.execute(
                    "SELECT has_schema_privilege(%(role)s, n.oid, 'USAGE') "
                    "AND has_table_privilege(%(role)s, c.oid, 'SELECT') FROM pg_class AS c "
                    "INNER JOIN pg_namespace AS n ON c.relnamespace = n.oid "
                    "WHERE n.nspname = %(schema)s AND c.relname = %(relation)s",
                    {
                        "role": f"{prefix}_{role}",
                        "schema": name.schema,
                        "relation": name.relation,
                    },
                ).fetchone()
                return bool(row and row[0])

            read = {(role, n) for role in ("refresher", "reader") for n in (odd, source.name)}
            assert {(role, n) for role, n in read if may(role, n)} == {
                ("refresher", odd),
                ("refresher", source.name),
                ("reader", odd),
            }
    finally:
        server.drop_database('Odd "base"')
        with psycopg.connect(server.conninfo, autocommit=True) as connection:
            for role in ("owner", "page", "reader", "refresher", "reviewer"):
                connection.execute(f'DROP ROLE IF EXISTS "It\'s; the ""Bikes""_{role}"'.encode())

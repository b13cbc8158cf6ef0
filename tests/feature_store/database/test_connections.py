"""The Airflow connection reaches every session: TLS, all options of libpq, passwords of any kind.

Every session includes those in which Great Expectations asks its queries. Both are opened as the
tasks open them and show what the server says of them.
"""

from __future__ import annotations

import logging
import os
import re
import socket
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import psycopg
import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from psycopg import sql
from psycopg.conninfo import make_conninfo

from feature_store.cli.commands import main
from feature_store.connection import Connection, one_value
from feature_store.database.session import connect
from feature_store.declarations.expectations import Expectation
from feature_store.errors import BadInput, CannotConnect, passes_on_its_own
from feature_store.settings import Settings
from feature_store.validation.suites import run_suite
from sandbox.programs import hand_over
from sandbox.server import (
    Server,
    available_versions,
    folder_for_servers,
    start_server,
    stop_server,
)
from tests.conftest import ROOT

_EMBEDDED = (16, 18)  # built without TLS
PASSWORDS = {
    "percent": "50%",
    "format": "%(name)s %s {name} {{ x }}",
    "dollar": "$HOME ${HOME} $$",
    "address": "a@b:5432/c?d=e&f#g",
    "quotes": """it's "quoted" `so`""",
    "spaces": "  two  spaces  ",
    "backslash": "\\n\\\\",
    "unicode": "pässwörd ✓ 密码",
}


def seen_by_ours(settings: Settings, query: str) -> dict[str, Any]:
    """What the server tells a session of ours."""
    connection = connect(settings, "tests")
    try:
        cursor = connection.execute(query.encode())
        (row,) = cursor
        assert cursor.description is not None
        return dict(zip([c.name for c in cursor.description], row, strict=True))
    finally:
        connection.close()


def seen_by_great_expectations(settings: Settings, query: str) -> dict[str, Any]:
    """What the server tells Great Expectations, as the sample of an expectation that is broken."""
    from feature_store.operators.tasks import SuiteOperator

    operator = SuiteOperator(task_id="uniqueness", suite="uniqueness")

    def another() -> Connection:
        connection = operator.connect(settings)
        connection.autocommit = False
        return connection

    (finding,) = run_suite(
        [Expectation("uniqueness", "x", "ml.x", "critical", "no row", query)], another
    )
    assert finding.outcome == "broken", finding.observed
    return finding.sample[0]


SEEN_BY = pytest.mark.parametrize(
    "seen_by", [seen_by_ours, seen_by_great_expectations], ids=["ours", "great_expectations"]
)
See = Callable[[Settings, str], dict[str, Any]]


def test_sessions_are_opened_in_one_place_only() -> None:
    """What holds of that place then holds of every session of the package."""
    opens = re.compile(r"psycopg\.connect\(|Connection\.connect\(|get_conn\(|create_engine\(")
    found = {
        path.name
        for path in (ROOT / "plugins" / "feature_store").rglob("*.py")
        if opens.search(path.read_text())
    }
    # The client has a place of its own: models read by it where nothing else is installed.
    assert found == {"session.py", "snapshot.py"}


class TestOptions:
    @SEEN_BY
    def test_options_reach_every_session(
        self, seen_by: See, empty_database: str, airflow_conn: Any, settings: Settings
    ) -> None:
        airflow_conn(empty_database, options="-c vacuum_cost_limit=77 -c geqo=off")
        seen = seen_by(
            settings,
            "SELECT current_setting('vacuum_cost_limit') AS cost, current_setting('geqo') AS geqo",
        )
        assert seen == {"cost": "77", "geqo": "off"}

    def test_options_that_the_server_does_not_see_reach_libpq(
        self, empty_database: str, airflow_conn: Any, settings: Settings
    ) -> None:
        given = {"connect_timeout": "7", "sslmode": "disable", "keepalives_idle": "11"}
        airflow_conn(empty_database, **given)
        connection = connect(settings, "tests")
        assert given.items() <= connection.info.get_parameters().items()
        connection.close()

    def test_target_session_attrs_is_obeyed(
        self, empty_database: str, airflow_conn: Any, settings: Settings
    ) -> None:
        airflow_conn(empty_database, target_session_attrs="read-only")
        with pytest.raises(CannotConnect, match="session is not read-only"):
            connect(settings, "tests")
        airflow_conn(empty_database, target_session_attrs="read-write")
        connect(settings, "tests").close()

    def test_an_option_without_meaning_is_bad_input(
        self, empty_database: str, airflow_conn: Any, settings: Settings
    ) -> None:
        airflow_conn(empty_database, ssl_mode="require")
        with pytest.raises(BadInput, match="ssl_mode"):
            connect(settings, "tests")


@pytest.fixture
def login(server: Server, empty_database: str) -> Iterator[Callable[[str], str]]:
    """Give a role a password that the server asks for; returns the role's connection string."""
    role = f"locked_{os.getpid()}"
    with psycopg.connect(server.conninfo, autocommit=True) as connection:
        hba = Path(one_value(connection, "SELECT current_setting('hba_file')"))
        before = hba.read_text()
        hba.write_text(f"local all {role} scram-sha-256\n{before}")
        connection.execute(f"CREATE ROLE {role} LOGIN".encode())
        connection.execute("SELECT pg_reload_conf()")

        def with_password(password: str) -> str:
            connection.execute(
                sql.SQL("ALTER ROLE {} PASSWORD {}").format(
                    sql.Identifier(role), sql.Literal(password)
                )
            )
            return make_conninfo(empty_database, user=role, password=password)

        yield with_password
        hba.write_text(before)
        connection.execute("SELECT pg_reload_conf()")
        connection.execute(f"DROP ROLE {role}".encode())


class TestPasswords:
    @SEEN_BY
    @pytest.mark.parametrize("password", PASSWORDS.values(), ids=PASSWORDS)
    def test_any_character_works_and_shows_nowhere(
        self,
        seen_by: See,
        password: str,
        login: Callable[[str], str],
        airflow_conn: Any,
        settings: Settings,
        caplog: pytest.LogCaptureFixture,
        capfd: pytest.CaptureFixture[str],
        server: Server,
    ) -> None:
        caplog.set_level(logging.DEBUG)
        airflow_conn(login(password))
        query = (
            "SELECT session_user::text AS role, "
            "(SELECT string_agg(a::text, '') FROM pg_catalog.pg_stat_activity AS a) AS activity"
        )
        seen = seen_by(settings, query)
        assert seen["role"] == f"locked_{os.getpid()}"
        output = capfd.readouterr()
        for shown in (caplog.text, seen["activity"], output.out, output.err):
            assert password.strip() not in shown

    def test_a_wrong_one_is_a_refused_connection_that_does_not_tell_it(
        self,
        login: Callable[[str], str],
        airflow_conn: Any,
        settings: Settings,
        caplog: pytest.LogCaptureFixture,
        capsys: pytest.CaptureFixture[str],
    ) -> None:
        caplog.set_level(logging.DEBUG)
        airflow_conn(make_conninfo(login("right"), password="wr%ng$s3cret"))
        with pytest.raises(CannotConnect, match="password authentication failed") as caught:
            connect(settings, "tests")
        assert main(["plan"]) == 3
        output = capsys.readouterr()
        for shown in (str(caught.value), repr(caught.value.__cause__), caplog.text, *output):
            assert "wr%ng$s3cret" not in shown


def _certificate(names: list[str]) -> tuple[bytes, bytes]:
    """A self-signed certificate for these host names, and its key; as PEM."""
    key = ec.generate_private_key(ec.SECP256R1())
    subject = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, names[0])])
    now = datetime.now(UTC)
    certificate = (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(subject)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - timedelta(days=1))
        .not_valid_after(now + timedelta(days=1))
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .add_extension(x509.SubjectAlternativeName([x509.DNSName(n) for n in names]), False)
        .sign(key, hashes.SHA256())
    )
    pem = serialization.Encoding.PEM
    return certificate.public_bytes(pem), key.private_bytes(
        pem, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )


@pytest.fixture(scope="module")
def tls() -> Iterator[dict[str, str]]:
    """A server that takes only TLS, known as localhost: what all connections to it share."""
    versions = [v for v in available_versions() if v not in _EMBEDDED]
    if not versions:
        pytest.skip("the embedded servers are built without TLS, and Debian's are not installed")
    with folder_for_servers("feature-store-tls-") as home:
        data = home / "data"
        started = start_server(data, versions[0])
        with psycopg.connect(started.conninfo, autocommit=True) as connection:
            connection.execute("CREATE ROLE safe LOGIN PASSWORD 'p%$ @:/'")
        stop_server(data)
        certificate, key = _certificate(["localhost"])
        (home / "root.crt").write_bytes(certificate)
        (home / "other.crt").write_bytes(_certificate(["localhost"])[0])
        for name, content in (("server.crt", certificate), ("server.key", key)):
            (data / name).write_bytes(content)
            (data / name).chmod(0o600)
            hand_over(data / name)
        (data / "pg_hba.conf").write_text("hostssl all all all scram-sha-256\n")
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            port = free.getsockname()[1]
        by_tcp = {"listen_addresses": "127.0.0.1", "port": str(port), "ssl": "on"}
        start_server(data, versions[0], by_tcp)
        yield {
            "port": str(port),
            "user": "safe",
            "password": "p%$ @:/",
            "dbname": "postgres",
            "sslrootcert": str(home / "root.crt"),
            "other_root": str(home / "other.crt"),
        }
        stop_server(data)


@pytest.mark.server
class TestTls:
    """Every session takes sslmode from the Airflow connection."""

    @pytest.fixture
    def point_at(self, tls: dict[str, str], airflow_conn: Any) -> Callable[..., None]:
        def point(**extra: str) -> None:
            known = {k: v for k, v in tls.items() if k != "other_root"}
            airflow_conn(make_conninfo(**{**known, "host": "localhost", **extra}))

        return point

    @SEEN_BY
    def test_every_session_uses_it(
        self, seen_by: See, point_at: Callable[..., None], settings: Settings
    ) -> None:
        point_at(sslmode="verify-full")
        seen = seen_by(
            settings,
            "SELECT ssl, version FROM pg_catalog.pg_stat_ssl WHERE pid = pg_backend_pid()",
        )
        assert seen == {"ssl": True, "version": "TLSv1.3"}

    @SEEN_BY
    @pytest.mark.parametrize(
        ("extra", "why"),
        [
            ({"sslmode": "verify-full", "host": "127.0.0.1"}, "does not match host name"),
            ({"sslmode": "verify-full", "sslrootcert": "other"}, "certificate verify failed"),
            ({"sslmode": "verify-ca", "sslrootcert": "other"}, "certificate verify failed"),
            ({"sslmode": "verify-full", "sslrootcert": "/nowhere.crt"}, "does not exist"),
            ({"sslmode": "disable"}, "no pg_hba.conf entry"),
        ],
        ids=["wrong host", "wrong root", "wrong authority", "no root", "no TLS"],
    )
    def test_what_it_refuses_is_refused_before_any_work(
        self,
        seen_by: See,
        extra: dict[str, str],
        why: str,
        point_at: Callable[..., None],
        tls: dict[str, str],
        settings: Settings,
    ) -> None:
        root = {"sslrootcert": tls["other_root"]} if extra.get("sslrootcert") == "other" else {}
        point_at(**{**extra, **root})
        with pytest.raises(CannotConnect, match=why) as caught:
            seen_by(settings, "SELECT 1 AS x")
        assert passes_on_its_own(caught.value)
        assert tls["password"] not in str(caught.value)

    def test_the_command_line_says_so_and_where(
        self, point_at: Callable[..., None], tls: dict[str, str], capsys: Any
    ) -> None:
        point_at(sslmode="verify-full", host="127.0.0.1")
        assert main(["plan"]) == 3
        error = capsys.readouterr().err
        assert f"Cannot connect to 127.0.0.1:{tls['port']}/postgres as safe: " in error
        assert 'server certificate for "localhost"' in error
        assert 'does not match host name "127.0.0.1"' in error
        assert tls["password"] not in error

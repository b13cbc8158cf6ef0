"""What `make run` says in the end is judged as the store's page judges it."""

import psycopg
import pytest

from feature_store.settings import Settings
from sandbox import summary
from sandbox.home import MAILS
from sandbox.server import Server


def test_the_store_is_judged_in_its_own_zone_whatever_the_servers_is(
    server: Server,
    filled_template: str,
    settings: Settings,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """Else it says of a store that has just passed that the next run will fail."""
    conninfo = server.create_database("summed_up", filled_template)
    with psycopg.connect(conninfo, autocommit=True) as connection:
        connection.execute("ALTER DATABASE summed_up SET timezone = 'Europe/Oslo'")
    zones, read_now = [], summary.read_now

    def reading(connection, *rest):
        zones.append(connection.execute("SHOW timezone").fetchone()[0])
        return read_now(connection, *rest)

    monkeypatch.setattr(summary, "read_now", reading)
    mail = MAILS / "of-a-warning.eml"
    summary.print_summary(conninfo, settings, None, [mail], succeeded=True)
    assert zones == [settings.zone]
    said = capsys.readouterr().out
    assert "  .run/mails/of-a-warning.eml   the mail that it sent\n" in said
    assert "  . .run/owner   for the commands of the store's owner" in said
    server.drop_database("summed_up")

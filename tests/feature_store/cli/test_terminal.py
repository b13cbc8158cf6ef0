"""What the command line writes is shown by a terminal, and never obeyed."""

from __future__ import annotations

import io
import os
import pty
import re
import signal
import subprocess
import sys
import time
import unicodedata
from contextlib import suppress
from threading import Thread

import psycopg
import pytest

from feature_store.cli.commands import main
from feature_store.cli.terminal import Alarm, plain, plain_output, say
from tests.conftest import ROOT

# Texts that would change a terminal, or would look like another text.
HOSTILE = {
    "title": "\x1b]0;owned\x07",
    "clipboard": "\x1b]52;c;cm0gLXJm\x1b\\",
    "colour": "\x1b[31mred\x1b[0m",
    "C1": "\x9b31mred",
    "return": "Leaks: 9\rLeaks: 0",
    "backspace": "bad\b\b\bfine",
    "override": "\u202egnp.exe",
    "isolate": "\u2066a\u2069",
    "mark": "a\u200fb",
    "invisible": "a\u200bb\ufeffc\u00add",
    "tag": "a\U000e0041b",
    "separator": "a\u2028b\u0085c",
    "half": "a\ud800b",
    "delete": "a\x7fb",
}


def _harmless(shown: str) -> bool:
    obeyed = {"Cc", "Cf", "Cs", "Zl", "Zp"}
    return all(c in "\n\t" or unicodedata.category(c) not in obeyed for c in shown)


@pytest.mark.parametrize("text", HOSTILE.values(), ids=HOSTILE)
def test_what_a_terminal_would_obey_is_escaped_and_the_rest_stays(text):
    shown = plain(f"før\t{text}\n密码 → ─ ✓")
    assert _harmless(shown)
    assert shown.startswith("før\t")
    assert shown.endswith("\n密码 → ─ ✓")
    assert "\\" in shown


def test_every_character_is_either_plain_or_escaped():
    for code in range(sys.maxunicode + 1):
        assert _harmless(plain(chr(code)))


def test_what_the_encoding_of_the_terminal_lacks_is_escaped_and_no_error(monkeypatch):
    written = io.BytesIO()
    monkeypatch.setattr(sys, "stdout", io.TextIOWrapper(written, encoding="ascii"))
    with plain_output():
        print("a → b")
    sys.stdout.flush()
    assert written.getvalue() == b"a \\u2192 b\n"


@pytest.mark.parametrize("text", HOSTILE.values(), ids=HOSTILE)
def test_an_argument_is_shown_and_not_obeyed(text, capsys):
    for arguments in ([text], ["status", text], ["accept-history", "--day", text]):
        with suppress(SystemExit):
            main(arguments)
        out, err = capsys.readouterr()
        assert _harmless(out + err)


class TestTextOfTheDatabase:
    """Who may write to the audit schema, or raise a notice, writes to the owner's terminal."""

    @pytest.fixture
    def hostile_db(self, store_db):
        text = "".join(text for name, text in HOSTILE.items() if name != "half")
        store_db.connection.execute(
            "INSERT INTO feature_store_audit.history_judgement_log "
            "(dag_id, run_id, as_of_day, settled_before, days, seconds) "
            "VALUES ('d', %s, '2026-06-30', '2026-05-31', 1, 1)",
            (text,),
        )
        return store_db

    def test_it_is_shown_and_not_obeyed(self, hostile_db, airflow_conn, capsys):
        airflow_conn(hostile_db.conninfo)
        assert main(["history"]) == 0
        out, err = capsys.readouterr()
        assert "run \\x1b]0;owned\\x07" in out
        assert _harmless(out + err)

    def test_an_errors_text_is_too(self, store_db, airflow_conn, capsys):
        store_db.run(
            "DROP FUNCTION ml.store_freshness(interval)",
            "CREATE FUNCTION ml.store_freshness(p_max_age interval) RETURNS TABLE "
            "(ok bool, certified_at timestamptz, age interval, as_of_day date, run_id text, "
            "feature_set text, readable bool, problem text) LANGUAGE plpgsql AS $$ BEGIN "
            "RAISE NOTICE E'\\x1b[31mnotice'; RAISE EXCEPTION E'\\x1b[31mbroken'; END $$",
        )
        airflow_conn(store_db.conninfo)
        assert main(["freshness"]) == 1
        out, err = capsys.readouterr()
        assert "\\x1b[31mbroken" in err
        assert _harmless(out + err)

    def test_so_it_is_in_a_process_of_its_own(self, hostile_db, airflow_conn):
        airflow_conn(hostile_db.conninfo)
        done = subprocess.run(
            [sys.executable, "-m", "feature_store", "history"],
            env={**os.environ, "PYTHONPATH": str(ROOT / "plugins")},
            capture_output=True,
            check=True,
        )
        assert b"run \\x1b]0;owned\\x07" in done.stdout
        assert _harmless((done.stdout + done.stderr).decode())


class TestInAProcessOfItsOwn:
    """What people do: ``| head``, Ctrl-C."""

    @pytest.fixture
    def start(self, store_db, airflow_conn):
        airflow_conn(store_db.conninfo)
        environment = {**os.environ, "PYTHONPATH": str(ROOT / "plugins")}

        def start_one(*arguments, stdout):
            command = [sys.executable, "-m", "feature_store", *arguments]
            return subprocess.Popen(
                command,
                env=environment,
                stdout=stdout,
                stderr=subprocess.PIPE,
                # Background jobs of a shell ignore Ctrl-C, and so does all that they start.
                preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),
            )

        return start_one

    def test_whoever_closes_the_pipe_gets_no_traceback(self, start):
        """The exit code is 141, as for any program that wrote to a closed pipe."""
        process = start("status", stdout=subprocess.PIPE)
        process.stdout.close()
        assert process.stderr.read() == b""
        assert process.wait() == 141

    def test_ctrl_c_gives_no_traceback(self, store_db, start):
        with psycopg.connect(store_db.conninfo) as other:
            other.execute("LOCK TABLE feature_store_audit.history_judgement_log")
            process = start("history", stdout=subprocess.DEVNULL)
            waiting = "SELECT count(*) FROM pg_stat_activity WHERE wait_event_type = 'Lock'"
            while store_db.value(waiting) == 0:
                time.sleep(0.1)
            process.send_signal(signal.SIGINT)
            assert process.stderr.read() == b""
            assert process.wait() == 130


class TestColours:
    @pytest.fixture
    def shown(self, store_db, airflow_conn, monkeypatch):
        """What `status` writes to a real terminal."""
        airflow_conn(store_db.conninfo)

        def show(**variables):
            for name, value in ({"TERM": "xterm", "NO_COLOR": ""} | variables).items():
                monkeypatch.setenv(name, value)
            ours, theirs = pty.openpty()
            text = bytearray()
            reader = Thread(target=_read_all, args=(ours, text))
            reader.start()
            with os.fdopen(theirs, "w", encoding="utf-8") as terminal, monkeypatch.context() as now:
                now.setattr(sys, "stdout", terminal)
                assert main(["status"]) == 1
            reader.join()
            os.close(ours)
            return text.decode().replace("\r\n", "\n")

        return show

    def test_they_are_for_terminals_and_for_those_who_want_them(self, shown, capsys):
        coloured = shown()
        assert coloured.startswith("\x1b[1mrelation ")
        assert "\x1b[31mml.tom_features_v1_mv " in coloured, "it was never refreshed"
        assert "\x1b[31mml.spam_token_v1 " not in coloured
        assert main(["status"]) == 1
        plain_text = capsys.readouterr().out
        assert "\x1b" not in plain_text
        assert shown(NO_COLOR="1") == shown(TERM="dumb") == plain_text
        assert re.sub(r"\x1b\[\d*m", "", coloured) == plain_text


def _read_all(terminal, text):
    with suppress(OSError):  # a terminal ends with an error
        while piece := os.read(terminal, 65536):
            text += piece


def test_a_line_that_stands_out_is_plain_but_for_our_own_colour(monkeypatch):
    written = io.TextIOWrapper(io.BytesIO(), encoding="utf-8")
    monkeypatch.setattr(written, "isatty", lambda: True, raising=False)
    monkeypatch.setattr(sys, "stdout", written)
    monkeypatch.setenv("TERM", "xterm")
    with plain_output():
        say(Alarm("\x1b[32mred\x1b[0m"))
    assert written.buffer.getvalue() == b"\x1b[31m\\x1b[32mred\\x1b[0m\x1b[0m\n"

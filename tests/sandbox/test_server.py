"""Only its owner gets into a sandbox's server, and nothing outside its folder changes."""

from __future__ import annotations

import os
import pwd
import stat
import subprocess
import tempfile
import traceback
from collections.abc import Callable, Iterator
from pathlib import Path

import psutil
import psycopg
import pytest

from feature_store.errors import BadInput
from sandbox import programs
from sandbox.programs import SYSTEM_USER
from sandbox.server import (
    available_versions,
    folder_for_servers,
    folder_in_memory,
    start_server,
    stop_server,
)

AS_ROOT = pytest.mark.skipif(os.geteuid() != 0, reason="only root can be another user")


def as_user(name: str, act: Callable[[], object]) -> str:
    """Act in a process of another system user; returns why it failed, or nothing."""
    account = pwd.getpwnam(name)
    reading, writing = os.pipe()
    child = os.fork()
    if child == 0:
        said = ""
        try:
            os.setgroups([])
            os.setgid(account.pw_gid)
            os.setuid(account.pw_uid)
            act()
        except BaseException:  # a child of pytest must not go on as pytest
            said = traceback.format_exc()
        os.write(writing, said.encode())
        os._exit(0)
    os.close(writing)
    with os.fdopen(reading) as pipe:
        said = pipe.read()
    os.waitpid(child, 0)
    return said


@pytest.fixture
def folder() -> Iterator[Path]:
    with folder_for_servers("sandbox-") as made:
        yield made
        for data in made.rglob("postmaster.pid"):
            stop_server(data.parent)


_NEWEST, *_OLDER = available_versions()
_VERSIONS = [_NEWEST, *(pytest.param(version, marks=pytest.mark.slow) for version in _OLDER)]


def modes(path: Path) -> dict[Path, int]:
    return {above: stat.S_IMODE(above.stat().st_mode) for above in (path, *path.parents)}


@pytest.mark.parametrize("version", _VERSIONS)
def test_the_socket_lies_in_a_folder_that_only_the_servers_user_may_enter(folder, version):
    data = folder / "data"
    start_server(data, version)
    socket = data / ".s.PGSQL.5432"
    expected = SYSTEM_USER if os.geteuid() == 0 else pwd.getpwuid(os.geteuid()).pw_name
    for path, mode in ((data, 0o700), (socket, 0o700), (data / "log", 0o600)):
        assert (path.owner(), stat.S_IMODE(path.stat().st_mode)) == (expected, mode)


@AS_ROOT
@pytest.mark.parametrize("version", _VERSIONS)
def test_the_server_has_nothing_of_roots_not_even_a_group(folder, monkeypatch, version):
    monkeypatch.setenv("A_SECRET_OF_ROOTS", "x")
    before = os.getgroups()
    os.setgroups([0, 4])
    try:
        start_server(folder / "data", version)
    finally:
        os.setgroups(before)
    account = pwd.getpwnam(SYSTEM_USER)
    for process in psutil.process_iter(["cwd"]):
        if process.info["cwd"] == str(folder / "data"):
            told = Path(f"/proc/{process.pid}/status").read_text()
            assert f"Gid:\t{account.pw_gid}\t{account.pw_gid}" in told
            assert "Groups:\t \n" in told
            assert "A_SECRET_OF_ROOTS" not in process.environ()


@AS_ROOT
def test_another_user_of_the_machine_cannot_connect(folder):
    conninfo = start_server(folder / "data").conninfo
    psycopg.connect(conninfo).close()
    assert "Permission denied" in as_user("nobody", lambda: psycopg.connect(conninfo).close())


@AS_ROOT
def test_the_server_of_an_ordinary_user_is_closed_too(folder):
    home = folder / "home"
    home.mkdir(mode=0o755)
    os.chown(home, pwd.getpwnam("nobody").pw_uid, -1)
    assert as_user("nobody", lambda: _start_and_ask(home / "data")) == ""
    assert stat.S_IMODE((home / "data").stat().st_mode) == 0o700
    conninfo = f"host={home / 'data'} user=postgres dbname=postgres"
    try:
        refused = as_user(SYSTEM_USER, lambda: psycopg.connect(conninfo).close())
    finally:
        as_user("nobody", lambda: bool(stop_server(home / "data")))
    assert "Permission denied" in refused


def _start_and_ask(data: Path) -> None:
    with psycopg.connect(start_server(data).conninfo) as connection:
        connection.execute("SELECT 1")


def test_a_path_too_long_for_a_socket_is_refused_before_anything_is_made(folder):
    data = folder / ("x" * 80) / "postgres"
    with pytest.raises(BadInput, match=r"has \d+ bytes, at most 89 fit"):
        start_server(data)
    assert list(folder.iterdir()) == []


def test_the_longest_path_that_is_not_refused_works(folder):
    data = folder / ("å" * ((88 - len(str(folder))) // 2))
    _start_and_ask(data)


def test_a_path_that_no_connection_string_can_name_is_refused(folder):
    with pytest.raises(BadInput, match="a comma"):
        start_server(folder / "a,b")
    assert list(folder.iterdir()) == []


def test_a_path_may_hold_what_a_shell_would_take_for_a_command(folder):
    _start_and_ask(folder / 'it\'s "$(touch here)" & `so`')


def test_a_person_s_environment_changes_nothing(folder, monkeypatch):
    monkeypatch.setenv("PGPORT", "1")
    monkeypatch.setenv("PGDATA", str(folder / "elsewhere"))
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(folder / "runtime"))
    _start_and_ask(folder / "data")
    assert [path.name for path in folder.iterdir()] == ["data"]


def test_a_server_listens_on_its_socket_alone(folder):
    start_server(folder / "data")
    postmaster = psutil.Process(int((folder / "data/postmaster.pid").read_text().split()[0]))
    assert postmaster.net_connections("inet") == []


@AS_ROOT
def test_no_folder_above_is_opened_and_a_closed_one_is_named_before_anything_is_made():
    with tempfile.TemporaryDirectory() as directory:
        closed = Path(directory)
        before = modes(closed)
        with pytest.raises(BadInput, match=f"may not enter {closed}"):
            start_server(closed / "below" / "data")
        assert modes(closed) == before
        assert list(closed.iterdir()) == []


@AS_ROOT
def test_programs_in_a_closed_home_are_copied_not_opened(folder, monkeypatch):
    """As for a clone with its .venv in root's home."""
    with tempfile.TemporaryDirectory() as home:
        package = programs.POSTGRES_VERSIONS[18].parents[1]
        for part in (package, Path(f"{package}.libs")):
            subprocess.run(["cp", "-r", str(part), home], check=True)
        closed = {v: Path(home) / p.relative_to(package.parent) for v, p in
                  programs.POSTGRES_VERSIONS.items()}  # fmt: skip
        monkeypatch.setattr(programs, "POSTGRES_VERSIONS", closed)
        before = modes(closed[18])
        for version in closed:
            _start_and_ask(folder / str(version))
        assert modes(closed[18]) == before


def test_a_server_whose_folder_was_deleted_does_not_take_the_new_one_with_it(folder):
    data = folder / "data"
    start_server(data)
    old = psutil.Process(int((data / "postmaster.pid").read_text().split()[0]))
    subprocess.run(["rm", "-r", str(data)], check=True)
    _start_and_ask(data)
    assert not old.is_running()


def test_a_server_that_runs_is_joined_and_one_of_another_version_refused(folder):
    _start_and_ask(folder / "data")
    started = (folder / "data/postmaster.pid").read_text().split()[0]
    _start_and_ask(folder / "data")
    assert (folder / "data/postmaster.pid").read_text().split()[0] == started
    with pytest.raises(BadInput, match="is of PostgreSQL 18; expected 16"):
        start_server(folder / "data", 16)


def test_servers_are_kept_in_memory_where_there_is_room(monkeypatch):
    monkeypatch.setattr("sandbox.server._IN_MEMORY", Path(tempfile.gettempdir()))
    monkeypatch.setattr("sandbox.server._ENOUGH_ROOM", 1)
    assert folder_in_memory() == tempfile.gettempdir()
    monkeypatch.setattr("sandbox.server._ENOUGH_ROOM", 2**60)
    assert folder_in_memory() is None
    monkeypatch.setattr("sandbox.server._IN_MEMORY", Path("/nowhere"))
    assert folder_in_memory() is None

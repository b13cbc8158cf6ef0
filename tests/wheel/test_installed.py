"""The whole as a wheel, in an Airflow whose DAGs are elsewhere: the lines of docs/install.md."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
import tomllib
from importlib.metadata import version
from pathlib import Path
from sysconfig import get_path
from zipfile import ZipFile

import pytest
from packaging.requirements import Requirement

from tests.conftest import ROOT

_SECTION = re.split(r"^## ", (ROOT / "docs" / "install.md").read_text(), flags=re.MULTILINE)
(PAGE,) = (text for text in _SECTION if text.startswith("As a package"))
(DAG_FILE,) = re.findall(r"^```python\n(.*?)^```$", PAGE, flags=re.MULTILINE | re.DOTALL)
LINES = re.findall(r"^    (\S.*)$", PAGE, flags=re.MULTILINE)
STORE = "/srv/stores/bike_stations"
BIKES = ROOT / "examples" / "bike_stations"

_LOOK = """
import json, os, sys
from airflow import plugins_manager
from airflow.dag_processing.dagbag import DagBag
plugins, errors = plugins_manager._get_plugins()
bag = DagBag(os.environ["AIRFLOW__CORE__DAGS_FOLDER"])
import feature_store
print(json.dumps({
    "pages": [str(p.source) for p in plugins if p.name == "feature_store_page"],
    "errors": [*errors.values(), *bag.import_errors.values()],
    "dags": {dag.dag_id: len(dag.tasks) for dag in bag.dags.values()},
    "package": feature_store.__file__,
}))
"""


class Installed:
    """A virtual environment that has the wheel and the locked packages."""

    def __init__(self, home: Path) -> None:
        self.home = home
        self.dags = home / "dags"
        environment = {
            k: v
            for k, v in os.environ.items()
            if k != "PYTHONPATH" and not k.startswith(("AIRFLOW", "FEATURE_STORE_"))
        }
        self.environment = environment | {
            "PATH": f"{home / 'venv' / 'bin'}:{Path(sys.executable).parent}:{os.environ['PATH']}",
            "AIRFLOW_HOME": str(home / "airflow"),
            "AIRFLOW__CORE__DAGS_FOLDER": str(self.dags),
            "AIRFLOW__CORE__PLUGINS_FOLDER": str(home / "plugins"),
            "AIRFLOW__CORE__LOAD_EXAMPLES": "False",
            # The page's commands use the network; here they must do with what this machine has.
            "UV_OFFLINE": "1",
            "PIP_NO_INDEX": "1",
            "PIP_NO_DEPS": "1",
            "PIP_DISABLE_PIP_VERSION_CHECK": "1",
            "CONSTRAINTS": os.devnull,
        }

    def type(self, line: str, **environment: str) -> subprocess.CompletedProcess[str]:
        """Type a line in a shell, in the folder of the DAGs."""
        return subprocess.run(
            ["sh", "-c", line],
            cwd=self.home,
            env=self.environment | environment,
            capture_output=True,
            text=True,
        )

    def look(self, **environment: str) -> dict[str, object]:
        """What Airflow finds: pages, DAGs, errors, and which package it has imported."""
        (self.home / "look.py").write_text(_LOOK)
        done = self.type("venv/bin/python look.py", **environment)
        assert done.returncode == 0, done.stderr
        return dict(json.loads(done.stdout.splitlines()[-1]))


@pytest.fixture(scope="module")
def installed(tmp_path_factory: pytest.TempPathFactory) -> Installed:
    one = Installed(tmp_path_factory.mktemp("installed"))
    one.dags.mkdir()
    (one.home / "plugins").mkdir()
    (one.dags / "bikes.py").write_text(DAG_FILE.replace(STORE, str(BIKES)))
    uv = [sys.executable, "-m", "uv", "venv", "--quiet", "--python", sys.executable]
    subprocess.run([*uv, str(one.home / "venv")], check=True)
    (packages,) = (one.home / "venv").glob("lib/python*/site-packages")
    (packages / "locked.pth").write_text(get_path("purelib"))
    for module in ("pip", "airflow"):  # the locked packages would bring these programs
        program = one.home / "venv" / "bin" / module
        program.write_text(f'#!/bin/sh\nexec {program.parent}/python -m {module} "$@"\n')
        program.chmod(0o755)
    for line in (line for line in LINES if line.startswith(("uv ", "pip "))):
        done = one.type(f"cd {ROOT} && {line.replace('dist', str(one.home / 'dist'))}")
        assert done.returncode == 0, done.stderr
    return one


def test_the_commands_of_the_page_work(installed):
    typed = [line.replace(STORE, str(BIKES)) for line in LINES]
    export, *typed = [line for line in typed if not line.startswith(("uv ", "pip "))]
    assert export.startswith("export FEATURE_STORE_INCLUDE_DIR=")
    said = {}
    for line in typed:
        program = re.split(r" \| | +#", line)[0]  # not psql's part: see test_another_store.py
        done = installed.type(f"{export}; {program}")
        assert done.returncode == 0, done.stderr
        said[program] = done.stdout
    assert list(said) == ["feature-store check", "feature-store grants", "airflow plugins"]
    assert "nothing is wrong" in said["feature-store check"]
    assert "('bikes', 'mornings_mv', FALSE)" in said["feature-store grants"]
    assert said["airflow plugins"].count("feature_store_page") >= 1
    assert installed.type("feature-store --help").stdout.startswith("usage: feature-store ")


def test_it_has_every_file_of_the_package(installed):
    (wheel,) = (installed.home / "dist").glob("*.whl")
    plugins = ROOT / "plugins"
    files = {
        str(path.relative_to(plugins))
        for package in ("feature_store", "feature_store_plugin")
        for path in (plugins / package).rglob("*.*")
        if path.is_file() and "__pycache__" not in path.parts
    }
    assert len(files) > 300
    assert files - set(ZipFile(wheel).namelist()) == set()


def test_a_dag_file_elsewhere_makes_the_dag_and_the_page_is_there_once(installed):
    """A DAG file that names no folder, where no setting does either, gets a clear error."""
    (installed.dags / "no_folder.py").write_text(re.sub(r"dag\(.*\)", "dag()", DAG_FILE))
    found = installed.look()
    (error,) = found["errors"]
    assert "there is no folder" in error
    assert list(found["dags"]) == ["bike_stations_refresh"]
    (page,) = found["pages"]
    assert page.startswith("feature-store-refresh==")
    assert found["package"].startswith(str(installed.home))


def test_a_checkout_beside_it_keeps_its_own_package_folder_and_page(installed):
    """The checkout's plugins folder is Airflow's, or the checkout is a bundle without one."""
    dags = {"AIRFLOW__CORE__DAGS_FOLDER": str(ROOT / "dags")}
    for plugins, page in (
        ({"AIRFLOW__CORE__PLUGINS_FOLDER": str(ROOT / "plugins")}, "$PLUGINS_FOLDER/"),
        ({}, "feature-store-refresh=="),
    ):
        found = installed.look(**dags, **plugins)
        assert found["errors"] == []
        assert [one.startswith(page) for one in found["pages"]] == [True]
        assert list(found["dags"]) == ["feature_store_refresh"]
        assert found["package"].startswith(str(ROOT / "plugins"))


def test_without_a_folder_it_is_told_that_one_must_be_named(installed):
    for command in ("check", "grants", "plan"):
        done = installed.type(f"feature-store {command}")
        assert done.returncode in (1, 2)
        assert done.stderr.count("there is no folder") == 1
        assert "Name the store's folder in FEATURE_STORE_INCLUDE_DIR" in done.stderr


def test_what_it_tells_people_to_type_and_to_open_is_there(installed):
    """There is no bin folder, and the store's files are not in include."""
    code = """
from feature_store.settings import read_settings
from feature_store.store_address import addressed
print(addressed(read_settings())("bin/feature-store check; include/store.toml"))
"""
    (installed.home / "told.py").write_text(code)
    exported = {"FEATURE_STORE_INCLUDE_DIR": str(BIKES)}
    done = installed.type("venv/bin/python told.py", **exported)
    assert done.returncode == 0, done.stderr
    command, file = done.stdout.strip().split("; ")
    assert command == "feature-store check"
    assert installed.type(command, **exported).returncode == 0
    assert file == f"{BIKES}/store.toml"


def test_what_check_tells_people_to_type_is_there(installed):
    """It asks no database, so it need not know which store it is about."""
    folder = shutil.copytree(BIKES, installed.home / "bikes")
    (folder / "roles.sql").write_text("-- old\n")
    told = installed.type(f"feature-store check {folder}")
    assert told.returncode == 1
    (command,) = re.findall(r"`(.*)`", told.stderr)
    assert installed.type(command).returncode == 0
    assert installed.type(f"feature-store check {folder}").returncode == 0


def test_it_asks_for_all_that_production_needs_and_pins_nothing():
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    lines = [*project["dependencies"], *project["optional-dependencies"]["airflow"]]
    asked = {one.name: one for one in map(Requirement, lines)}
    pinned = (ROOT / "requirements.txt").read_text().splitlines()
    needed = {one.name for one in map(Requirement, (p for p in pinned if p[0] not in "#-"))}
    assert needed == asked.keys()
    for name, one in asked.items():
        assert {s.operator for s in one.specifier} == {">="}, name
        assert one.specifier.contains(version(name)), name


def test_the_client_alone_says_what_its_command_lacks(installed):
    hidden = "import sys; sys.modules['pydantic'] = None"
    command = "from feature_store.__main__ import run; run()"
    done = installed.type(f'venv/bin/python -c "{hidden}; {command}"')
    assert "Error: pydantic is missing: the client alone is installed" in done.stderr
    assert "Next: Install the wheel with its extra, '….whl[airflow]'" in done.stderr

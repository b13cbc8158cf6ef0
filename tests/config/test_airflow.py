"""The settings of Airflow that we ship, and what is preloaded."""

from __future__ import annotations

import logging
import re
import sys
from importlib.metadata import packages_distributions

import airflow_local_settings
import pytest
from airflow.configuration import conf
from airflow_local_settings import forks_tasks, preload

from sandbox.home import CONFIG, ROOT, shipped_settings

_SHIPPED = shipped_settings()
_OF_AIRFLOW = {name: value for name, value in _SHIPPED.items() if name.startswith("AIRFLOW__")}


def test_the_file_is_one_that_docker_reads_the_same_way():
    """Docker's env_file would keep quotes and trailing blanks, and knows no ``export``."""
    for line in (CONFIG / "airflow.env").read_text().splitlines():
        assert not line or line.startswith("#") or re.fullmatch(r"[A-Z_]+=[\w.]+", line), line


@pytest.mark.parametrize("variable", sorted(_OF_AIRFLOW))
def test_each_setting_is_an_option_of_airflow_and_differs_from_its_default(variable):
    _, section, option = variable.lower().split("__")
    default = conf.get_default_value(section, option)
    assert default is not None, "Airflow knows no such option"
    assert _OF_AIRFLOW[variable] != str(default)


@pytest.mark.parametrize(
    ("command", "forks"),
    [
        ("scheduler", True),
        ("scheduler --num-runs 1", True),
        ("celery worker -q default", True),
        ("celery flower", False),
        ("api-server", False),
        ("dag-processor", False),
        ("tasks test scheduler", False),
    ],
)
def test_only_what_forks_tasks_preloads(command, forks):
    assert forks_tasks(["airflow", *command.split()]) is forks


def test_a_library_that_cannot_be_imported_keeps_no_scheduler_from_starting(caplog):
    with caplog.at_level(logging.WARNING):
        preload(["no_such_library", "colorsys"])
    assert "no_such_library was not preloaded" in caplog.text
    assert "colorsys" in sys.modules


def test_the_package_itself_is_never_preloaded():
    """Else a task forked from a running scheduler would run yesterday's code with today's files."""
    assert not [m for m in airflow_local_settings.LIBRARIES if m.startswith("feature_store")]


def test_what_is_preloaded_is_in_the_image():
    """Else each start of a scheduler would warn of it. A checkout has more than the image."""
    lock = (ROOT / "requirements-image.lock").read_text()
    known = set(re.findall(r"^([\w.-]+)==", lock.replace("[binary]", ""), flags=re.MULTILINE))
    of_module = packages_distributions()
    for module in airflow_local_settings.LIBRARIES:
        if not module.startswith("airflow."):
            distributions = {d.lower().replace("_", "-") for d in of_module[module.split(".")[0]]}
            assert distributions & known, module

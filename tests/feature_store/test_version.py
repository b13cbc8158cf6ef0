"""The version of the package, which a refresh records as one of its inputs."""

from __future__ import annotations

import re
import tomllib

from feature_store import __version__
from tests.conftest import ROOT


def test_it_is_that_of_the_wheel_and_of_the_newest_changes():
    """The build takes it from ``pyproject.toml``, a run in a clone from the package."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    newest = re.search(r"^## (\S+),", (ROOT / "CHANGELOG.md").read_text(), flags=re.MULTILINE)
    assert newest is not None
    assert __version__ == project["version"] == newest[1]

"""The client stands alone: models are trained with it where the rest is not installed."""

from __future__ import annotations

import re
import subprocess
import sys
from importlib.metadata import packages_distributions
from zipfile import ZipFile

from tests.conftest import ROOT

_PAGE = (ROOT / "docs" / "training.md").read_text()
_IMPORT = """
import sys
sys.path.insert(0, {wheel!r})
before = set(sys.modules)
import feature_store.client
assert feature_store.client.__file__.startswith({wheel!r})
print(*{{name.partition(".")[0] for name in set(sys.modules) - before}})
print(*{{".".join(name.split(".")[:2]) for name in sys.modules if "feature_store." in name}})
"""


def test_installed_from_here_it_imports_psycopg_and_nothing_else(tmp_path):
    """No Airflow, Great Expectations, sqlglot, pydantic; pandas and pyarrow when asked for."""
    subprocess.run(
        [
            sys.executable,
            "-m",
            "uv",
            "build",
            "--quiet",
            "--wheel",
            "--offline",
            "-o",
            tmp_path,
            ROOT,
        ],
        check=True,
    )
    (wheel,) = tmp_path.glob("*.whl")
    files = ZipFile(wheel)
    assert "feature_store/py.typed" in files.namelist()
    (about,) = [name for name in files.namelist() if name.endswith("/METADATA")]
    told = files.read(about).decode()
    extras = re.findall(r'pip install "\.\[(\w+)\]"|\(or `"\.\[(\w+)\]"', _PAGE)
    assert {"".join(extra) for extra in extras} == {"pandas", "arrow"}
    for extra in extras:
        assert f"Provides-Extra: {''.join(extra)}\n" in told

    program = _IMPORT.format(wheel=str(wheel))
    ran = subprocess.run(
        [sys.executable, "-I", "-c", program], check=True, capture_output=True, text=True
    )
    libraries, rooms = ran.stdout.splitlines()
    distributions = packages_distributions()
    assert {d for name in libraries.split() for d in distributions.get(name, ())} <= {
        "psycopg",
        "psycopg-binary",
        "typing_extensions",
    }
    assert set(rooms.split()) == {
        f"feature_store.{room}"
        for room in (
            "client",
            "connection",
            "declarations",
            "errors",
            "relation_name",
            "text_format",
        )
    }

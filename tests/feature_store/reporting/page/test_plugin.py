"""The plugin's module, which every component and every task of Airflow imports."""

from __future__ import annotations

import subprocess
import sys

_HEAVY = ("fastapi", "psycopg", "sqlglot", "pandas", "matplotlib", "sqlalchemy", "feature_store")
_IMPORTED = """
import sys
import airflow.plugins_manager
before = set(sys.modules)
import feature_store_page
print(*sorted({m.partition(".")[0] for m in set(sys.modules) - before}))
"""


def test_importing_it_brings_in_nothing_heavy_and_makes_no_application():
    done = subprocess.run(
        [sys.executable, "-c", _IMPORTED], capture_output=True, text=True, check=True
    )
    assert not set(done.stdout.split()) & set(_HEAVY)


def test_airflow_looks_for_plugins_in_this_module_and_not_in_the_whole_package():
    from airflow._shared.module_loading import find_path_from_directory

    from sandbox.home import ROOT

    found = find_path_from_directory(str(ROOT / "plugins"), ".airflowignore", "glob")
    modules = [path for path in found if path.endswith(".py")]
    assert modules == [str(ROOT / "plugins" / "feature_store_page.py")]

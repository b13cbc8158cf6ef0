"""The page, for an Airflow whose plugins folder this is; an installed package brings its own."""

from __future__ import annotations

import sys
from importlib.util import find_spec
from pathlib import Path

# As in the DAG's file: if another is installed, this folder's package comes first.
FOLDER = str(Path(__file__).resolve().parent)
found = find_spec("feature_store")
if found is None or not str(found.origin).startswith(FOLDER):
    sys.path.insert(0, FOLDER)

import feature_store_plugin  # noqa: E402

FeatureStorePage = feature_store_plugin.FeatureStorePage
feature_store_plugin.INSTALLED = None  # Airflow reads its plugins folder first

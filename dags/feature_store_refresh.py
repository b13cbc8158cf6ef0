"""### Nightly refresh of the feature store

    prepare ─► base (blocking) ─► read (concurrent) ─► expectations ─► assert_contract

**What it does.** `prepare` takes the store's lease and checks, without changing anything, that a
refresh can start. `base` refreshes the base materialized views; readers wait while each is
refreshed. `read` refreshes the read layers concurrently; readers never wait. `expectations` proves
and checks what was refreshed, by what the refreshes saw, never by live sources. `assert_contract`
always runs, last: it fails if anything failed before, else it holds the feature sets to their
contracts and certifies the store; assets of what readers read, and of the feature logs, get their
events only then. Order within the groups comes from what the SQL files read.

**When it fails.** One mail says what broke, what readers see and the next command; so does the log
of `assert_contract`, which also names the run's report, an HTML file. A failure in `prepare` has
changed nothing. After mending, clear the failed task with what follows it; the store is readable
meanwhile.

**A manual run** may be given its as-of day and told to refresh even what has not changed, or that
lost rows are meant; the trigger form says how. **More:** README.md and docs/ beside this DAG's
folder.
"""

from __future__ import annotations

import sys
from importlib.util import find_spec
from pathlib import Path

import airflow

# What follows would fail later, and in words that do not say why.
if tuple(int(part) for part in airflow.__version__.split(".")[:2]) < (3, 3):
    raise ImportError(
        f"feature_store_refresh needs Airflow 3.3 or later; this is {airflow.__version__}."
    )

# In a bundle, such as a git checkout, Airflow knows this file and not the package beside it. The
# package of this very checkout comes first, also before one that is installed, so that a bundle's
# version is one version throughout.
PACKAGE = str(Path(__file__).resolve().parents[1] / "plugins")
found = find_spec("feature_store")
if found is None or not str(found.origin).startswith(PACKAGE):
    sys.path.insert(0, PACKAGE)

from feature_store.operators.nightly_dag import feature_store_dag  # noqa: E402

# For a second store copy this file, and name its folder and the Airflow connection to its database:
#   dag = feature_store_dag("/path/to/its/folder", conn_id="bikes", doc_md=__doc__)
dag = feature_store_dag(doc_md=__doc__)

"""``python -m feature_store``: see `feature_store.cli`."""

import sys

from feature_store.cli import main

sys.exit(main())

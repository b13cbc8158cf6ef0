"""``python -m feature_store``: see `feature_store.cli.commands`."""

import sys

from feature_store.cli.commands import main

sys.exit(main())

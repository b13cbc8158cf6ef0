"""Run the command line."""

import signal
import sys

from bench.cli import main

# Whoever ends this process ends it in order: the scratch database goes with it.
signal.signal(signal.SIGTERM, signal.default_int_handler)
sys.exit(main())

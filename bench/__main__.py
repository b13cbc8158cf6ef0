"""Run the command line."""

import signal
import sys

from bench.cli import main

# Ending this process ends it in order, and drops the scratch database.
signal.signal(signal.SIGTERM, signal.default_int_handler)
sys.exit(main())

"""All breakages, in the order of the store: sources, layers, suites, the verdict, the mail."""

from __future__ import annotations

from sandbox.breakages.breakage import Breakage
from sandbox.breakages.of_data import OF_DATA
from sandbox.breakages.of_proofs import OF_PROOFS
from sandbox.breakages.of_runs import OF_RUNS

BREAKAGES: tuple[Breakage, ...] = (*OF_DATA, *OF_PROOFS, *OF_RUNS)

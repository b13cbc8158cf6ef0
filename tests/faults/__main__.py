"""`make faults`: do faults to nights, and compare what must hold.

``python -m tests.faults --count 200 --seed 1`` runs nights until this many faults have taken
effect. What was found of each is a line of ``.run/faults/seed-1.jsonl``. A campaign that was
interrupted goes on after its last whole round of nights. The exit code is 1 if something did not
hold.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import signal
import sys
from pathlib import Path

from sandbox.home import HOME, ROOT, airflow_settings, make_home


def main() -> int:
    """Run the campaign; return the exit code."""
    parser = argparse.ArgumentParser(prog="python -m tests.faults", description=__doc__)
    parser.add_argument("--count", type=int, default=200, help="faults that are to take effect")
    parser.add_argument("--seed", type=int, default=1)
    options = parser.parse_args()
    for end in (signal.SIGINT, signal.SIGTERM):  # its server is stopped in any case
        signal.signal(end, lambda *_: sys.exit(2))
    home = HOME / "faults"
    make_home(home)
    os.environ.update(airflow_settings(home / "airflow"))
    for name in [n for n in os.environ if n.startswith(("AIRFLOW_CONN_", "FEATURE_STORE_"))]:
        del os.environ[name]  # a person's own settings are not what is tried here
    return _campaign(home / f"seed-{options.seed}.jsonl", options.count, options.seed)


def _campaign(path: Path, count: int, seed: int) -> int:
    from tests.faults.campaign import read_lines, rounds, survived, table, took_effect
    from tests.faults.lab import laboratory

    lines = read_lines(path)
    print(f"{took_effect(lines)} faults have taken effect; {count} are asked for.", flush=True)
    if took_effect(lines) < count:
        home = path.with_suffix("")
        shutil.rmtree(home, ignore_errors=True)
        with laboratory(home) as lab:
            done = max((line["round"] + 1 for line in lines), default=0)
            for found in rounds(lab, seed, done):
                with path.open("a") as file:
                    file.writelines(f"{json.dumps(line)}\n" for line in found)
                lines += found
                print(f"  {took_effect(lines)} of {count}", flush=True)
                if took_effect(lines) >= count:
                    break
    print(f"\n{table(lines)}\n")
    wrong = [line for line in lines if line["took_effect"] and not survived(line)]
    for line in wrong:
        point = line["point"]
        what = [*line["wrong"], *line["night"]["wrong"]]
        print(f"{line['night']['run']}, {point['task']}, {point['kind']}: {'; '.join(what)}")
    print(f"Each fault, with what was compared: {path.relative_to(ROOT)}")
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())

"""The campaign: night after night, and what became of each fault, kept in a file."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import asdict
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from feature_store.text_format import text_table
from tests.faults.lab import Lab
from tests.faults.night import Night, Work
from tests.faults.plan import Planned, draw_round
from tests.faults.readers import Readers

FIRST = datetime(2026, 6, 30, 1, 20, tzinfo=UTC)
_HEADER = ("fault", "done", "took effect", "survived")
_TRIES_OF_VERDICT = (40, 6)
"""Statements and commits of a verdict that fails, more or less."""
_MOST_MAILS = 2

Line = dict[str, Any]


def read_lines(path: Path) -> list[Line]:
    """What an earlier campaign of the same seed has found."""
    return [json.loads(line) for line in path.read_text().splitlines()] if path.exists() else []


def rounds(lab: Lab, seed: int, done: int) -> Iterator[list[Line]]:
    """Go on after this many rounds, without end; yields the lines of each round."""
    quiet = Night(lab, f"quiet_{done:04}", FIRST)
    quiet.go({})
    if quiet.state != "success":
        raise RuntimeError(f"The night that nothing disturbed failed; {lab.log} says why.")
    while True:
        planned = draw_round(seed, done, lab.dag.tasks, cable=lab.network is not None)
        yield _round(lab, planned, quiet.work, seed, done)
        done += 1


def _round(lab: Lab, planned: list[Planned], work: Work, seed: int, number: int) -> list[Line]:
    lines: list[Line] = []
    failed: list[tuple[Night, Planned, list[Line]]] = []
    for plan in planned:
        night = Night(lab, f"night_{plan.night:04}", FIRST, dict(work))
        if not plan.passes:
            night.work[lab.dag.tasks[-1]] = _TRIES_OF_VERDICT
        found = one_night(lab, night, plan)
        lines += [{"seed": seed, "round": number, **line} for line in found]
        if not plan.passes:
            failed.append((night, plan, lines[-len(found) :]))
    for night, plan, its_lines in failed:  # the next night has sent what they had not
        count, honest = night.mails()
        # A run that was cleared and passed before anybody had heard of it needs no mail.
        least = 0 if plan.cleared else 1
        for line in its_lines:
            line["night"]["compared"]["mails"] = str(count)
            if not least <= count <= _MOST_MAILS or not honest:
                line["night"]["wrong"].append(f"{count} mails, each second one says so: {honest}")
    return lines


def one_night(lab: Lab, night: Night, plan: Planned) -> list[Line]:
    """Run a night. Returns a line for each of its faults, with what was compared."""
    with lab.session() as here:
        here.execute(
            'UPDATE "iPhone".iphone_listings SET price = price + 1 WHERE listing_id %% 7 = %s',
            (plan.night % 7,),
        )
    try:
        compared, wrong = _go_and_judge(lab, night, plan)
    except TimeoutError as error:
        compared, wrong = {}, [str(error)]
    points = [point for points in plan.points.values() for point in points]
    whole = {"run": night.run, "tries": night.tries, "compared": compared, "wrong": wrong}
    return [
        {"point": asdict(point), **asdict(night.happened[point.number]), "night": whole}
        for point in points
        if point.number in night.happened
    ]


def _go_and_judge(lab: Lab, night: Night, plan: Planned) -> tuple[dict[str, str], list[str]]:
    with Readers(lab.conninfo) as readers:
        night.go(plan.points)
        compared, wrong = night.judge(readers, passes=plan.passes)
    if plan.passes and night.mails()[0]:
        wrong.append("a mail says that it failed")
    if plan.cleared and not wrong:
        with Readers(lab.conninfo) as readers:
            night.clear(plan.cleared)
            after, wrong = night.judge(readers, passes=True)
        compared |= {f"{what}, once it was cleared": seen for what, seen in after.items()}
    return compared, wrong


def took_effect(lines: list[Line]) -> int:
    return sum(line["took_effect"] for line in lines)


def survived(line: Line) -> bool:
    """Whether nothing is wrong, neither right after the fault nor at its night's end."""
    return not line["wrong"] and not line["night"]["wrong"]


def table(lines: list[Line]) -> str:
    """A table of the kinds of faults: how many were done, took effect, and were survived."""
    rows: list[tuple[str, ...]] = [_HEADER]
    for kind in [*sorted({line["point"]["kind"] for line in lines}), ""]:
        of_kind = [line for line in lines if kind in ("", line["point"]["kind"])]
        hit = [line for line in of_kind if line["took_effect"]]
        counts = (len(of_kind), len(hit), sum(map(survived, hit)))
        rows.append((kind or "all", *map(str, counts)))
    return text_table(rows, right=(1, 2, 3))

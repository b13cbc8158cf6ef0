"""The result of a suite, in words."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

from feature_store.errors import CheckInterrupted, ExpectationsBroken, NotChecked
from feature_store.proof.proving import NOTHING_TO_COMPARE
from feature_store.validation.suites import SuiteFinding


def tell_empty(findings: Sequence[SuiteFinding], compared: Mapping[str, int]) -> list[SuiteFinding]:
    """Mark met proofs that had no rows to compare."""
    empty = {name for name, rows in compared.items() if not rows}

    nothing = {f.expectation.name for f in findings if f.outcome == "met"} & empty
    return [
        replace(f, observed=NOTHING_TO_COMPARE) if f.expectation.name in nothing else f
        for f in findings
    ]


def sum_up(suite: str, findings: Sequence[SuiteFinding]) -> dict[str, Any]:
    """Sum a suite up, or raise if it does not hold.

    Raises:
        ExpectationsBroken: a critical one is broken.
        CheckInterrupted: the database went away; another try may help.
        NotChecked: an expectation could not be checked.
    """
    errors = [f for f in findings if f.outcome == "error"]
    broken = [f for f in findings if f.outcome == "broken"]
    critical = [f for f in broken if f.expectation.severity == "critical"]
    items = [told(f) for f in (*critical, *errors)]
    if critical:
        raise ExpectationsBroken(
            f"{suite}: {len(critical)} of {len(findings)} expectations are broken.",
            items=items,
            readers="the rows that break them: layers are refreshed before they are checked.",
            next_step="Fix the source or the SQL, then clear the layer's task with what follows.",
        )
    if errors:
        unchecked = CheckInterrupted if all(f.passes for f in errors) else NotChecked
        raise unchecked(
            f"{suite}: {len(errors)} of {len(findings)} expectations could not be checked; this "
            "says nothing about the data.",
            items=items,
            next_step="Fix the cause, then clear this task with what follows.",
        )
    return {
        "met": sum(f.outcome == "met" for f in findings),
        "warnings": [f.expectation.name for f in broken],
    }


def told(finding: SuiteFinding) -> str:
    """A finding that is not met, with one of its rows."""
    line = (
        f"{finding.expectation.relation}: expected {finding.expectation.expected}; "
        f"observed {finding.observed}"
    )
    if finding.sample:
        line += f"\nfor example {json.dumps(finding.sample[0], default=str)[:300]}"
    return line

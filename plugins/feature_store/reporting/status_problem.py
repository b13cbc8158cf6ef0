"""What a store's status says must be fixed."""

from __future__ import annotations

from collections.abc import Sequence

from feature_store.errors import NotReady, StoreError
from feature_store.reporting.status import Line
from feature_store.schema.object_states import State
from feature_store.text_format import in_words, plural


def unwell(lines: Sequence[Line], unstamped: Sequence[str], *, is_old: bool) -> StoreError | None:
    """The problem, if what status shows stops readers or the next run; None if nothing does.

    A relation without a file is no problem: runs and readers do without it. Prepare looks at more,
    such as contracts and privileges.

    Args:
        lines: the relations.
        unstamped: proofs that changed since a person stamped them, in words.
        is_old: the record is older than this package.
    """
    ours = [line for line in lines if line.state is not State.WITHOUT_FILE]
    altered = [line.relation for line in ours if line.state not in (State.AS_FILE, State.ADOPTED)]
    unproven = [line.relation for line in ours if line.certified.startswith("no:")]
    problems, steps = [], []
    if is_old:
        problems.append("the record is older than this package")
        steps.append("`bin/feature-store apply` brings it up to date.")
    if altered:
        problems.append(f"not as its file: {in_words(altered)}")
        steps.append("`bin/feature-store plan` says what to do about files.")
    if unproven:
        problems.append(f"not certified: {in_words(unproven)}")
        steps.append("What is not certified waits for a run of the DAG to pass.")
    if unstamped:
        problems.append(f"changed since they were stamped: {plural(len(unstamped), 'proof')}")
        steps.append("Read the proofs, then stamp them: `bin/feature-store stamp-proofs`.")
    if not problems:
        return None
    return NotReady(
        "The store is not as it should be:",
        items=problems,
        readers="what they read before; require_certified refuses what is not certified.",
        next_step=" ".join(steps),
    )

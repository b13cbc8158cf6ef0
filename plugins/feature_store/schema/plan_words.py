"""A plan in words: what would be done or was done, what blocks it, and what to do."""

from __future__ import annotations

from collections.abc import Iterator
from textwrap import wrap
from typing import TYPE_CHECKING

from feature_store.declarations.source_tables import views_words
from feature_store.schema.audit_migrations import Migration
from feature_store.schema.held_by import DROP
from feature_store.schema.object_states import Condition, State
from feature_store.schema.proof_stamp import UNSTAMPED
from feature_store.schema.removal import Removal
from feature_store.schema.replacement.dependents import Replacement
from feature_store.text_format import bullets

if TYPE_CHECKING:
    from feature_store.schema.plan import Plan


def blockages(plan: Plan) -> list[str]:
    """Each blocked object with its state, where it differs, and what to do."""
    named = _all_at_once(plan)

    def way_out(condition: Condition) -> str:
        # Apply does all or nothing, so one command must name them all.
        if condition.standing:
            at_once = len(named) > 1 and condition.standing.outgrown
            return f"\nAll at once: `{_REPLACE.format(' '.join(named))}`" if at_once else ""
        return f"\nNext: {WAY_OUT[condition.state].format(' '.join(named))}"

    return [f"{c.thing.label}: {c.state}\n{c.details}{way_out(c)}" for c in plan.blocked]


def _all_at_once(plan: Plan) -> list[str]:
    """What blocks the plan and what was already named, as names for `--replace`."""
    names = [thing.label for thing in plan.replaces]
    for condition in (*plan.completes, *plan.adopts, *plan.blocked):
        if condition.standing:
            names += [str(part.name) for part in condition.standing.replace]
            names += condition.standing.outgrown
        elif condition.state in REPLACEABLE:
            names.append(condition.thing.label)
    return names


_REPLACE = "bin/feature-store apply --replace {0}"
WAY_OUT = {
    State.FOREIGN: f"`{_REPLACE}` builds the file's version beside it and swaps them; or rename it "
    "yourself.",
    State.FILE_CHANGED: f"`{_REPLACE}` builds it again beside the old one; or restore the file.",
    State.ALTERED_LIVE: f"undo the change in the database, or `{_REPLACE}`.",
    State.TAKEN: "rename that index yourself, then `bin/feature-store apply`.",
}
WITHOUT_FILE = (
    f"Without a file, so no run refreshes them (restore the file, or `{DROP.format('NAME')}`)"
)
"""The words before a list of such relations."""
REPLACEABLE = WAY_OUT.keys() - {State.TAKEN}


def in_parts(plan: Plan, *, done: bool) -> str:
    """A whole plan in words: what is to be done, or was done."""
    return "\n".join(_parts(plan, done=done))


def _parts(plan: Plan, *, done: bool) -> Iterator[str]:
    yield from _standing_in_the_way(plan)
    steps = [f"schema {name}" for name in plan.schemas]
    steps += _audit_steps(plan.migrations)
    steps += [] if plan.recorded or plan.migrations else ["what store.toml says, in the record"]
    steps += [thing.label for thing in plan.creates]
    if steps:
        yield f"{'Created' if done else 'To create'}: {len(steps)}\n{bullets(steps)}"
    if plan.completes:
        labels = [_parted(condition) for condition in plan.completes]
        yield f"{'Completed' if done else 'To complete'}: {len(labels)}\n{bullets(labels)}"
    if plan.adopts:
        plain = [c.thing.label for c in plan.adopts if not (c.details or c.standing)]
        told = [_parted(c) for c in plan.adopts if c.details or c.standing]
        told += ["\n".join(wrap(", ".join(plain), 92))] if plain else []
        words = "Adopted as they are" if done else "To adopt as they are, and never alter"
        yield f"{words}: {len(plan.adopts)}\n{bullets(told)}"
    if plan.replacement:
        yield from _replaced(plan.replacement, done=done)
    if plan.removal:
        yield from _removed(plan.removal, done=done)
    if contracts := [str(effect) for effect in plan.contracts if not effect.refused]:
        yield f"Contracts: {len(contracts)}\n{bullets(contracts)}"
    if plan.reviews:
        yield (
            "Pending reviews that the next run will close without an answer, because history "
            "starts again (answer them first: `bin/feature-store accept-history`): "
            f"{len(plan.reviews)}\n{bullets(plan.reviews)}"
        )
    yield from _told(plan, done=done)
    yield f"In place, as their file: {plan.in_place}."
    if plan.adopted:
        yield f"In place, adopted as they are: {plan.adopted}."


def _told(plan: Plan, *, done: bool) -> Iterator[str]:
    """What is only recorded, and what a person should know."""
    if plan.comments:
        labels = [thing.label for thing in plan.comments]
        yield f"Comments {'written' if done else 'to write'}: {len(labels)}\n{bullets(labels)}"
    if plan.reworded:
        yield (
            f"Descriptions by this server {'recorded' if done else 'to record'}: "
            f"{len(plan.reworded)}, because it has a new major version. Their queries are taken "
            "as unchanged."
        )
    if left := _left_without_file(plan):
        yield f"{WITHOUT_FILE}: {len(left)}\n{bullets(left)}"
    if plan.views_read:
        yield views_words(plan.views_read)
    if plan.unstamped:
        yield f"{UNSTAMPED}: {len(plan.unstamped)}\n{bullets(list(plan.unstamped))}"


def _standing_in_the_way(plan: Plan) -> Iterator[str]:
    if plan.unsafe:
        yield f"Not safe: {len(plan.unsafe)}\n{bullets(list(plan.unsafe))}"
    if plan.carried:
        words = "Attached to relations, and not in their files"
        yield f"{words}: {len(plan.carried)}\n{bullets(list(plan.carried))}"
    if plan.blocked:
        yield f"Blocked: {len(plan.blocked)} not as their file.\n{bullets(blockages(plan))}"
    if plan.replacement and plan.replacement.refusals:
        refusals = plan.replacement.refusals
        yield f"Cannot be kept: {len(refusals)}\n{bullets(list(refusals))}"
    if plan.removal and plan.removal.refusals:
        refusals = plan.removal.refusals
        yield f"Cannot be dropped: {len(refusals)}\n{bullets(list(refusals))}"
    if refused := [str(effect) for effect in plan.contracts if effect.refused]:
        yield f"Contracts that would break: {len(refused)}\n{bullets(refused)}"


def _audit_steps(migrations: tuple[Migration, ...]) -> list[str]:
    """What happens to the audit schema; the steps of a new one are summed up."""
    if migrations and migrations[0].version == 1:
        return [f"audit schema, steps 1 to {migrations[-1].version}"]
    return [f"audit schema, step {m.version}: {m.name}" for m in migrations]


def _replaced(replacement: Replacement, *, done: bool) -> Iterator[str]:
    words = "Replaced" if done else "To replace"
    yield f"{words}, as named: {len(replacement.named)}\n{bullets(list(replacement.named))}"
    if replacement.along:
        words = f"{'Built' if done else 'To build'} again with them, unchanged"
        yield f"{words}: {len(replacement.along)}\n{bullets(list(replacement.along))}"
    if replacement.views:
        names = [str(view.name) for view in replacement.views]
        words = f"Views of yours {'bound' if done else 'to bind'} to the new ones"
        yield f"{words}: {len(names)}\n{bullets(names)}"


def _removed(removal: Removal, *, done: bool) -> Iterator[str]:
    names = [str(one) for one in removal.relations]
    yield f"{'Dropped' if done else 'To drop'}, as named: {len(names)}\n{bullets(names)}"
    if removal.series:
        words = f"Their history, {'forgotten' if done else 'to be forgotten'}"
        yield f"{words}: {', '.join(removal.series)}"
    if removal.unanswered:
        words = f"Reviews that nobody {'has answered' if done else 'will have answered'}"
        unanswered = list(removal.unanswered)
        yield f"{words}, closed with them: {len(unanswered)}\n{bullets(unanswered)}"


def _left_without_file(plan: Plan) -> list[str]:
    going = {one.name for one in plan.removal.relations} if plan.removal else set()
    return [str(one) for one in plan.without_file if one.name not in going]


def without_file_words(plan: Plan) -> str:
    """Which relations have no file, and what to do; empty if there are none."""
    left = _left_without_file(plan)
    return f"{WITHOUT_FILE}:\n{bullets(left)}" if left else ""


def _parted(condition: Condition) -> str:
    words = [condition.thing.label]
    if condition.details:
        words.append(condition.details)
    if condition.standing:
        words += [f"creates {part.name}" for part in condition.standing.create]
        words += [f"replaces {part.name}" for part in condition.standing.replace]
        words += [f"keeps your {kept}" for kept in condition.standing.kept]
    return "\n".join(words)

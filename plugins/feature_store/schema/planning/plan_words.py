"""A plan in words: what would be done or was done, what blocks it, and what to do."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from textwrap import wrap
from typing import TYPE_CHECKING

from psycopg import sql

from feature_store.schema.audit_migrations import Migration
from feature_store.schema.object_states import Condition, State
from feature_store.schema.planning.removal import Removal
from feature_store.schema.planning.without_file import WithoutFile, way_out_of
from feature_store.schema.replacement.dependents import Replacement
from feature_store.schema.source_problems import views_words
from feature_store.schema.stamps.proof_stamp import UNSTAMPED
from feature_store.text_format import bullets

if TYPE_CHECKING:
    from feature_store.schema.planning.plan import Plan


def blockages(plan: Plan) -> list[str]:
    """Each blocked object with the way out; the last one with the command that replaces all."""
    *others, last = _blocked(plan) or [""]
    command = _one_command(plan)
    return [*others, f"{last}\n{command}" if command else last] if last else []


def _blocked(plan: Plan) -> list[str]:
    """Each blocked object, with the way out that is its own."""
    alone = len(plan.blocked) == 1

    def way_out(condition: Condition) -> str:
        if condition.difference:
            return ""
        if condition.state is State.TAKEN and not _takers(plan, condition):
            return f"\nNext: {_TAKEN}"
        if condition.state is State.IN_THE_WAY:  # no command takes it away
            return f"\nNext: {WAY_OUT[condition.state]}"
        if alone:
            return f"\nNext: {WAY_OUT[condition.state].format(_command(plan))}"
        return f"\nNext: {_UNDO[condition.state]} by the command below."

    return [f"{c.thing.label}: {c.state}\n{c.details}{way_out(c)}" for c in plan.blocked]


def _one_command(plan: Plan) -> str:
    """Apply takes all of them or none, so one command names them all; empty if it stands above."""
    told_above = len(plan.blocked) == 1 and not plan.blocked[0].difference
    if told_above or not any(
        c.difference.outgrown if c.difference else c.state in REPLACEABLE or _takers(plan, c)
        for c in plan.blocked
    ):
        return ""
    words = "All at once" if len([*_replaces(plan), *_drops(plan)]) > 1 else "Next"
    return f"{words}: `{_command(plan)}`"


def _command(plan: Plan) -> str:
    """The command that takes what blocks the plan, and what was already named."""
    words = ["bin/feature-store apply"]
    for option, names in (("--replace", _replaces(plan)), ("--drop", _drops(plan))):
        words += [option, *names] if names else []
    return " ".join(words)


def _replaces(plan: Plan) -> list[str]:
    names = [thing.label for thing in plan.replaces]
    for condition in (*plan.completes, *plan.adopts, *plan.blocked):
        if condition.difference:
            names += [str(part.name) for part in condition.difference.replace]
            names += condition.difference.outgrown
        elif condition.state in REPLACEABLE:
            names.append(condition.thing.label)
    return names


def _drops(plan: Plan) -> list[str]:
    names = [str(one.name) for one in plan.removal.relations] if plan.removal else []
    return list(dict.fromkeys([*names, *(t for c in plan.blocked for t in _takers(plan, c))]))


def _takers(plan: Plan, condition: Condition) -> tuple[str, ...]:
    """Who has the names that an object needs, if all of them have no file and can be dropped."""
    removable = {str(one.name) for one in plan.without_file if one.dropped}
    return condition.taken_by if removable.issuperset(condition.taken_by) else ()


WAY_OUT = {
    State.FOREIGN: "`{0}` builds the file's version beside it and swaps them; or rename it "
    "yourself.",
    State.OUTDATED: "`{0}` builds it again beside the old one; or restore the file.",
    State.DRIFTED: "undo the change in the database, or `{0}`.",
    State.TAKEN: "restore the file of what has the name, or drop it: `{0}`.",
    State.IN_THE_WAY: "rename it yourself, then `bin/feature-store apply`.",
}
_TAKEN = "rename that index yourself, then `bin/feature-store apply`."
_UNDO = {
    State.FOREIGN: "rename it yourself, or replace it",
    State.OUTDATED: "restore the file, or replace it",
    State.DRIFTED: "undo the change in the database, or replace it",
    State.TAKEN: "restore the file of what has the name, or drop that",
}
REPLACEABLE = WAY_OUT.keys() - {State.TAKEN, State.IN_THE_WAY}


def in_parts(plan: Plan, *, done: bool) -> str:
    """A whole plan in words: what is to be done, or was done."""
    return "\n".join(_parts(plan, done=done))


def _parts(plan: Plan, *, done: bool) -> Iterator[str]:
    yield from _standing_in_the_way(plan)
    steps = [f"schema {name}" for name in plan.schemas]
    steps += _audit_steps(plan.migrations)
    steps += in_the_record(plan)
    steps += [thing.label for thing in plan.creates]
    if steps:
        yield f"{'Created' if done else 'To create'}: {len(steps)}\n{bullets(steps)}"
    if plan.completes:
        labels = [_parted(condition) for condition in plan.completes]
        yield f"{'Completed' if done else 'To complete'}: {len(labels)}\n{bullets(labels)}"
    if plan.adopts:
        plain = [c.thing.label for c in plan.adopts if not (c.details or c.difference)]
        told = [_parted(c) for c in plan.adopts if c.details or c.difference]
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
    if left := left_without_file(plan):
        yield without_file_words(left)
    yield from gone_suites(plan)
    if plan.views_read:
        yield views_words(plan.views_read)
    if plan.logs:
        words = "Feature logs, not as a stamp makes them"
        yield f"{words}: {len(plan.logs)}\n{bullets(list(plan.logs))}"
    if plan.unstamped:
        yield f"{UNSTAMPED}: {len(plan.unstamped)}\n{bullets(list(plan.unstamped))}"


def _standing_in_the_way(plan: Plan) -> Iterator[str]:
    if plan.unsafe:
        yield f"Not safe: {len(plan.unsafe)}\n{bullets(list(plan.unsafe))}"
    if plan.carried:
        words = "Attached to relations, and not in their files"
        yield f"{words}: {len(plan.carried)}\n{bullets(list(plan.carried))}"
    if plan.blocked:
        yield f"Blocked: {len(plan.blocked)} not as their file.\n{bullets(_blocked(plan))}"
        if command := _one_command(plan):
            yield command
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
        words = f"{'Built' if done else 'To build'} again with them, from their own queries"
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


def left_without_file(plan: Plan) -> list[WithoutFile]:
    """The relations without a file that this plan leaves where they are."""
    going = {one.name for one in plan.removal.relations} if plan.removal else set()
    return [one for one in plan.without_file if one.name not in going]


def in_the_record(plan: Plan) -> list[str]:
    """What the record does not say yet, apart from steps of its own."""
    missing = [] if plan.recorded or plan.migrations else ["what store.toml says, in the record"]
    return missing + [f"the suite {suite}, required to certify" for suite in plan.suites]


def gone_suites(plan: Plan) -> list[str]:
    """Suites that certification needs and no task checks; else only a run's end would show it."""
    drop = sql.SQL("DELETE FROM feature_store_audit.required_suite WHERE suite = {}")
    return [
        f"Nothing is certified without the suite {suite}, which is not in suites.toml.\nNext: "
        f"restore it; or, as the owner: {drop.format(sql.Literal(suite)).as_string()}"
        for suite in plan.suites_gone
    ]


def without_file_words(left: Sequence[WithoutFile]) -> str:
    """Which relations have no file, and what to do; empty if there are none."""
    if not left:
        return ""
    listed = bullets([str(one) for one in left])
    return (
        f"No file any more, so that no run refreshes them: {len(left)}\n{listed}\n"
        f"Next: {way_out_of(left)}"
    )


def _parted(condition: Condition) -> str:
    words = [condition.thing.label]
    if condition.details:
        words.append(condition.details)
    if condition.difference:
        words += [f"creates {part.name}" for part in condition.difference.create]
        words += [f"replaces {part.name}" for part in condition.difference.replace]
        words += [f"keeps your {kept}" for kept in condition.difference.kept]
    return "\n".join(words)

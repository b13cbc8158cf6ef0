"""Leak gate 1: no feature depends on when, or by whom, it is read."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from feature_store.connection import Connection
from feature_store.database.stored_queries.calls import calls
from feature_store.database.stored_queries.dependency_closure import MATERIALIZED, VIEW, Member
from feature_store.database.stored_queries.determinism import Judge, Objection
from feature_store.validation.leaks.gate_context import (
    FAILURE,
    TIME_OF_QUERY,
    WARNING,
    GateContext,
    LeakFinding,
)

_READABLE = ("r", "p", VIEW, MATERIALIZED)
_COPY = "copy its rows into a table before each run, and use that table as the source."
_KINDS = {"f": "a foreign table, whose rows come from elsewhere", "S": "a sequence"}


@dataclass(frozen=True)
class Judged:
    """A call, where it is, and what is said against it.

    Attributes:
        oid: the relation.
        what: what of the relation runs it.
        columns: the output columns whose expressions contain it.
        objection: to the call.
    """

    oid: int
    what: str
    columns: tuple[str, ...]
    objection: Objection


def judge_calls(connection: Connection, context: GateContext) -> tuple[Judged, ...]:
    """Judge everything that the closure's relations run.

    Args:
        connection: a pinned session, so that functions are named as declarations name them.
        context: what to look at.
    """
    asked = [
        (member.oid, what, call)
        for member in context.closure.members.values()
        for what, tree in member.trees()
        for call in calls(tree)
    ]
    judge = Judge(connection, context.rules.vouched)
    judge.learn(call for _, _, call in asked)
    return tuple(Judged(oid, what, call.columns, judge.judge(call)) for oid, what, call in asked)


def time_findings(context: GateContext, judged: tuple[Judged, ...]) -> Iterator[LeakFinding]:
    """Find what is not proven to give the same answer at any time and to anybody."""
    allowed = {(e.relation, e.calls) for e in context.exceptions}
    objections: dict[tuple[int, str], set[str]] = {}
    for one in judged:
        all_words = [f"{one.what} uses {one.objection.words}."] if one.objection.words else []
        if one.oid in context.unpinned:
            name = context.member(one.oid).name
            all_words += [
                f"{one.what} uses {function}, whose answer depends on the session, and the store "
                "does not control the session that computes this."
                for function in sorted(one.objection.pinned)
                if (name, function) not in allowed
            ]
        for words in all_words:
            objections.setdefault((one.oid, words), set()).update(one.columns)
    for (oid, words), columns in objections.items():
        column = ", ".join(sorted(columns)) or None
        yield context.finding(TIME_OF_QUERY, context.member(oid), words, column=column)
    for member in context.closure.members.values():
        yield from _of_kind(context, member)


def unprovable(member: Member) -> Iterator[tuple[str, str]]:
    """Why a relation's kind makes every proof impossible, in words, and what to do."""
    if member.kind not in _READABLE:
        kind = _KINDS.get(member.kind, f"of the kind {member.kind!r}")
        yield f"is {kind}; nothing can be proven about it.", _COPY
    elif not member.plain_storage:
        yield "belongs to an extension; nothing can be proven about it.", _COPY
    if member.asks_as_reader:
        yield (
            "answers with the rights of whoever asks (security_invoker).",
            f"ALTER VIEW {member.name.quoted} RESET (security_invoker)",
        )


def _of_kind(context: GateContext, member: Member) -> Iterator[LeakFinding]:
    for words, _ in unprovable(member):
        yield context.finding(TIME_OF_QUERY, member, words)
    for part in sorted(member.parts & context.closure.members.keys()):
        for column in _computed_otherwise(member, context.member(part)):
            yield context.finding(
                TIME_OF_QUERY,
                member,
                f"reads {context.member(part).name}, which computes its column {column} in another "
                "way, and nobody looks at what that is made of.",
                column=column,
            )
    if member.is_table and member.name in context.files:
        yield context.finding(
            TIME_OF_QUERY,
            member,
            "is a table, but its file creates a view; nobody can see what fills it.",
            severity=FAILURE if member.oid in context.closure.roots else WARNING,
        )


def _computed_otherwise(parent: Member, part: Member) -> list[str]:
    """The stored columns of a partition or heir that it does not compute as its parent does.

    What reads the parent gets them under the parent's name, and is traced by the parent's way.
    """
    shared = part.stored.keys() & set(parent.columns.values())
    return sorted(c for c in shared if part.stored[c] != parent.stored.get(c))

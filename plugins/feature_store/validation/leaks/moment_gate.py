"""Leak gate 1, for past times of query: ``'today'`` that became a constant.

PostgreSQL keeps the day on which a view was created and uses it for every row. So a point in time
in a stored query must be in the relation's file, in ISO 8601, or be declared.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from datetime import datetime, time, tzinfo

from feature_store.connection import Connection
from feature_store.database.stored_queries.dependency_closure import Member
from feature_store.database.stored_queries.moment_constants import Constant, moments
from feature_store.declarations.moments import Moment, written_moments
from feature_store.validation.leaks.gate_context import TIME_OF_QUERY, GateContext, LeakFinding


def moment_findings(connection: Connection, context: GateContext) -> Iterator[LeakFinding]:
    """Find the points in time in stored queries that no file has.

    Args:
        connection: a pinned session, whose time zone is that of literals without one.
        context: what to look at.
    """
    zone = connection.info.timezone
    texts = {r.name: r.file.create.text for r in context.store.relations}
    for member in context.closure.members.values():
        written = list(written_moments(texts.get(member.name, "")))
        for what, constant in _constants(connection, member):
            declared = (member.name, constant.words) in context.rules.constants
            if not declared and not _is_written(constant, written, zone):
                yield context.finding(
                    TIME_OF_QUERY,
                    member,
                    f"{what} holds the constant {constant.words}, which is not in its file. "
                    "PostgreSQL makes such a constant of 'today' or 'now'. If it is intended, "
                    "write it in the file in ISO 8601 (2026-11-28), or declare it in "
                    "leak_rules.toml ([[constant]]); then stamp the proofs.",
                )


def _constants(connection: Connection, member: Member) -> list[tuple[str, Constant]]:
    found = [(what, one) for what, tree in member.trees() for one in moments(connection, tree)]
    return list(dict.fromkeys(found))


def _is_written(constant: Constant, written: Iterable[Moment], zone: tzinfo) -> bool:
    return constant.value is not None and any(
        constant.value in _readings(moment, constant.value, zone) for moment in written
    )


def _readings(moment: Moment, value: Moment, zone: tzinfo) -> list[Moment]:
    """The constants of that type that the server may make from a literal."""
    if isinstance(moment, datetime):
        if isinstance(value, datetime) and value.tzinfo:
            # When clocks are set back, an hour comes twice.
            one = [moment] if moment.tzinfo else [moment.replace(fold=f) for f in (0, 1)]
            return [m if m.tzinfo else m.replace(tzinfo=zone) for m in one]
        bare = moment.replace(tzinfo=None)
        return [bare if isinstance(value, datetime) else bare.date()]
    return [moment] if isinstance(value, time) else []

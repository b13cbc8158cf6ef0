"""Leak gate: only declared readers may read a source that is declared "as of".

Each row of such a source has a day, but a query may still take rows of a later day, and no catalog
shows which rows it takes. So its readers, with the columns they read, are declared, and all others
fail.
"""

from __future__ import annotations

from collections.abc import Iterator

from feature_store.database.stored_queries.dependency_closure import Member
from feature_store.declarations.leak_rules import EVERY_COLUMN
from feature_store.relation_name import Name
from feature_store.validation.leaks.gate_context import READERS, GateContext, LeakFinding


def reader_findings(context: GateContext) -> Iterator[LeakFinding]:
    """Find undeclared readers of an as-of source or of one of its columns."""
    for member in context.closure.members.values():
        if member.oid not in context.nameable:
            continue
        for source, columns in sorted(_read_by(context, member.oid).items()):
            readers = _declared(context, source)
            others = columns - readers.get(member.name, frozenset()) - _elsewhere(context, source)
            if others or member.name not in readers:
                yield _finding(context, member, source, sorted(others))


def _finding(context: GateContext, member: Member, source: Name, others: list[str]) -> LeakFinding:
    readers = _declared(context, source)
    what = f"{', '.join(others)} of {source}" if others else str(source)
    if member.name in readers:
        named = f"lets it read {', '.join(sorted(readers[member.name])) or 'no column'} only"
    else:
        named = f"lets only {', '.join(map(str, sorted(readers))) or 'no relation'} read it"
    rules = context.rules.path.name
    words = f"reads {what}, whose rows may be of a later day. {rules} (as_of) {named}."
    return context.finding(READERS, member, words, column=", ".join(others) or None)


def _declared(context: GateContext, source: Name) -> dict[Name, frozenset[str]]:
    """The declared readers of a source. Some are declared only as what apply adopted."""
    ours = {relation.name for relation in context.store.relations if source in relation.reads}
    adopted = context.rules.as_of_adopted.get(source, {})
    return context.rules.as_of[source] | {
        name: columns for name, columns in adopted.items() if name not in ours
    }


def _read_by(context: GateContext, oid: int) -> dict[Name, set[str]]:
    """The columns that a relation reads of as-of sources, also through views without a file."""
    found: dict[Name, set[str]] = {}
    pending, seen = [oid], {oid}
    while pending:
        reader = pending.pop()
        for read in context.member(reader).reads:
            member = context.member(read)
            if member.name in context.rules.as_of:
                found.setdefault(member.name, set())
            elif read not in context.nameable | context.sources and read not in seen:
                seen.add(read)
                pending.append(read)
        for column in context.each(context.influences[reader].reads):
            name = context.member(column[0]).name
            if name in context.rules.as_of:
                found.setdefault(name, set()).add(context.member(column[0]).columns[column[1]])
    return found


def _elsewhere(context: GateContext, source: Name) -> frozenset[str]:
    """What other gates check: outcomes, and columns without any declaration."""
    outcomes = {
        column
        for outcome in context.rules.outcomes
        if outcome.relation == source and EVERY_COLUMN not in outcome.columns
        for column in outcome.columns
    }
    known = {c for s in context.store.sources if s.name == source for c in s.columns}
    of_source = {
        column
        for member in context.closure.members.values()
        if member.name == source
        for column in member.columns.values()
    }
    return frozenset(outcomes | (of_source - known))

"""The leak gates that read the catalog: time of query, outcomes, readers, declared exceptions.

They check what the database will really run, down to the source tables, not what files say. What
they cannot prove harmless fails.
"""

from __future__ import annotations

from collections.abc import Iterable

from feature_store.connection import Connection
from feature_store.database.stored_queries.dependency_closure import read_closure
from feature_store.declarations.declared_exceptions import DeclaredException
from feature_store.declarations.feature_sets import FeatureSet
from feature_store.declarations.leak_rules import LeakRules
from feature_store.declarations.store_definition import Store
from feature_store.errors import LeakFound
from feature_store.relation_name import Name
from feature_store.validation.leaks.exception_gate import exception_findings
from feature_store.validation.leaks.gate_context import FAILURE, GateContext, LeakFinding
from feature_store.validation.leaks.moment_gate import moment_findings
from feature_store.validation.leaks.outcome_gate import outcome_findings
from feature_store.validation.leaks.reader_gate import reader_findings
from feature_store.validation.leaks.time_gate import judge_calls, time_findings


def check_gates(
    connection: Connection,
    store: Store,
    feature_sets: Iterable[FeatureSet],
    rules: LeakRules,
    exceptions: Iterable[DeclaredException],
) -> tuple[LeakFinding, ...]:
    """Find every leak in the store, also in labels and training views. Reads only the catalog.

    Args:
        connection: a pinned session of any role.
        store: what the files say.
        feature_sets: the sets whose relations are checked; missing relations are left out.
        rules: the rules about outcomes and sources.
        exceptions: the declared exceptions.

    Returns:
        Failures first; empty if all is well.
    """
    return _findings(
        connection, read_gate_context(connection, store, feature_sets, rules, exceptions)
    )


def read_gate_context(
    connection: Connection,
    store: Store,
    feature_sets: Iterable[FeatureSet],
    rules: LeakRules,
    exceptions: Iterable[DeclaredException],
) -> GateContext:
    """Read what the gates check; the arguments are those of `check_gates`.

    It starts from the relations of feature sets, and from those that no other relation of the store
    reads, because training also reads labels.
    """
    sets = tuple(feature_sets)
    carriers = {feature_set.relation for feature_set in sets}
    found = read_closure(connection, carriers | {relation.name for relation in store.relations})
    read = {oid for member in found.members.values() for oid in member.reads}
    roots = [o for o in found.roots if o not in read or found.members[o].name in carriers]
    return GateContext(found.beginning_with(roots), store, sets, rules, tuple(exceptions))


def _findings(connection: Connection, context: GateContext) -> tuple[LeakFinding, ...]:
    judged = judge_calls(connection, context)
    findings = [
        *time_findings(context, judged),
        *moment_findings(connection, context),
        *outcome_findings(context),
        *reader_findings(context),
        *exception_findings(context, judged),
    ]
    return tuple(sorted(findings, key=lambda finding: finding.severity != FAILURE))


def leaks_of(
    connection: Connection,
    store: Store,
    relation: Name,
    roots: Iterable[Name],
    rules: LeakRules,
    exceptions: Iterable[DeclaredException],
) -> tuple[LeakFinding, ...]:
    """The leaks of an adopted relation, and of what it reads that has no file, either.

    Args:
        connection: a pinned session of any role.
        store: what the files say.
        relation: it must exist.
        roots: the relation itself, or those that read it and that readers use.
        rules: the rules about outcomes and sources.
        exceptions: the declared exceptions.
    """
    context = GateContext(read_closure(connection, roots), store, (), rules, tuple(exceptions))
    ours = {str(name) for name in context.files if name != relation}
    below = {
        str(context.member(read).name)
        for member in context.closure.members.values()
        if member.name == relation
        for read in context.closure.below(member.oid)
    }
    blamed = {str(relation), *below} - ours
    found = _findings(connection, context)
    return tuple(f for f in found if f.severity == FAILURE and f.relation in blamed)


def assert_no_leak(connection: Connection, context: GateContext) -> tuple[LeakFinding, ...]:
    """Check what `read_gate_context` read and fail at a leak; return the warnings.

    Raises:
        LeakFound: a gate failed; the message names every leak.
    """
    findings = _findings(connection, context)
    leaks = [f"{f.gate}: {f}" for f in findings if f.severity == FAILURE]
    if leaks:
        raise LeakFound(
            "A feature may see what was not known at t0:",
            items=leaks,
            readers="the rows that the views have now; do not train on them.",
            next_step="Fix the named file and run `bin/feature-store apply --replace RELATION`. If "
            "it is intended, declare it with its reason in include/leak_rules.toml or "
            "include/exceptions.toml. In both cases then stamp the proofs: `bin/feature-store "
            "stamp-proofs`.",
        )
    return findings

"""The leak gates that read the catalog: time of query, outcomes, readers, declared exceptions.

They check what the database will really run, down to the source tables, not what files say. What
they cannot prove harmless fails.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from psycopg import Connection

from feature_store.database.stored_queries.dependency_closure import read_closure
from feature_store.declarations.feature_sets import FeatureSet
from feature_store.declarations.leak_rules import DeclaredException, LeakRules
from feature_store.declarations.store_definition import Store
from feature_store.errors import LeakFound
from feature_store.relation_name import Name
from feature_store.validation.leaks.exception_gate import exception_findings
from feature_store.validation.leaks.gate_context import FAILURE, LeakFinding, Scene
from feature_store.validation.leaks.moment_gate import moment_findings
from feature_store.validation.leaks.outcome_gate import outcome_findings
from feature_store.validation.leaks.reader_gate import reader_findings
from feature_store.validation.leaks.time_gate import judge_calls, time_findings


def check_gates(
    connection: Connection[Any],
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
    return _findings(connection, read_scene(connection, store, feature_sets, rules, exceptions))


def read_scene(
    connection: Connection[Any],
    store: Store,
    feature_sets: Iterable[FeatureSet],
    rules: LeakRules,
    exceptions: Iterable[DeclaredException],
) -> Scene:
    """Read what the gates check; the arguments are those of `check_gates`.

    It starts from the relations of feature sets, and from those that no other relation of the store
    reads, because training also reads labels.
    """
    sets = tuple(feature_sets)
    carriers = {feature_set.relation for feature_set in sets}
    found = read_closure(connection, carriers | {relation.name for relation in store.relations})
    read = {oid for member in found.members.values() for oid in member.reads}
    roots = [o for o in found.roots if o not in read or found.members[o].name in carriers]
    return Scene(found.beginning_with(roots), store, sets, rules, tuple(exceptions))


def _findings(connection: Connection[Any], scene: Scene) -> tuple[LeakFinding, ...]:
    judged = judge_calls(connection, scene)
    findings = [
        *time_findings(scene, judged),
        *moment_findings(scene, connection.info.timezone),
        *outcome_findings(scene),
        *reader_findings(scene),
        *exception_findings(scene, judged),
    ]
    return tuple(sorted(findings, key=lambda finding: finding.severity != FAILURE))


def leaks_of(
    connection: Connection[Any],
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
    scene = Scene(read_closure(connection, roots), store, (), rules, tuple(exceptions))
    ours = {str(name) for name in scene.files if name != relation}
    below = {
        str(scene.member(read).name)
        for member in scene.closure.members.values()
        if member.name == relation
        for read in scene.closure.below(member.oid)
    }
    blamed = {str(relation), *below} - ours
    found = _findings(connection, scene)
    return tuple(f for f in found if f.severity == FAILURE and f.relation in blamed)


def assert_no_leak(connection: Connection[Any], scene: Scene) -> tuple[LeakFinding, ...]:
    """Check what `read_scene` read; fail on a leak, return the warnings.

    Raises:
        LeakFound: a gate failed; the message names every leak.
    """
    findings = _findings(connection, scene)
    leaks = [f"{f.gate}: {f}" for f in findings if f.severity == FAILURE]
    if leaks:
        raise LeakFound(
            "A feature may see what was not known at t0:",
            items=leaks,
            readers="the rows that the views have now; do not train on them.",
            next_step="Fix the named file and run `bin/feature-store apply --replace` with its "
            "relation. If it is intended, declare it with its reason in include/leak_rules.toml "
            "or include/exceptions.toml. In both cases then stamp the proofs: `bin/feature-store "
            "stamp-proofs`.",
        )
    return findings

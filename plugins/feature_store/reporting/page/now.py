"""The store now."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from itertools import chain

from feature_store.audit.runs import newest_day
from feature_store.connection import Connection, one_value
from feature_store.declarations.feature_sets import FeatureSet
from feature_store.declarations.thresholds import read_thresholds
from feature_store.errors import NotReady
from feature_store.relation_name import Name
from feature_store.reporting.page.findings import open_findings, review_days
from feature_store.reporting.page.lease_now import read_lease
from feature_store.reporting.page.proofs import unstamped_proofs
from feature_store.reporting.page.runs import run_line
from feature_store.reporting.page.schedule import due
from feature_store.reporting.page.store_facts import Facts
from feature_store.reporting.page.store_verdict import judge
from feature_store.reporting.run.read import last_run, read_record
from feature_store.reporting.store.models import (
    ContractNow,
    Now,
    RelationNow,
    ReviewDay,
    RunLine,
)
from feature_store.reporting.store.relation_states import (
    answered,
    not_proven,
    read_relations,
    standing_on,
    undescribed,
)
from feature_store.reporting.store.replaced_views import replaced_views, tell
from feature_store.reporting.store.store_files import Files
from feature_store.schema.object_states import has_audit
from feature_store.schema.planning.without_file import WithoutFile, way_out_of, without_file
from feature_store.schema.stamps.contract_stamp import check
from feature_store.settings import Settings
from feature_store.validation.certificates import (
    Certificate,
    asked_for,
    read_certificates,
    refused_first,
)
from feature_store.validation.certification import certified_in_words


def read_now(connection: Connection, settings: Settings, files: Files) -> Now:
    """Read the store's current state; one that has not been created is empty."""
    at = _clock(connection)
    if not has_audit(connection):
        facts = Facts(
            at, settings, files.profile.dag_id, None, None, undescribed(files), [], [], None
        )
        return _now(facts, files, "nothing: the store has not been created.", [], ())
    latest = _latest(connection)
    replaced, newest = replaced_views(connection, files), files.profile.newest
    contracts = [_contract(connection, feature_set) for feature_set in files.feature_sets]
    asked = asked_for(connection, {c.name: c.relation for c in contracts})
    certificates = read_certificates(
        connection,
        {
            *(Name.parse(name).quoted for name in files.relations),
            *chain.from_iterable(asked.values()),
        },
    )
    standing = standing_on(read_relations(connection, files, latest))
    relations = tell(answered(standing, certificates), replaced)
    certified_at, is_to_come = _last_certified(connection)
    facts = Facts(
        at=at,
        settings=settings,
        dag_id=files.profile.dag_id,
        lease=read_lease(connection),
        latest=latest,
        relations=relations,
        replaced=[files.label(name) for name in sorted(replaced)],
        unstamped=unstamped_proofs(connection, settings.include_dir),
        contracts=[
            _readable(
                contract, relations, refused_first(certificates[n] for n in asked[contract.name])
            )
            for contract in contracts
        ],
        open_findings=open_findings(connection),
        certified_at=certified_at,
        is_to_come=is_to_come,
        answered_for=newest_day(connection, due(settings, at)),
        sources_until=one_value(
            connection, "SELECT feature_store_audit.sources_until(%s)", (newest.fact,)
        ),
        most_days_old=read_thresholds(settings.include_dir).get(newest.threshold),
    )
    return _now(
        facts,
        files,
        certified_in_words(connection, certificates),
        review_days(connection, files.profile.key),
        without_file(connection, files.relations, files.sources),
    )


def _now(
    facts: Facts,
    files: Files,
    certified: str,
    days: list[ReviewDay],
    left: Sequence[WithoutFile],
) -> Now:
    return Now(
        read_at=facts.at,
        zone=facts.settings.zone,
        verdict=judge(facts),
        certified_words=certified,
        under_way=facts.lease.run_id if facts.lease else None,
        latest=facts.latest,
        sources=list(files.sources),
        relations=facts.relations,
        contracts=facts.contracts,
        exceptions=files.exception_lines(),
        leaks=facts.open("leak"),
        reviews=facts.open("review"),
        review_days=days,
        without_file=[str(one) for one in left],
        without_file_step=way_out_of(left) if left else "",
    )


def _latest(connection: Connection) -> RunLine | None:
    run = last_run(connection)
    return run and run_line(read_record(connection, *run, certified=""))


def _clock(connection: Connection) -> datetime:
    now: datetime = one_value(connection, "SELECT now()")
    return now


def _last_certified(connection: Connection) -> tuple[datetime | None, bool]:
    row = connection.execute(
        "SELECT certified_at, is_to_come FROM feature_store_audit.last_certified"
    ).fetchone()
    return (row[0], row[1]) if row else (None, False)


def _readable(
    contract: ContractNow, relations: list[RelationNow], certificate: Certificate
) -> ContractNow:
    """Add the answer to "may I read it now?", as require_certified gives it."""
    if contract.stamped_hash is None:
        return contract
    doubts = [d for r in relations if r.name == contract.relation for d in not_proven(r)]
    return contract.model_copy(
        update={
            "readable": certificate.is_readable,
            "refusal": certificate.refusal or "",
            "refused_for": doubts if certificate.is_readable is False else [],
        }
    )


def _contract(connection: Connection, feature_set: FeatureSet) -> ContractNow:
    try:
        checked = check(connection, feature_set)
    except NotReady as error:
        return ContractNow(
            name=feature_set.name,
            schema_name=feature_set.schema,
            relation=str(feature_set.relation),
            n_features=None,
            stamped_hash=None,
            live_hash=None,
            holds=False,
            problems=[error.problem],
        )
    return ContractNow(
        name=checked.name,
        schema_name=feature_set.schema,
        relation=checked.relation or str(feature_set.relation),
        n_features=checked.stamped_n,
        stamped_hash=checked.stamped_hash,
        live_hash=checked.live_hash,
        holds=not checked.problems,
        problems=list(checked.problems),
    )

"""What need not be refreshed again, and all that makes a refresh necessary."""

from __future__ import annotations

import itertools
import logging
import threading
from collections.abc import Callable, Iterator
from dataclasses import replace
from datetime import timedelta
from typing import Any

import psycopg
import pytest
from psycopg.conninfo import make_conninfo

from feature_store.audit.backfill_requests import ask
from feature_store.audit.last_refresh_state import read_last_states
from feature_store.audit.lease import Lease, RunKey, take_lease
from feature_store.connection import Connection
from feature_store.database.session import pin
from feature_store.declarations.expectations import read_expectations
from feature_store.declarations.store_definition import Store
from feature_store.errors import LeaseTaken, passes_on_its_own
from feature_store.refresh.inputs import QUERY_OF, Inputs, read_inputs
from feature_store.refresh.refresh import refresh
from feature_store.refresh.unchanged import Reuse, record_reuse, reusable
from feature_store.relation_name import Name
from feature_store.schema.apply import apply
from feature_store.settings import Settings
from sandbox.server import Server
from tests.feature_store.conftest import Database
from tests.feature_store.waiting import wait_for_lock
from tests.relations import COUNTS, D1, D2, D3, D4, E_AI, E_CLEAN, E_SPEED, F0, F2, A, B, C, E

READS_LISTINGS = {A, B, D1, D2, D3, E_CLEAN}
LISTINGS = '"iPhone".iphone_listings'
AI = '"iPhone".iphone_ai_enrich'
IMAGES = "feature_store.device_image_features_unified_v1"

_THREE_LISTINGS = f"""
INSERT INTO {LISTINGS} (listing_id, generation, storage_gb, price, edited_date, last_seen,
    sold_date, sold_price) VALUES
    (1, 15, 128, 5000, '2026-01-01 12:00+00', '2026-01-02', '2026-01-02', 4900),
    (2, 15, 128, 5100, '2026-01-03 12:00+00', '2026-01-05', NULL, NULL),
    (3, 16, 256, 8000, '2026-01-04 12:00+00', '2026-01-06', '2026-01-06', 7900);
INSERT INTO {AI} (listing_id, can_ship) VALUES (1, true);
INSERT INTO {IMAGES} (generation, listing_id, body_color_key_main) VALUES (15, 1, 'blue');
"""
_numbers = itertools.count(1)


class Live:
    """A store over three listings, and runs over it that do what the DAG does."""

    def __init__(self, conninfo: str, files: Store, settings: Settings) -> None:
        self.conninfo = conninfo
        self.files = files
        self._settings = settings
        self.session = self.open()

    def open(self, role: str | None = None) -> Connection:
        conninfo = make_conninfo(self.conninfo, user=role) if role else self.conninfo
        connection = psycopg.connect(conninfo, autocommit=True)
        pin(connection, self._settings, "tests")
        return connection

    def execute(self, statement: str) -> Any:
        return self.session.execute(statement.encode())

    def lease(self, run_id: str) -> Lease:
        return take_lease(
            self.session, RunKey("feature_store_refresh", run_id), lambda _: True, timedelta(0)
        )

    def apply(self) -> None:
        self.execute("UPDATE feature_store_audit.lease SET dag_id = NULL, run_id = NULL")
        apply(self.session, self.files, self._settings)

    def ask(self, go: str = "0") -> str:
        """Ask for a backfill."""
        return ask(self.session, RunKey("feature_store_refresh", "backfill"), go)

    def refresh(self, name: str, run_id: str) -> None:
        refresh(self.session, self.files.find(name), self.lease(run_id), "UTC")

    def reusable(self, name: str, zone: str = "UTC", asked: str | None = None) -> Any:
        return reusable(self.session, self.files, self.files.find(name), zone, asked)

    def inputs(self, name: str) -> Inputs:
        found = read_inputs(self.session, self.files.find(name), "UTC", {})
        assert found is not None
        return found

    def run(self, run_id: str, asked: str | None = None) -> set[str]:
        """One run over all relations; returns those that it refreshed."""
        lease, refreshed = self.lease(run_id), set()
        for relation in self.files.refreshed:
            reuse = self.reusable(str(relation.name), asked=asked)
            if reuse:
                record_reuse(self.session, lease, relation, reuse)
            else:
                refresh(self.session, relation, lease, "UTC")
                refreshed.add(str(relation.name))
        return refreshed

    def reasons(self, run_id: str) -> set[str]:
        rows = self.session.execute(
            "SELECT reason FROM feature_store_audit.reuse WHERE run_id = %s", (run_id,)
        ).fetchall()
        return {reason for (reason,) in rows}

    def unrefreshed(self, settings: Settings) -> list[str]:
        """What the expectation on refreshes finds wrong with the run that has the lease."""
        (one,) = [
            e
            for e in read_expectations(settings.include_dir, self.files, "as_of_counts")
            if e.name == "every_layer_was_refreshed_by_this_run"
        ]
        return [name for (name,) in self.execute(one.query).fetchall()]


@pytest.fixture(scope="module")
def refreshed_template(server: Server, store_files: Store, settings: Settings) -> Iterator[str]:
    live = Live(server.create_database("changes", "store"), store_files, settings)
    live.execute(_THREE_LISTINGS)
    assert live.run("monday") == {str(r.name) for r in store_files.refreshed}
    live.session.close()
    yield "changes"
    server.drop_database("changes")


@pytest.fixture
def live(
    server: Server, refreshed_template: str, store_files: Store, settings: Settings
) -> Iterator[Live]:
    """Refreshed by the run ``monday``; nothing has happened since."""
    name = f"changes_{next(_numbers)}"
    live = Live(server.create_database(name, refreshed_template), store_files, settings)
    yield live
    live.session.close()
    server.drop_database(name)


def test_a_night_without_changes_refreshes_nothing_and_says_since_when(live: Live) -> None:
    assert live.run("tuesday") == set()
    assert live.run("wednesday") == set()
    assert live.reasons("wednesday") == {"unchanged since run monday"}


def test_a_store_that_was_never_refreshed_is_refreshed_on_every_server(store: Any) -> None:
    live = Live(store.conninfo, store.files, store.settings)
    live.execute(_THREE_LISTINGS)

    assert len(live.run("monday")) == len(store.files.refreshed)
    assert live.run("tuesday") == set()
    live.session.close()


CHANGES = {
    "a new listing": (
        f"INSERT INTO {LISTINGS} (listing_id, generation, storage_gb, price, edited_date) "
        "VALUES (4, 15, 128, 1, '2026-01-05 12:00+00')",
        {A, B, C, D1, D2, D3, D4, E, E_CLEAN, E_SPEED, E_AI, F0, COUNTS, F2},
    ),
    # E comes out the same, row for row, so relations that read only E-clean are left alone.
    "a row that was written as it was": (
        f"UPDATE {LISTINGS} SET price = price WHERE listing_id = 2",
        READS_LISTINGS | {C, D4, E},
    ),
    "an AI row": (f"UPDATE {AI} SET can_ship = false", {E_AI}),
    "an image row": (f"UPDATE {IMAGES} SET body_color_key_main = 'gold'", {COUNTS, F2}),
    "a table emptied": (f"TRUNCATE {AI}", {E_AI}),
    "an index": (f"CREATE INDEX ON {LISTINGS} (price)", set()),
    "a change that was rolled back": (f"BEGIN; DELETE FROM {LISTINGS}; ROLLBACK", set()),
    "a listing that came and went": (
        f"INSERT INTO {LISTINGS} (listing_id) VALUES (9); DELETE FROM {LISTINGS} "
        "WHERE listing_id = 9",
        set(),
    ),
}


@pytest.mark.parametrize(("statement", "expected"), CHANGES.values(), ids=CHANGES)
def test_exactly_what_a_change_reaches_is_refreshed(
    live: Live, statement: str, expected: set[str]
) -> None:
    live.execute(statement)

    assert live.run("tuesday") == expected
    assert live.run("wednesday") == set()


def test_a_change_is_named_in_the_log(live: Live, caplog: pytest.LogCaptureFixture) -> None:
    live.execute(f"UPDATE {AI} SET can_ship = false")

    with caplog.at_level(logging.INFO, "feature_store.refresh.unchanged"):
        assert live.reusable(E_AI) is None
    assert caplog.messages == [f"{E_AI}, since run monday: iPhone.iphone_ai_enrich has changed."]


def test_what_reads_a_layer_that_was_refreshed_since_is_refreshed_too(live: Live) -> None:
    live.refresh(A, "tuesday")

    assert {n for n in (B, C, E, D1, D2, D3, E_CLEAN) if not live.reusable(n)} == {B, C, E}


def test_a_row_that_the_refresh_saw_and_that_is_gone_again_is_noticed(live: Live) -> None:
    """The source is the same before and after it; the refreshed rows are not."""
    live.execute(f"INSERT INTO {AI} (listing_id, can_ship) VALUES (2, true)")
    live.refresh(E_AI, "tuesday")
    live.execute(f"DELETE FROM {AI} WHERE listing_id = 2")

    assert live.run("wednesday") == {E_AI}


def test_a_row_that_comes_while_the_refresh_works_is_for_the_next_run(live: Live) -> None:
    blocker = live.open()
    live.execute(f"UPDATE {LISTINGS} SET spam = 'wtb' WHERE listing_id = 1")
    lease = live.lease("tuesday")
    with blocker.transaction():
        # E-clean's refresh has its snapshot, and waits here before it reads E.
        blocker.execute(f"REFRESH MATERIALIZED VIEW {E}")
        worker = threading.Thread(
            target=refresh, args=(live.session, live.files.find(E_CLEAN), lease, "UTC")
        )
        worker.start()
        wait_for_lock(blocker)
        blocker.execute(f"UPDATE {LISTINGS} SET spam = 'wtb' WHERE listing_id = 2")
    worker.join()
    blocker.close()

    assert live.execute(f"SELECT listing_id FROM {E_CLEAN} ORDER BY 1").fetchall() == [(2,), (3,)]
    assert live.reusable(E_CLEAN) is None
    live.refresh(E_CLEAN, "wednesday")
    assert live.execute(f"SELECT listing_id FROM {E_CLEAN}").fetchall() == [(3,)]
    assert live.reusable(E_CLEAN) == Reuse(_latest(live, E_CLEAN), _since("wednesday"))


def test_a_refresh_by_hand_at_the_same_moment_leaves_no_row_behind_that_neither_should_have(
    live: Live,
) -> None:
    """Our snapshot sees neither what it wrote into E-AI nor the AI row, which is gone."""
    hand, found = live.open(), []

    def ours() -> None:
        try:
            refresh(live.session, live.files.find(E_AI), lease, "UTC")
        except psycopg.Error as error:
            found.append(error)

    live.execute(f"INSERT INTO {AI} (listing_id, can_ship) VALUES (2, true)")
    lease = live.lease("tuesday")
    with hand.transaction():
        hand.execute(f"REFRESH MATERIALIZED VIEW CONCURRENTLY {E_AI}")
        with live.open() as source:
            source.execute(f"DELETE FROM {AI} WHERE listing_id = 2")
        worker = threading.Thread(target=ours)
        worker.start()  # sees neither the AI row nor what the hand wrote
        with live.open() as watcher:
            wait_for_lock(watcher)
    worker.join()
    hand.close()

    (error,) = found
    assert passes_on_its_own(error), error
    assert "somebody else refreshed or altered" in str(error)
    shipped = f"SELECT count(*) FROM {E_AI} WHERE ai_can_ship_bin = 1"
    assert live.execute(shipped).fetchone() == (2,)  # as the refresh by hand left it
    assert live.run("wednesday") == {E_AI}
    assert live.execute(shipped).fetchone() == (1,)


def test_a_refresh_by_hand_that_changed_rows_is_made_good(live: Live) -> None:
    live.execute(f"INSERT INTO {AI} (listing_id, can_ship) VALUES (2, true)")
    live.execute(f"REFRESH MATERIALIZED VIEW CONCURRENTLY {E_AI}")
    live.execute(f"DELETE FROM {AI} WHERE listing_id = 2")

    assert live.run("tuesday") == {E_AI}


@pytest.mark.parametrize(
    "how", ["REFRESH MATERIALIZED VIEW {}", "REFRESH MATERIALIZED VIEW {} WITH NO DATA"]
)
def test_a_blocking_refresh_by_hand_counts_as_a_change(live: Live, how: str) -> None:
    live.execute(how.format(D2))

    # E reads D2 and is refreshed, but comes out the same, so nothing above it is.
    assert live.run("tuesday") == {D2, E}


def test_a_query_below_that_was_replaced_counts_as_a_change(live: Live) -> None:
    query = live.execute("SELECT pg_get_viewdef('ml.spam_token_v1'::regclass)").fetchone()[0]
    live.execute(f"CREATE OR REPLACE VIEW ml.spam_token_v1 AS {query}")

    assert live.run("tuesday") == {E_CLEAN}


def test_a_relation_that_was_dropped_and_applied_again_is_refreshed(live: Live) -> None:
    live.execute(f"DROP MATERIALIZED VIEW {C}")
    live.apply()

    assert live.run("tuesday") == {C}


def test_another_zone_or_witness_counts_as_a_change(live: Live) -> None:
    assert live.reusable(A, zone="Europe/Oslo") is None
    e_ai = live.files.find(E_AI)
    asks_more = replace(e_ai, witness=f"{e_ai.witness} -- and more")
    assert reusable(live.session, live.files, asks_more, "UTC") is None
    assert reusable(live.session, live.files, e_ai, "UTC") is not None


def test_another_specification_counts_as_a_change(live: Live) -> None:
    """Rows that are used again bring the findings of their comparison with them."""
    a = live.files.find(A)
    other = replace(a, specification=replace(a.specification, digest="another"))
    assert reusable(live.session, live.files, other, "UTC") is None
    assert reusable(live.session, live.files, a, "UTC") is not None


def test_other_words_for_spam_count_as_a_change(live: Live) -> None:
    """The flagged rows that the refresh recorded are used again with its rows."""
    e_clean = live.files.find(E_CLEAN)
    assert e_clean.rows is not None
    assert e_clean.rows.without is not None
    spam = e_clean.rows.without
    more = replace(
        e_clean,
        rows=replace(
            e_clean.rows, without=spam.model_copy(update={"tokens": (*spam.tokens, "maybe")})
        ),
    )
    assert reusable(live.session, live.files, more, "UTC") is None
    assert reusable(live.session, live.files, e_clean, "UTC") is not None


def test_a_specification_that_leaves_the_rows_to_an_owner_no_longer_counts_as_a_change(
    live: Live,
) -> None:
    e = live.files.find(E)
    theirs = replace(e, specification=replace(e.specification, by_owner=True))
    assert reusable(live.session, live.files, theirs, "UTC") is None
    assert reusable(live.session, live.files, e, "UTC") is not None


def test_another_version_of_the_package_counts_as_a_change(
    live: Live, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It may prove more than the version that proved these rows."""
    assert live.reusable(A) is not None
    monkeypatch.setattr("feature_store.refresh.inputs.__version__", "0.0.0")
    assert live.reusable(A) is None


def test_a_refresh_of_which_no_states_were_recorded_is_not_used_again(live: Live) -> None:
    live.execute(f"UPDATE feature_store_audit.refresh SET inputs = NULL WHERE relation = '{A}'")

    assert live.reusable(A) is None


def test_a_state_of_another_count_of_transactions_proves_nothing(live: Live) -> None:
    live.execute("UPDATE feature_store_audit.refresh SET snapshot = '5:5:'")
    assert live.reusable(A) is not None
    live.execute("UPDATE feature_store_audit.refresh SET snapshot = '5000000000:5000000000:'")
    assert live.reusable(A) is None


def test_a_refresh_records_which_version_of_the_catalog_it_left(live: Live) -> None:
    left = read_last_states(live.session)

    assert set(left) == {
        oid
        for (oid,) in live.execute(
            "SELECT c.oid FROM pg_class AS c WHERE c.relkind = 'm' "
            "AND c.relnamespace IN ('ml'::regnamespace, 'feature_store'::regnamespace)"
        )
    }
    for oid, its in left.items():
        (row,) = live.execute(f"SELECT xmin::text FROM pg_class WHERE oid = {oid}")
        assert its.version == row[0]


def test_what_was_left_another_count_of_transactions_ago_says_nothing(live: Live) -> None:
    live.execute("UPDATE feature_store_audit.refresh SET snapshot = '5000000000:5000000000:'")

    assert read_last_states(live.session) == {}


def test_what_witness_and_specification_ask_is_among_its_relations_inputs(live: Live) -> None:
    """Else a finding could be out of date while its relation is found unchanged."""
    for relation in live.files.refreshed:
        specification = relation.specified_by_refresh
        if not relation.witness and specification is None:
            continue
        known = {
            one.name.removeprefix("the query of ") for one in live.inputs(str(relation.name)).all
        }
        sources = {str(source.name) for source in live.files.sources}
        for name in sources | {str(r.name) for r in live.files.relations}:
            quoted = Name.parse(name).quoted.replace('"', "")
            asked = quoted in (relation.witness or "").replace('"', "")
            if asked or (specification and Name.parse(name) in specification.reads):
                assert name in known, (relation.name, name)


def test_what_a_query_forgets_to_read_is_an_input_if_its_specification_reads_it(live: Live) -> None:
    """While nothing is flagged, E-clean is right without its filter, and is proven."""
    live.execute(f"ALTER MATERIALIZED VIEW {E_CLEAN} RENAME TO honest")
    live.execute(f"CREATE MATERIALIZED VIEW {E_CLEAN} AS TABLE {E}")
    live.execute(f"CREATE UNIQUE INDEX forgetful ON {E_CLEAN} (listing_id)")
    live.refresh(E_CLEAN, "first")
    assert live.reusable(E_CLEAN)

    live.execute(f"INSERT INTO {LISTINGS} (listing_id, spam) VALUES (1, 'spam')")

    assert live.reusable(E_CLEAN) is None


def _as_view(live: Live, query: str) -> dict[str, str | None]:
    """Turn the AI source into a view; returns the states of E-AI's inputs, by name."""
    live.execute(f"DROP TABLE {AI} CASCADE")
    live.execute(f"CREATE VIEW {AI} AS {query}")
    live.apply()
    return live.inputs(E_AI).states


_AI_COLUMNS = (
    "a.listing_id, a.sale_mode, a.owner_type, a.can_ship, a.pickup_only, a.vat_invoice, "
    "a.first_owner, a.used_with_case_claim, a.repair_provider, a.negotiability_ai, a.urgency_ai, "
    "a.lqs_textonly, a.opening_offer_nok, a.storage_gb_fixed_ai, a.updated_at"
)


def test_a_source_that_is_a_view_is_judged_by_its_tables(live: Live) -> None:
    live.execute(f"CREATE TABLE public.ai AS TABLE {AI}")
    live.execute("CREATE TABLE public.good AS SELECT 1 AS listing_id")
    live.execute("CREATE VIEW public.inner_ai AS TABLE public.ai")
    states = _as_view(
        live,
        f"SELECT {_AI_COLUMNS} FROM public.inner_ai AS a INNER JOIN public.good USING (listing_id)",
    )
    assert {"public.ai", "public.good", "the query of public.inner_ai"} <= states.keys()
    live.run("tuesday")
    assert live.run("wednesday") == set()

    live.execute("INSERT INTO public.good VALUES (2)")
    assert live.run("thursday") == {E_AI}
    live.execute("UPDATE public.ai SET can_ship = false")
    assert live.run("friday") == {E_AI}


def test_a_source_that_asks_the_time_always_counts_as_changed(
    live: Live, caplog: pytest.LogCaptureFixture
) -> None:
    live.execute(f"CREATE TABLE public.ai AS TABLE {AI}")
    _as_view(live, f"SELECT {_AI_COLUMNS} FROM public.ai AS a WHERE updated_at < now()")
    live.run("tuesday")

    with caplog.at_level(logging.INFO, "feature_store.refresh.unchanged"):
        assert live.run("wednesday") == {E_AI}
    told = next(m for m in caplog.messages if "counts as changed" in m)
    assert "the query of iPhone.iphone_ai_enrich counts as changed: it calls now()" in told


def test_a_source_that_is_a_materialized_view_is_judged_by_its_own_rows(live: Live) -> None:
    live.execute(f"CREATE TABLE public.ai AS TABLE {AI}")
    live.execute("CREATE MATERIALIZED VIEW public.ai_kept AS SELECT *, now() AS at FROM public.ai")
    _as_view(live, f"SELECT {_AI_COLUMNS} FROM public.ai_kept AS a")
    live.run("tuesday")

    live.execute("UPDATE public.ai SET can_ship = false")
    assert live.run("wednesday") == set()
    live.execute("REFRESH MATERIALIZED VIEW public.ai_kept")
    assert live.run("thursday") == {E_AI}


def test_a_child_table_that_is_dropped_counts_as_a_change(live: Live) -> None:
    live.execute(f"CREATE TABLE public.more () INHERITS ({AI})")
    assert live.run("tuesday") == {E_AI}
    assert live.run("wednesday") == set()
    live.execute("DROP TABLE public.more")

    assert live.run("thursday") == {E_AI}


def test_a_table_below_that_we_may_not_read_counts_as_changed(
    live: Live, new_role: Callable[[], str]
) -> None:
    """The view's owner may read it, so a refresh works; but we cannot tell the table's state."""
    live.execute(f"CREATE TABLE public.ai AS TABLE {AI}")
    _as_view(live, f"SELECT {_AI_COLUMNS} FROM public.ai AS a")
    role = new_role()
    live.execute(f'GRANT USAGE ON SCHEMA ml, feature_store, "iPhone", public TO {role}')
    live.execute(f'GRANT SELECT ON ALL TABLES IN SCHEMA ml, "iPhone" TO {role}')
    with live.open(role) as session:
        inputs = read_inputs(session, live.files.find(E_AI), "UTC", {})

    assert inputs is not None
    (told,) = [one for one in inputs.all if one.name == "public.ai"]
    assert (told.state, told.doubt) == (None, f"{role} may not read it")


def test_a_table_whose_policies_apply_to_the_owner_of_the_view_counts_as_changed(
    live: Live, new_role: Callable[[], str]
) -> None:
    """Our session sees all rows; the refresh has the owner's privileges and does not."""
    live.execute(f"ALTER TABLE {AI} ENABLE ROW LEVEL SECURITY")
    assert live.inputs(E_AI).states["iPhone.iphone_ai_enrich"] is not None
    live.execute(f"ALTER MATERIALIZED VIEW {E_AI} OWNER TO {new_role()}")

    assert live.inputs(E_AI).states["iPhone.iphone_ai_enrich"] is None


def test_one_refresh_after_a_backfill_was_asked_for_serves_all_its_runs(live: Live) -> None:
    asked = live.ask()
    every = {str(r.name) for r in live.files.refreshed}
    live.execute(f"UPDATE {LISTINGS} SET price = price + 1")
    live.execute(f"UPDATE {AI} SET can_ship = false")
    live.execute(f"UPDATE {IMAGES} SET body_color_key_main = 'gold'")

    assert live.run("backfill of day 1", asked) == every
    live.execute(f"UPDATE {LISTINGS} SET price = price + 1")
    assert live.run("backfill of day 2", asked) == set()
    assert "refreshed by run backfill of day 1 after the backfill was asked for" in live.reasons(
        "backfill of day 2"
    )
    assert live.run("wednesday") >= READS_LISTINGS


def test_a_backfill_does_not_use_what_was_refreshed_before_it_was_asked_for(live: Live) -> None:
    live.execute(f"UPDATE {LISTINGS} SET price = price + 1")

    assert live.run("backfill", live.ask()) >= READS_LISTINGS


def test_a_backfill_uses_no_layer_older_than_what_it_reads(live: Live) -> None:
    asked = live.ask()
    live.execute(f"UPDATE {LISTINGS} SET price = price + 1")
    live.run("backfill of day 1", asked)
    live.execute(f"UPDATE {LISTINGS} SET price = price + 1")
    live.refresh(A, "backfill of day 2")

    refreshed = live.run("backfill of day 2", asked)

    assert {B, C, E} <= refreshed
    assert {A, D1, D2, D3}.isdisjoint(refreshed)


def test_a_backfill_uses_nothing_above_a_layer_that_was_refreshed_out_of_order(live: Live) -> None:
    """Every layer was refreshed since, but E from an older A than there is now."""
    asked = live.ask()
    live.execute(f"UPDATE {LISTINGS} SET price = price + 1")
    live.run("backfill of day 1", asked)
    live.execute(f"UPDATE {LISTINGS} SET price = price + 1")
    assert live.reusable(E_CLEAN, asked=asked) is not None
    live.refresh(A, "backfill of day 2")

    assert live.reusable(E_CLEAN, asked=asked) is None


def test_a_query_that_is_replaced_during_a_backfill_is_not_served_by_what_was_before(
    live: Live,
) -> None:
    asked = live.ask()
    live.execute(f"UPDATE {LISTINGS} SET price = price + 1")
    live.run("backfill of day 1", asked)
    query = live.execute("SELECT pg_get_viewdef('ml.spam_token_v1'::regclass)").fetchone()[0]
    live.execute(f"CREATE OR REPLACE VIEW ml.spam_token_v1 AS {query}")

    assert live.run("backfill of day 2", asked) == {E_CLEAN}


def test_a_backfill_uses_nothing_whose_layers_below_are_from_before_it(live: Live) -> None:
    """E was refreshed since, but the layers below were not, so it cannot have the late rows."""
    asked = live.ask()
    live.execute(f"UPDATE {LISTINGS} SET price = price + 1")
    live.refresh(E, "backfill of day 1")
    live.refresh(E_CLEAN, "backfill of day 1")
    live.execute(f"UPDATE {LISTINGS} SET price = price + 1")

    assert live.reusable(E_CLEAN, asked=asked) is None


def test_a_source_whose_state_cannot_be_told_does_not_keep_a_backfill_from_reuse(
    live: Live,
) -> None:
    live.execute(f"CREATE TABLE public.ai AS TABLE {AI}")
    asked = live.ask()
    _as_view(live, f"SELECT {_AI_COLUMNS} FROM public.ai AS a WHERE updated_at < now()")
    live.execute(f"UPDATE {LISTINGS} SET price = price + 1")
    live.execute(f"UPDATE {IMAGES} SET body_color_key_main = 'gold'")
    live.run("backfill of day 1", asked)

    assert live.run("backfill of day 2", asked) == set()


def test_a_layer_that_was_used_again_counts_as_done_by_the_run(
    live: Live, settings: Settings
) -> None:
    live.lease("tuesday")
    assert len(live.unrefreshed(settings)) == len(live.files.refreshed)
    live.run("tuesday")
    assert live.unrefreshed(settings) == []


def test_a_layer_that_was_used_again_and_refreshed_since_does_not(
    live: Live, settings: Settings
) -> None:
    live.run("tuesday")
    live.refresh(E_AI, "wednesday")
    live.lease("tuesday")

    assert live.unrefreshed(settings) == [E_AI]


def test_a_run_that_has_lost_the_lease_records_nothing(live: Live) -> None:
    old = live.lease("tuesday")
    live.lease("wednesday")

    with pytest.raises(LeaseTaken):
        record_reuse(live.session, old, live.files.find(A), live.reusable(A))
    assert live.reasons("tuesday") == set()


def test_the_database_finds_the_queries_of_a_refresh_by_the_words_of_the_record(
    store_db: Database,
) -> None:
    """They are part of the key, and the key is all that the record has."""
    source = store_db.value("SELECT prosrc FROM pg_proc WHERE proname = 'unproven'")
    assert f"substr(i.key, length('{QUERY_OF}') + 1) AS name" in source
    assert f"WHERE i.key LIKE '{QUERY_OF}%'" in source


def _latest(live: Live, relation: str) -> int:
    return live.session.execute(
        "SELECT refresh_id FROM feature_store_audit.latest_refresh WHERE relation = %s", (relation,)
    ).fetchone()[0]


def _since(run: str) -> str:
    return f"unchanged since run {run}"

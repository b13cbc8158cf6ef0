"""What was certified must be under its name, and be read as it was: views, tables below, labels."""

from __future__ import annotations

from contextlib import contextmanager

import psycopg
import pytest

from feature_store.declarations.feature_sets import read_feature_sets
from feature_store.errors import NotReady
from feature_store.schema.apply import apply
from feature_store.schema.audit_migrations import migrate, read_migrations
from feature_store.schema.readiness import check_logs
from feature_store.schema.stamps.contract_stamp import stamp
from tests.conftest import WRITABLE_RECORD
from tests.feature_store.refresh.certified import CertifiedNights
from tests.relations import E_AI, F1, F3, B, C, E

_TOM, _DEVICE = "tom_features_v1", "iphone_device_meta_encoded_v2_model"
_IMAGES = "feature_store.device_image_features_unified_v1"
_VIEW = f"feature_log.{_TOM}_training"
_VERDICTS = "feature_store_audit.verdict_log"
# What a verdict of before this was certified had of the queries.
_AS_BEFORE = (
    "jsonb_object_agg(q.key, q.value) FILTER (WHERE q.key NOT LIKE 'the % of %' "
    "AND q.key NOT LIKE 'feature_log.%')"
)


@pytest.fixture
def nights(scratch, store_files, settings):
    return CertifiedNights(scratch, store_files, settings)


@pytest.fixture
def monday(nights):
    nights.good("monday")
    return nights


def _another_training_view(nights):
    query = nights.database.value(f"SELECT pg_get_viewdef('{_VIEW}'::regclass)")
    was = "label_0.sold_event"
    assert was in query
    query = query.replace(was, f"NOT {was} AS sold_event")
    nights.database.run(f"CREATE OR REPLACE VIEW {_VIEW} AS {query}")


def _of_before(nights) -> None:
    """As if the last run had been certified, and its suites checked, before this was recorded."""
    for table in (_VERDICTS, "feature_store_audit.suite_log"):
        nights.database.run(
            f"UPDATE {table} AS t SET queries = "
            f"(SELECT {_AS_BEFORE} FROM jsonb_each(t.queries) AS q) WHERE t.queries IS NOT NULL"
        )


class TestTheTrainingView:
    def test_with_another_query_its_set_is_refused_until_it_is_as_certified(self, monday):
        query = monday.database.value(f"SELECT pg_get_viewdef('{_VIEW}'::regclass)")
        _another_training_view(monday)
        told = f"NOT CERTIFIED: {_VIEW} has another query than the one that was certified"
        assert monday.refusal(_TOM) == told
        assert monday.required(_DEVICE)
        monday.database.run(f"CREATE OR REPLACE VIEW {_VIEW} AS {query}")
        assert monday.required(_TOM)

    def test_with_columns_that_changed_places_its_set_is_refused(self, monday):
        rename = f"ALTER VIEW {_VIEW} RENAME COLUMN"
        monday.database.run(
            f"{rename} price TO x", f"{rename} storage_gb TO price", f"{rename} x TO storage_gb"
        )
        assert f"{_VIEW} has another query" in monday.refusal(_TOM)

    @pytest.mark.parametrize(
        "made", ["TABLE {} (LIKE old.x)", "VIEW {} AS TABLE old.x"], ids=["table", "view"]
    )
    def test_with_another_relation_in_its_place_its_set_is_refused(self, monday, made):
        monday.database.run(
            f"CREATE SCHEMA old; ALTER VIEW {_VIEW} RENAME TO x; ALTER VIEW feature_log.x "
            "SET SCHEMA old; CREATE " + made.format(_VIEW)
        )
        assert monday.refusal(_TOM).startswith(f"NOT CERTIFIED: {_VIEW} ")
        assert monday.required(_DEVICE)

    def test_that_reads_no_certified_relation_any_more_its_set_is_refused(self, monday):
        columns = monday.database.value(
            "SELECT string_agg(format('NULL::%%s AS %%I', format_type(atttypid, atttypmod), "
            "attname), ', ' ORDER BY attnum) FROM pg_attribute "
            f"WHERE attrelid = '{_VIEW}'::regclass AND attnum > %s",
            0,
        )
        monday.database.run(f"CREATE OR REPLACE VIEW {_VIEW} AS SELECT {columns}")
        assert f"{_VIEW} reads no materialized view of the store" in monday.refusal(_TOM)

    def test_replaced_after_the_suites_is_not_certified(self, nights):
        lease = nights.begin("monday")
        nights.refreshed(lease)
        nights.checked(lease)
        _another_training_view(nights)
        with pytest.raises(NotReady) as refused:
            nights.certify(lease)
        told = f"The suite as_of_counts was checked while {_VIEW} had another query than now."
        assert told in refused.value.problem

    def test_replaced_before_the_suites_is_told_by_the_verdict_as_by_prepare(
        self, nights, settings
    ):
        sets = read_feature_sets(settings.include_dir)
        check_logs(nights.database.connection, sets)
        _another_training_view(nights)
        with pytest.raises(NotReady, match="is not as a stamp makes it") as refused:
            check_logs(nights.database.connection, sets)
        assert f"bin/feature-store stamp-contract {_TOM}" in refused.value.problem

    def test_of_a_set_that_was_stamped_since_is_let_pass(self, monday, settings):
        """Its relation and labels were certified; no run can have seen the view."""
        monday.database.run(f"DROP VIEW {_VIEW}")
        monday.database.run(f"UPDATE {_VERDICTS} SET queries = queries - '{_VIEW}'")
        (tom,) = [s for s in read_feature_sets(settings.include_dir) if s.name == _TOM]
        stamp(monday.database.connection, tom, replace=False)
        assert monday.required(_TOM)


class TestTheBinding:
    """Which relation carries a set is certified: flagged rows are in other relations."""

    def _bind(self, nights, relation):
        nights.database.run(
            f"UPDATE ml.feature_set_binding SET relation_name = '{relation}' "
            f"WHERE set_id = (SELECT set_id FROM ml.feature_set WHERE name = '{_TOM}')"
        )

    @pytest.mark.parametrize("relation", [E, E.upper()], ids=["as it is named", "folded"])
    def test_to_another_certified_relation_refuses_the_set_until_it_is_stamped(
        self, monday, settings, relation
    ):
        was = monday.database.value(
            f"SELECT relation_name FROM ml.feature_set_binding AS b "
            f"INNER JOIN ml.feature_set AS s USING (set_id) WHERE s.name = '{_TOM}'"
        )
        self._bind(monday, relation)
        assert monday.refusal(_TOM) == (
            f"NOT CERTIFIED: {_TOM} is bound to {relation}, but was certified bound to {was}"
        )
        hint = f"bin/feature-store stamp-contract {_TOM} binds it as its file says"
        with (
            pytest.raises(psycopg.Error, match=hint),
            monday.database.connection.transaction(),
        ):
            monday.required(_TOM)
        assert monday.required(_DEVICE)
        (tom,) = [s for s in read_feature_sets(settings.include_dir) if s.name == _TOM]
        stamp(monday.database.connection, tom, replace=False)
        assert monday.required(_TOM)

    def test_certificates_of_before_this_was_recorded_still_hold(self, monday):
        _of_before(monday)
        assert monday.required(_TOM)
        assert monday.required(_DEVICE)

    def test_of_a_set_that_was_stamped_since_is_let_pass(self, monday):
        """Its relation was certified; no run can have seen the set."""
        monday.database.run(f"UPDATE {_VERDICTS} SET queries = queries - 'the binding of {_TOM}'")
        assert monday.required(_TOM)

    def test_changed_after_the_suites_is_not_certified(self, nights):
        lease = nights.begin("monday")
        nights.refreshed(lease)
        nights.checked(lease)
        self._bind(nights, E)
        with pytest.raises(NotReady) as refused:
            nights.certify(lease)
        told = f"The suite as_of_counts was checked before the binding of {_TOM} changed."
        assert told in refused.value.problem

    def test_is_certified_anew_by_the_next_run(self, monday):
        """As when a file of the contract names another relation, and was stamped."""
        self._bind(monday, E)
        monday.good("tuesday")
        assert monday.required(_TOM)

    def test_another_set_may_be_made_the_active_one(self, monday):
        monday.database.run(
            "UPDATE ml.feature_set_current SET set_id = "
            f"(SELECT set_id FROM ml.feature_set WHERE name = '{_DEVICE}')"
        )
        assert monday.required(_TOM)
        assert monday.required(_DEVICE)

    def test_without_a_registry_there_is_none(self, scratch):
        tables = "feature_set_binding, feature_set_current, feature_contract, feature_set"
        names = ", ".join(f"ml.{name}" for name in tables.split(", "))
        with scratch.connection.transaction(force_rollback=True):
            scratch.run(f"DROP TABLE {names} CASCADE")
            assert scratch.rows("SELECT * FROM feature_store_audit.binding()") == []


class TestWhatLostItsName:
    """Everything that reads it, by its name or by what was renamed, is refused."""

    @contextmanager
    def renamed(self, nights, relation, *then):
        name = relation.partition(".")[2]
        nights.database.run(
            f"ALTER MATERIALIZED VIEW {relation} RENAME TO old",
            *(statement.format(relation) for statement in then),
        )
        yield
        nights.database.run(
            *(f"DROP {statement.split()[1]} {relation}" for statement in then),
            f"ALTER MATERIALIZED VIEW ml.old RENAME TO {name}",
        )

    @pytest.mark.parametrize("before", [False, True], ids=["certified now", "certified before"])
    @pytest.mark.parametrize(
        "then",
        [(), ("CREATE TABLE {} (LIKE ml.old)",), ("CREATE VIEW {} AS TABLE ml.old",)],
        ids=["nothing", "table", "view"],
    )
    @pytest.mark.parametrize("relation", [B, C])
    def test_labels_are_refused_whatever_is_in_their_place(self, monday, relation, then, before):
        if before:
            _of_before(monday)
        with self.renamed(monday, relation, *then):
            told = f"NOT CERTIFIED: {relation} is not the materialized view that was certified"
            assert monday.refusal(_TOM) == told
            assert monday.refusal(_DEVICE) == told
        assert monday.required(_TOM)
        assert monday.required(_DEVICE)

    @pytest.mark.parametrize("before", [False, True], ids=["certified now", "certified before"])
    def test_t0_is_refused_with_every_set_that_reads_it(self, monday, before):
        if before:
            _of_before(monday)
        with self.renamed(monday, E_AI, "CREATE TABLE {} (LIKE ml.old)"):
            told = f"{E_AI} is not the materialized view that was certified"
            assert told in monday.refusal(_DEVICE)
        with self.renamed(monday, E_AI):
            assert f"{E_AI} does not exist" in monday.refusal(_DEVICE)
        assert monday.required(_DEVICE)

    def test_a_view_of_yours_on_certified_rows_carries_no_set(self, monday):
        """Nobody has proven what its query makes of them."""
        monday.database.run(
            f"CREATE VIEW ml.dearer AS SELECT e.*, e.price + 1000 AS dear FROM {E_AI} AS e",
            "UPDATE ml.feature_set_binding SET relation_name = 'ml.dearer' "
            f"WHERE set_id = (SELECT set_id FROM ml.feature_set WHERE name = '{_TOM}')",
        )
        assert "tom_features_v1 is bound to ml.dearer" in monday.refusal(_TOM)
        _of_before(monday)
        assert monday.refusal(_TOM) == "NOT CERTIFIED: ml.dearer is no relation of the store"
        assert monday.required(_DEVICE)

    def test_a_table_of_yours_with_t0_needs_no_certificate(self, monday):
        monday.database.run(
            "CREATE TABLE ml.mine (listing_id bigint, t0 timestamptz)",
            "UPDATE feature_store_audit.feature_log SET t0_relation = 'ml.mine', t0_column = 't0'",
        )
        assert monday.required(_DEVICE)

    def test_what_was_a_materialized_view_once_and_is_a_plain_one_now_is_let_pass(self, nights):
        nights.good("sunday")
        nights.database.run(
            "INSERT INTO feature_store_audit.certification_log "
            "(relation, refresh_id, file_node, dag_id, run_id, as_of_day, certified_at) "
            f"SELECT '{F3}', refresh_id, 1, dag_id, run_id, as_of_day, certified_at "
            f"FROM feature_store_audit.certified WHERE relation = '{C}'"
        )
        assert f"{F3} is not the materialized view" in nights.refusal(_DEVICE)
        nights.good("monday")
        assert nights.required(_DEVICE)


class TestWhatALiveViewReads:
    @pytest.mark.parametrize(
        ("what", "change", "back"),
        [
            (
                f"the heirs of {_IMAGES}",
                f"CREATE TABLE ml.more () INHERITS ({_IMAGES})",
                "DROP TABLE ml.more",
            ),
            (
                f"the row-level security of {_IMAGES}",
                f"ALTER TABLE {_IMAGES} ENABLE ROW LEVEL SECURITY",
                f"ALTER TABLE {_IMAGES} DISABLE ROW LEVEL SECURITY",
            ),
            (
                f"the options of {F1}",
                f"ALTER VIEW {F1} SET (security_invoker = true)",
                f"ALTER VIEW {F1} RESET (security_invoker)",
            ),
            (
                f"the owner of {F1}",
                f"ALTER VIEW {F1} OWNER TO pg_monitor",
                f"ALTER VIEW {F1} OWNER TO CURRENT_USER",
            ),
        ],
    )
    def test_changed_its_set_is_refused_until_it_is_put_back_and_no_other(
        self, monday, what, change, back
    ):
        owner = monday.database.value(
            f"SELECT relowner::regrole::text FROM pg_class WHERE oid = '{F1}'::regclass"
        )
        monday.database.run(change)
        assert monday.refusal(_DEVICE) == (
            f"NOT CERTIFIED: {what} changed since the store was certified"
        )
        assert monday.required(_TOM)
        monday.database.run(back.replace("CURRENT_USER", owner))
        assert monday.required(_DEVICE)

    def test_changed_after_the_suites_is_not_certified(self, nights):
        lease = nights.begin("monday")
        nights.refreshed(lease)
        nights.checked(lease)
        nights.database.run(f"CREATE TABLE ml.more () INHERITS ({_IMAGES})")
        with pytest.raises(NotReady) as refused:
            nights.certify(lease)
        told = f"The suite as_of_counts was checked before the heirs of {_IMAGES} changed."
        assert told in refused.value.problem

    def test_changed_where_only_a_refresh_reads_it_hinders_no_verdict(self, nights):
        """A helper view of E-clean reads the listings; its readers have the rows that it left."""
        lease = nights.begin("monday")
        nights.refreshed(lease)
        nights.checked(lease)
        nights.database.run('CREATE TABLE ml.more () INHERITS ("iPhone".iphone_listings)')
        nights.certify(lease)
        nights.database.run("CREATE TABLE ml.most () INHERITS (ml.more)")
        assert nights.required(_TOM)
        assert nights.required(_DEVICE)

    def test_certified_with_an_heir_it_is_read_with_it(self, nights):
        nights.database.run(f"CREATE TABLE ml.more () INHERITS ({_IMAGES})")
        nights.good("monday")
        assert nights.required(_DEVICE)
        nights.database.run("CREATE TABLE ml.most () INHERITS (ml.more)")
        assert f"the heirs of {_IMAGES} changed" in nights.refusal(_DEVICE)

    def test_a_function_of_yours_that_it_calls_is_what_it_was(self, nights):
        """Whoever replaces it changes the view's rows, and neither its query nor its tables."""
        make = "CREATE OR REPLACE FUNCTION public.vouched() RETURNS int LANGUAGE sql AS 'SELECT {}'"
        query = nights.database.value(f"SELECT pg_get_viewdef('{F1}'::regclass)").rstrip("; ")
        nights.database.run(
            make.format(1),
            "CREATE OR REPLACE FUNCTION public.same(int, int) RETURNS bool LANGUAGE sql "
            "BEGIN ATOMIC SELECT $1 = $2 AND public.vouched() = 1; END",
            "CREATE OPERATOR public.=== (LEFTARG = int, RIGHTARG = int, FUNCTION = public.same)",
            f"CREATE OR REPLACE VIEW {F1} AS "
            f"SELECT * FROM ({query}) AS w WHERE 1 OPERATOR(public.===) 1",
        )
        nights.good("monday")
        nights.database.run(make.format(2))
        told = f"NOT CERTIFIED: the functions of {F1} changed since the store was certified"
        assert nights.refusal(_DEVICE) == told
        assert nights.required(_TOM)
        nights.database.run(make.format(1))
        assert nights.required(_DEVICE)

    def test_partitions_come_and_go(self, sources_db, store_files, settings):
        sources_db.run(
            f"ALTER TABLE {_IMAGES} RENAME TO old",
            f"CREATE TABLE {_IMAGES} (LIKE feature_store.old) PARTITION BY RANGE (listing_id)",
            f"CREATE TABLE feature_store.low PARTITION OF {_IMAGES} FOR VALUES FROM (0) TO (9)",
        )
        apply(sources_db.connection, store_files, settings)
        sources_db.run(WRITABLE_RECORD.read_text())
        nights = CertifiedNights(sources_db, store_files, settings)
        nights.good("monday")
        sources_db.run(
            f"CREATE TABLE feature_store.more PARTITION OF {_IMAGES} FOR VALUES FROM (9) TO (10)"
        )
        assert nights.required(_DEVICE)
        sources_db.run("DROP TABLE feature_store.low", "ALTER TABLE feature_store.more RENAME TO x")
        assert nights.required(_DEVICE)


class TestAStoreThatWasCertifiedBefore:
    def test_its_readers_are_let_through_until_the_next_night_records_more(
        self, sources_db, store_files, settings, monkeypatch
    ):
        """By the steps themselves: the last is applied to a store that a run has certified."""
        steps = read_migrations()
        (last,) = [n for n, step in enumerate(steps) if step.name == "certified_in_place"]
        for module in ("audit_migrations", "planning.plan"):
            monkeypatch.setattr(
                f"feature_store.schema.{module}.read_migrations", lambda: steps[:last]
            )
        apply(sources_db.connection, store_files, settings)
        sources_db.run(WRITABLE_RECORD.read_text())
        nights = CertifiedNights(sources_db, store_files, settings)
        nights.good("monday")
        old = nights.database.value(f"SELECT queries FROM {_VERDICTS}")
        assert F1 in old
        assert _VIEW not in old
        migrate(sources_db.connection, steps[last:])
        assert nights.required(_TOM) == nights.required(_DEVICE) == ("2026-06-30", "monday")
        nights.database.run(f"CREATE TABLE ml.more () INHERITS ({_IMAGES})")
        _another_training_view(nights)
        assert nights.required(_TOM) == nights.required(_DEVICE) == ("2026-06-30", "monday")
        nights.good("tuesday")
        new = nights.database.value(f"SELECT queries FROM {_VERDICTS} ORDER BY event_id DESC")
        assert old.items() <= new.items()
        assert {_VIEW, f"the heirs of {_IMAGES}", f"the owner of {F1}"} <= new.keys()
        nights.database.run("DROP TABLE ml.more")
        assert "the heirs of" in nights.refusal(_DEVICE)

    def test_a_run_whose_suites_checked_before_may_still_certify(self, nights):
        lease = nights.begin("monday")
        nights.refreshed(lease)
        nights.checked(lease)
        _of_before(nights)
        nights.certify(lease)
        assert nights.required(_TOM)

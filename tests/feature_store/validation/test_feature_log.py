"""Feature logs: what was served is kept as it was certified, for ever, and proven to be so."""

from __future__ import annotations

import threading
from dataclasses import replace

import psycopg
import pytest

from feature_store.audit.lease import RunKey, release_lease
from feature_store.client import read_features
from feature_store.declarations.feature_sets import logged_sets
from feature_store.declarations.served import Column, Served
from feature_store.errors import BadInput, LogBroken, NotReady
from feature_store.relation_name import Name
from feature_store.reporting.page.features.feature_profile import read_feature_profile
from feature_store.reporting.served import read_entity
from feature_store.reporting.store.store_files import read_files
from feature_store.schema.apply import apply
from feature_store.schema.feature_logs.feature_log import log_problems
from feature_store.schema.planning.plan import make_plan
from feature_store.schema.stamps.contract_stamp import stamp
from feature_store.validation.certification import certified_in_words, keep_broken_logs
from sandbox.roles import OWNER, PAGE, READER, as_role
from tests.feature_store.conftest import Database
from tests.feature_store.refresh.certified import CertifiedNights
from tests.relations import E_AI as _E_AI
from tests.relations import F3 as _F3

_TOM, _DEVICE = "tom_features_v1", "iphone_device_meta_encoded_v2_model"
_SETS = (_TOM, _DEVICE)
_LOG = f"feature_log.{_TOM}"


@pytest.fixture(scope="module")
def monday(server, filled_template, store_files, settings):
    """The name of a database to copy: a store after its first night."""
    database = Database(server.create_database("monday", filled_template), settings)
    night(CertifiedNights(database, store_files, settings), "monday", certify=False)
    database.close()
    yield "monday"
    server.drop_database("monday")


@pytest.fixture
def nights(server, monday, store_files, settings):
    """Nights over a store with rows in its sources, of which the first is not certified yet."""
    database = Database(server.create_database("served", monday), settings)
    yield CertifiedNights(database, store_files, settings)
    database.close()
    server.drop_database("served")


def night(nights, run_id, *, certify=True, unchanged=False, day="2026-06-30"):
    """Refresh, check and certify everything; only the suites' results are written by hand."""
    lease = nights.begin(run_id, day)
    if unchanged:
        nights.database.run(
            "INSERT INTO feature_store_audit.reuse_log "
            "(dag_id, run_id, relation, refresh_id, reason) SELECT dag_id, "
            f"'{run_id}', relation, refresh_id, 'x' FROM feature_store_audit.latest_refresh"
        )
    else:
        nights.refresh(lease)
    nights.checked(lease)
    if certify:
        nights.certify(lease, *_SETS)
    return lease


def certify_monday(nights, *, certify=True):
    """Check the first night's rows, and certify them."""
    lease = nights.begin("monday")
    nights.checked(lease)
    if certify:
        nights.certify(lease, *_SETS)
    return lease


def everything(nights, log=_LOG):
    return nights.database.rows(f"SELECT l::text FROM {log} AS l ORDER BY 1")


def new_listing(nights, listing):
    """Add a listing for the next night, like one that is there."""
    nights.database.run(
        'CREATE TEMPORARY TABLE one AS SELECT l.* FROM "iPhone".iphone_listings AS l '
        f"INNER JOIN {_E_AI} AS e USING (listing_id) LIMIT 1",
        f"UPDATE one SET listing_id = {listing}",
        'INSERT INTO "iPhone".iphone_listings SELECT * FROM one',
        "DROP TABLE one",
    )


def test_what_is_certified_is_logged_with_its_lag_and_run_and_contract(nights):
    certify_monday(nights)
    for name, relation in ((_TOM, _E_AI), (_DEVICE, _F3)):
        assert nights.database.value(f"SELECT count(*) FROM feature_log.{name}") == (
            nights.database.value(f"SELECT count(*) FROM {relation}")
        )
    (row,) = nights.database.rows(
        "SELECT DISTINCT l.served_after = l.served_at - l.t0, l.served_after > '0', l.t0 = "
        f"e.edited_date, l.as_of_day::text, l.run_id, l.contract_hash = s.features_hash "
        f"FROM {_LOG} AS l INNER JOIN {_E_AI} AS e USING (listing_id) "
        f"INNER JOIN ml.feature_set AS s ON s.name = '{_TOM}' WHERE l.t0 IS NOT NULL"
    )
    assert row == (True, True, True, "2026-06-30", "monday", True)
    without_t0 = f"SELECT count(served_after) FROM {_LOG} WHERE t0 IS NULL"
    assert nights.database.value(without_t0) == 0


def test_a_row_without_an_entity_is_not_logged_and_keeps_nobody_from_certifying_and_reading(nights):
    """In a store of which no guard refuses it."""
    unguarded = tuple(replace(relation, guards=()) for relation in nights.store.relations)
    nights.store = replace(nights.store, relations=unguarded)
    nights.database.run(
        'CREATE TEMPORARY TABLE one AS SELECT * FROM "iPhone".iphone_listings LIMIT 1',
        "UPDATE one SET listing_id = NULL, spam = NULL",
        'ALTER TABLE "iPhone".iphone_listings ALTER COLUMN listing_id DROP NOT NULL',
        'INSERT INTO "iPhone".iphone_listings SELECT * FROM one',
    )
    night(nights, "tuesday")
    without = nights.database.value(f"SELECT count(*) FROM {_E_AI} WHERE listing_id IS NULL")
    logged = nights.database.value(f"SELECT count(*) FROM {_LOG}")
    assert without == 1
    assert logged == nights.database.value(f"SELECT count(listing_id) FROM {_E_AI}")
    assert len(read_features(nights.database.conninfo, _TOM, max_age="1 day")) == logged


def test_later_nights_add_new_listings_and_change_nothing(nights):
    certify_monday(nights)
    before = everything(nights)
    nights.database.run('UPDATE "iPhone".iphone_listings SET battery_pct_fixed_ai = 50')
    new_listing(nights, 987_654)
    night(nights, "tuesday")
    after = everything(nights)
    assert set(before) < set(after)
    assert nights.database.rows(f"SELECT listing_id FROM {_LOG} WHERE run_id = 'tuesday'") == [
        (987_654,)
    ]
    night(nights, "tuesday", unchanged=True)  # run again: no second row, none changed
    assert everything(nights) == after


def test_a_run_that_fails_after_it_logged_leaves_nothing(nights):
    lease = certify_monday(nights, certify=False)
    with nights.database.connection.transaction(force_rollback=True):
        nights.certify(lease, *_SETS)
    assert everything(nights) == []
    assert nights.database.value("SELECT count(*) FROM feature_store_audit.seal_log") == 0


def test_what_cannot_be_certified_is_not_logged(nights):
    lease = nights.begin("monday")
    nights.checked(lease, outcome="broken", relation=_E_AI)
    with pytest.raises(NotReady, match="critical findings") as refused:
        nights.certify(lease, *_SETS)
    assert not isinstance(refused.value, LogBroken)
    assert everything(nights) == []


def test_of_two_that_certify_at_once_the_second_logs_nothing_twice(nights, settings):
    lease = certify_monday(nights, certify=False)
    nights.certify(lease)
    relations = [str(r.name) for r in nights.store.refreshed]
    told = []

    def second():
        with nights.database.session() as other:
            told.append(
                other.execute(
                    "SELECT * FROM feature_store_audit.certify_and_log(%s, %s, %s)",
                    (lease.token, relations, list(_SETS)),
                ).fetchall()
            )

    with nights.database.connection.transaction():
        nights.database.run(
            "SELECT * FROM feature_store_audit.certify_and_log("
            f"{lease.token}, '{{{','.join(relations)}}}', '{{{','.join(_SETS)}}}')"
        )
        thread = threading.Thread(target=second)
        thread.start()
    thread.join()
    assert told == [[]]
    assert nights.database.value("SELECT count(DISTINCT serving) FROM feature_log." + _TOM) == 1


@pytest.mark.parametrize(
    ("by_hand", "says"),
    [
        (
            f"UPDATE {_LOG} SET price = price + 1 WHERE listing_id IN "
            f"(SELECT min(listing_id) FROM {_LOG})",
            "their values are not those that were",
        ),
        (
            f"DELETE FROM {_LOG} WHERE listing_id = (SELECT min(listing_id) FROM {_LOG})",
            "rows of run monday",
        ),
        (
            f"CREATE TEMPORARY TABLE one AS SELECT * FROM {_LOG} LIMIT 1; "
            f"UPDATE one SET listing_id = -1, serving = -1; INSERT INTO {_LOG} SELECT * FROM one",
            "1 rows that no run wrote",
        ),
        (f"TRUNCATE {_LOG}", "has 0 rows of run monday"),
        (f"UPDATE {_LOG} SET served_at = served_at - interval '1 day'", "not those that were"),
    ],
    ids=["changed", "deleted", "added", "emptied", "predated"],
)
def test_a_log_altered_by_hand_certifies_nothing_until_somebody_seals_it(nights, by_hand, says):
    certify_monday(nights)
    nights.database.run(by_hand)
    altered = everything(nights)
    lease = night(nights, "tuesday", certify=False, unchanged=True)
    with pytest.raises(LogBroken, match=says) as refused:
        nights.certify(lease, *_SETS)
    assert f"bin/feature-store seal-log {_TOM} --reason REASON" in str(refused.value)
    assert everything(nights) == altered
    assert nights.database.value("SELECT count(*) FROM feature_store_audit.certification_log") == (
        len(nights.store.refreshed)
    ), "those of monday, and none by asking whether the log alone is against it"
    nights.database.run(
        f"SELECT * FROM feature_store_audit.seal_anew('{_TOM}', 'ann', 'restored from a dump')"
    )
    nights.certify(lease, *_SETS)
    assert nights.database.rows(
        "SELECT DISTINCT by_whom, reason, fingerprint IS NULL OR row_count > 0 "
        "FROM feature_store_audit.seal_log WHERE by_whom IS NOT NULL"
    ) == [("ann", "restored from a dump", True)]


def test_a_log_that_a_run_found_broken_is_not_served_until_the_next_good_run(nights):
    lease = certify_monday(nights)
    nights.database.run(f"UPDATE {_LOG} SET price = price + 1")
    assert nights.required(_TOM), "no run has looked"
    keep_broken_logs(nights.database.connection, RunKey(lease.holder.dag_id, "tuesday"), _SETS)
    told = f"NOT CERTIFIED: the log of {_TOM} was found not as it was sealed by run tuesday"
    assert nights.refusal(_TOM) == told
    assert told.partition(": ")[2] in certified_in_words(nights.database.connection)
    assert nights.required(_DEVICE), "its log is whole"
    nights.database.run(f"SELECT * FROM feature_store_audit.seal_anew('{_TOM}', 'ann', 'meant')")
    assert nights.refusal(_TOM) == told, "no run has found it whole"
    night(nights, "wednesday", unchanged=True)
    assert nights.required(_TOM)


def test_of_logs_that_are_as_they_were_sealed_nothing_is_kept(nights):
    lease = certify_monday(nights)
    keep_broken_logs(nights.database.connection, lease.holder, _SETS)
    assert nights.database.rows("SELECT * FROM feature_store_audit.broken_log") == []


def test_a_value_written_later_into_a_column_that_came_later_is_found(nights, settings):
    certify_monday(nights)
    nights.database.run(f"ALTER TABLE {_LOG} ADD COLUMN later integer")
    lease = night(nights, "tuesday", certify=False, unchanged=True)
    nights.certify(lease, *_SETS)
    nights.database.run(f"UPDATE {_LOG} SET later = 1 WHERE run_id = 'monday'")
    with pytest.raises(NotReady, match="not those that were"):
        nights.certify(lease, *_SETS)


def test_the_fingerprint_is_the_same_whatever_the_client_speaks(nights):
    nights.database.run("UPDATE \"iPhone\".iphone_listings SET location_city = 'Tromsø'")
    night(nights, "monday")
    nights.database.run("SET client_encoding = 'LATIN1'")
    assert (
        nights.database.rows(f"SELECT * FROM feature_store_audit.broken_servings('{_TOM}')") == []
    )


def test_a_log_restored_from_a_dump_is_as_it_was_sealed(nights):
    certify_monday(nights)
    nights.database.run(
        f"CREATE TEMPORARY TABLE dump AS SELECT * FROM {_LOG}",
        f"TRUNCATE {_LOG}",
        f"INSERT INTO {_LOG} SELECT * FROM dump ORDER BY listing_id DESC",
    )
    night(nights, "tuesday", unchanged=True)


def test_rows_that_are_not_the_certified_ones_are_found(nights):
    """Whatever has changed them; here a trigger."""
    nights.database.run(
        "CREATE FUNCTION public.meddle() RETURNS trigger LANGUAGE plpgsql AS "
        "'BEGIN NEW.price := 1; RETURN NEW; END'",
        "GRANT EXECUTE ON FUNCTION public.meddle() TO public",
        f"CREATE TRIGGER meddle BEFORE INSERT ON {_LOG} FOR EACH ROW EXECUTE FUNCTION "
        "public.meddle()",
    )
    with pytest.raises(NotReady, match=r"hold what was certified: [1-9]\d* rows differ"):
        certify_monday(nights)
    assert everything(nights) == []


def test_a_clock_that_jumped_back_is_written_down_as_a_lag(nights):
    nights.database.run(
        "UPDATE \"iPhone\".iphone_listings SET edited_date = edited_date + interval '100 years'"
    )
    night(nights, "monday", day="2126-06-30")
    assert nights.database.value(f"SELECT bool_and(served_after < '0') FROM {_LOG}")
    new_listing(nights, 987_654)
    night(nights, "tuesday", day="2126-06-30")
    assert nights.database.value(
        f"SELECT max(serving) FILTER (WHERE run_id = 'monday') < min(serving) FILTER (WHERE run_id "
        f"= 'tuesday') FROM {_LOG}"
    ), "the order is the record's, not the clock's"


def test_a_listing_that_leaves_stays_in_the_log_and_the_training_view_says_so(nights):
    certify_monday(nights)
    listing = nights.database.value(f"SELECT min(listing_id) FROM {_LOG}")
    nights.database.run(f'DELETE FROM "iPhone".iphone_listings WHERE listing_id = {listing}')
    night(nights, "tuesday")
    view = f"feature_log.{_TOM}_training"
    assert nights.database.rows(f"SELECT still_listed, count(*) FROM {view} GROUP BY 1 ORDER BY 1")[
        0
    ] == (False, 1)
    assert nights.database.rows(
        f"SELECT still_listed, price IS NOT NULL, sold_event FROM {view} "
        f"WHERE listing_id = {listing}"
    ) == [(False, True, None)]
    assert (
        nights.database.value(
            f"SELECT count(*) FROM {view} AS v INNER JOIN ml.tom_train_base_v1_mv AS c "
            "USING (listing_id) WHERE v.sold_event = c.sold_event AND v.duration_hours = "
            "c.duration_hours"
        )
        > 100
    )


class TestErasure:
    """What the law says must be forgotten."""

    def _erase(self, nights, listing):
        return nights.database.value(
            f"SELECT feature_store_audit.erase_logged('{_TOM}', '{listing}', 'ann', 'art. 17')"
        )

    def test_it_takes_the_row_and_leaves_who_did_it_and_why(self, nights):
        certify_monday(nights)
        listing = nights.database.value(f"SELECT min(listing_id) FROM {_LOG}")
        nights.database.run(f'DELETE FROM "iPhone".iphone_listings WHERE listing_id = {listing}')
        night(nights, "tuesday")
        assert self._erase(nights, listing) == 1
        assert self._erase(nights, listing) == 0
        assert (
            nights.database.value(f"SELECT count(*) FROM {_LOG} WHERE listing_id = {listing}") == 0
        )
        night(nights, "wednesday", unchanged=True)

    def test_what_the_next_night_would_log_again_is_refused(self, nights):
        certify_monday(nights)
        listing = nights.database.value(f"SELECT min(listing_id) FROM {_LOG}")
        with pytest.raises(psycopg.Error, match=r"is in .* still, and the next run would log it"):
            self._erase(nights, listing)

    def test_it_does_not_cover_up_what_somebody_altered(self, nights):
        certify_monday(nights)
        listing = nights.database.value(f"SELECT min(listing_id) FROM {_LOG}")
        nights.database.run(f'DELETE FROM "iPhone".iphone_listings WHERE listing_id = {listing}')
        night(nights, "tuesday")
        nights.database.run(f"UPDATE {_LOG} SET price = 1")
        with pytest.raises(psycopg.Error, match="not those that were"):
            self._erase(nights, listing)


class TestTheLogFollowsTheContract:
    @pytest.fixture
    def tom(self, settings):
        return logged_sets(settings.include_dir)[_TOM]

    @pytest.fixture
    def owner(self, nights):
        """The owner's session, as new columns are added in production."""
        with psycopg.connect(as_role(nights.database.conninfo, OWNER), autocommit=True) as session:
            yield session

    def test_a_new_feature_is_a_column_without_a_value_before_its_time(self, nights, tom, owner):
        short = replace(
            tom,
            features=tom.features[:-1],
            other_columns=(*tom.other_columns, tom.features[-1].name),
        )
        for table in (_LOG + "_training", _LOG):
            kind = "VIEW" if table.endswith("training") else "TABLE"
            nights.database.run(f"DROP {kind} {table}")
        nights.database.run(
            f"DELETE FROM feature_store_audit.feature_log WHERE feature_set = '{_TOM}'"
        )
        stamp(owner, short, replace=True)
        certify_monday(nights)
        assert log_problems(nights.database.connection, [tom])
        stamp(owner, tom, replace=True)
        assert log_problems(nights.database.connection, [tom]) == []
        new_listing(nights, 987_654)
        night(nights, "tuesday")
        last = tom.features[-1].name
        assert nights.database.rows(
            f"SELECT DISTINCT run_id, {last} IS NULL, contract_hash = '{tom.hash}' "
            f"FROM {_LOG}_training ORDER BY 1"
        ) == [("monday", True, False), ("tuesday", False, True)]

    def test_a_feature_of_another_type_or_that_is_gone_is_refused_with_the_way_out(
        self, nights, tom, owner
    ):
        nights.database.run(
            f"DROP VIEW {_LOG}_training", f"ALTER TABLE {_LOG} ALTER COLUMN price TYPE text"
        )
        (problem,) = log_problems(nights.database.connection, [tom])
        assert problem == f"price was logged as text, but {_E_AI} has it as integer"
        with pytest.raises(BadInput, match="price was logged as text"):
            stamp(owner, tom, replace=True)
        gone = replace(
            tom,
            features=tom.features[:-1],
            other_columns=(*tom.other_columns, tom.features[-1].name),
        )
        with pytest.raises(BadInput) as refused:
            stamp(owner, gone, replace=True)
        assert f"{tom.features[-1].name} is in the log but is no longer a feature" in str(
            refused.value
        )
        assert "give the changed set a new name" in str(refused.value)

    def test_a_second_version_has_a_log_of_its_own(self, nights, tom, owner):
        certify_monday(nights)
        stamp(owner, replace(tom, name="tom_features_v2"), replace=False)
        lease = night(nights, "tuesday", certify=False, unchanged=True)
        nights.certify(lease, *_SETS, "tom_features_v2")
        assert nights.database.value("SELECT count(DISTINCT run_id) FROM feature_log." + _TOM) == 1
        assert nights.database.rows("SELECT DISTINCT run_id FROM feature_log.tom_features_v2") == [
            ("tuesday",)
        ]

    @pytest.fixture(params=["text::char(12)", "bigint::bit(64)"], ids=["char", "bit"])
    def coded(self, request, nights, tom):
        """A set whose entity has a type that means one letter or bit where no length is given."""
        nights.database.run(
            f"CREATE VIEW ml.coded AS SELECT e.listing_id::{request.param} AS code, e.* "
            f"FROM {_E_AI} AS e",
            f"GRANT SELECT ON ml.coded TO {OWNER}, {READER}",
            # A set is carried by a relation of the store.
            "INSERT INTO feature_store_audit.definition "
            "(object, file_definition, live_definition, dictionary) "
            "VALUES ('ml.coded', '', '', '')",
        )
        return replace(
            tom,
            name="coded",
            relation=Name("ml", "coded"),
            other_columns=(*tom.other_columns, "code"),
            served=Served("code", Column(Name("ml", "coded"), "edited_date"), ()),
        )

    def test_an_entity_of_a_type_with_a_length_is_logged_and_read_whole(self, nights, coded, owner):
        stamp(owner, coded, replace=False)
        lease = certify_monday(nights, certify=False)
        nights.certify(lease, *_SETS, "coded")
        assert nights.database.value("SELECT count(*) FROM feature_log.coded") == len(
            everything(nights)
        )
        (code,) = nights.database.rows("SELECT min(code::text) FROM feature_log.coded")[0]
        told = read_features(as_role(nights.database.conninfo, READER), "coded", [code])
        assert len(told) == 1
        assert f"code {code}, served" in read_entity(nights.database.connection, coded, code).words

    def test_a_feature_that_nobody_has_stamped_yet_is_shown_without_values(
        self, nights, tom, settings
    ):
        """Its file is there, the log's column and the relation's come later."""
        certify_monday(nights)
        (entity,) = nights.database.rows(f"SELECT min(listing_id)::text FROM {_LOG}")[0]
        to_come = replace(tom.features[-1], name="to_come", ordinal=len(tom.features) + 1)
        later = replace(tom, features=(*tom.features, to_come))
        connection = nights.database.connection
        told = read_entity(connection, later, entity).rows[-1]
        assert told == {"feature": "to_come", "served": None, "today": None, "differs": False}
        files = replace(read_files(settings.include_dir), feature_sets=(later,))
        shown = read_feature_profile(connection, settings, files, _TOM, "to_come", 90)
        assert shown.samples == []
        assert read_feature_profile(connection, settings, files, _TOM, "price", 90).samples

    def test_a_log_that_was_made_too_narrow_is_widened_by_the_next_stamp(
        self, nights, coded, owner
    ):
        stamp(owner, coded, replace=False)
        view = "feature_log.coded_training"
        query = nights.database.value(f"SELECT pg_get_viewdef('{view}'::regclass)")
        narrow = nights.database.value(
            "SELECT format_type(atttypid, NULL) FROM pg_attribute "
            "WHERE attrelid = 'feature_log.coded'::regclass AND attname = 'code'"
        )
        nights.database.run(
            f"DROP VIEW {view}",
            f"ALTER TABLE feature_log.coded ALTER COLUMN code TYPE {narrow}",
            f"CREATE VIEW {view} AS {query}",
            f"ALTER VIEW {view} OWNER TO {OWNER}",
        )
        (problem,) = log_problems(nights.database.connection, [coded])
        assert "takes only one letter or bit of code" in problem
        assert problem.endswith("Next: bin/feature-store stamp-contract coded")
        stamp(owner, coded, replace=False)
        lease = certify_monday(nights, certify=False)
        nights.certify(lease, *_SETS, "coded")
        assert nights.database.value(f"SELECT bool_and(still_listed) FROM {view}")
        assert log_problems(nights.database.connection, [coded]) == []

    def test_a_set_that_says_nothing_of_a_log_has_none(self, nights, tom, owner):
        silent = replace(tom, name="silent", served=None)
        stamp(owner, silent, replace=False)
        assert nights.database.value("SELECT to_regclass('feature_log.silent')") is None
        assert log_problems(nights.database.connection, [silent]) == []

    def test_a_log_that_the_file_says_nothing_of_any_more_is_missed(self, nights, tom, owner):
        silent = replace(tom, served=None)
        (problem,) = log_problems(nights.database.connection, [silent])
        assert "no longer names entity and t0" in problem
        with pytest.raises(BadInput, match="no longer names entity and t0"):
            stamp(owner, silent, replace=True)

    def test_a_training_view_that_went_with_what_it_reads_is_made_by_the_stamp(
        self, nights, tom, owner
    ):
        nights.database.run(f"DROP VIEW {_LOG}_training")
        (problem,) = log_problems(nights.database.connection, [tom])
        assert problem.endswith(f"Next: bin/feature-store stamp-contract {_TOM}")
        stamp(owner, tom, replace=False)
        assert log_problems(nights.database.connection, [tom]) == []

    def test_what_inherits_from_the_log_is_not_shown_and_stops_the_night(self, nights, tom):
        certify_monday(nights)
        before = nights.database.value(f"SELECT count(*) FROM {_LOG}_training")
        nights.database.run(
            f"CREATE TABLE public.more () INHERITS ({_LOG})",
            f"INSERT INTO public.more SELECT * FROM ONLY {_LOG} LIMIT 3",
        )
        assert nights.database.value(f"SELECT count(*) FROM {_LOG}_training") == before
        (problem,) = log_problems(nights.database.connection, [tom])
        assert problem.startswith(f"public.more inherits from {_LOG}: ")
        nights.database.run(problem.partition("Next: ")[2])
        assert log_problems(nights.database.connection, [tom]) == []

    @pytest.mark.parametrize(
        ("was", "made"),
        [
            ("l.price", "f.price"),
            ("l.price", "(l.price::smallint)::integer AS price"),
            ("ON l.listing_id = f.listing_id", "ON l.listing_id = f.listing_id + 1"),
            (";", " WHERE l.price > 0;"),
        ],
        ids=["today's value", "a value changed", "another row", "fewer rows"],
    )
    def test_a_training_view_that_somebody_changed_is_told_and_mended_by_the_stamp(
        self, nights, tom, owner, was, made
    ):
        query = nights.database.value(f"SELECT pg_get_viewdef('{_LOG}_training'::regclass, TRUE)")
        assert was in query
        nights.database.run(f"CREATE OR REPLACE VIEW {_LOG}_training AS {query.replace(was, made)}")
        (problem,) = log_problems(nights.database.connection, [tom])
        assert problem.startswith(f"The training view {_LOG}_training is not as a stamp makes it")
        assert problem.endswith(f"Next: bin/feature-store stamp-contract {_TOM}")
        stamp(owner, tom, replace=False)
        assert log_problems(nights.database.connection, [tom]) == []

    def test_a_training_view_in_sql_that_this_package_cannot_read_is_told(self, nights, tom):
        query = nights.database.value(f"SELECT pg_get_viewdef('{_LOG}_training'::regclass)")
        nights.database.run(
            f"CREATE OR REPLACE VIEW {_LOG}_training AS SELECT t.* FROM ({query.rstrip(';')}) AS t "
            "CROSS JOIN JSON_TABLE('[1]'::jsonb, '$[*]' COLUMNS (a integer PATH '$')) AS x",
        )
        assert "is not as a stamp makes it" in log_problems(nights.database.connection, [tom])[0]

    def test_a_table_in_the_place_of_the_training_view_is_told(self, nights, tom, owner):
        nights.database.run(
            f"ALTER VIEW {_LOG}_training RENAME TO old",
            f"CREATE TABLE {_LOG}_training AS TABLE feature_log.old",
            f"ALTER TABLE {_LOG}_training OWNER TO {OWNER}",
        )
        assert "is not as a stamp makes it" in log_problems(nights.database.connection, [tom])[0]
        with pytest.raises(NotReady, match="is no view"):
            stamp(owner, tom, replace=False)

    def test_a_training_view_of_an_earlier_version_stops_no_night_and_plan_tells(
        self, nights, tom, owner, settings
    ):
        """It reads what inherits from the log, too, but nothing does."""
        view = f"{_LOG}_training"
        query = nights.database.value(f"SELECT pg_get_viewdef('{view}'::regclass)")
        assert "FROM ((ONLY " in query
        nights.database.run(f"CREATE OR REPLACE VIEW {view} AS {query.replace('ONLY ', '', 1)}")
        assert log_problems(nights.database.connection, [tom]) == []
        for told in (True, False):
            plan = make_plan(nights.database.connection, nights.store, settings.include_dir)
            assert (f"bin/feature-store stamp-contract {_TOM}" in str(plan)) == told
            stamp(owner, tom, replace=False)

    def test_other_labels_make_the_training_view_anew(self, nights, tom, owner):
        fewer = replace(tom, served=replace(tom.served, labels=tom.served.labels[1:]))
        for one in (fewer, tom):
            stamp(owner, one, replace=True)
            assert log_problems(nights.database.connection, [one]) == []
            shown = nights.database.value(
                "SELECT count(*) FROM pg_attribute WHERE attname = %s "
                f"AND attrelid = '{_LOG}_training'::regclass",
                tom.served.labels[0].name,
            )
            assert shown == (one is tom)

    def test_other_labels_leave_who_may_read_the_training_view(self, nights, tom, owner, new_role):
        ann, label = new_role(), tom.served.labels[0].name
        view = f"{_LOG}_training"
        nights.database.run(
            f"GRANT SELECT ON {view} TO {ann} WITH GRANT OPTION",
            f"GRANT SELECT (price, {label}) ON {view} TO {PAGE}",
            f"REVOKE ALL ON {view} FROM {READER}",
        )
        granted = (
            "SELECT a.place, a.grantee::regrole::text, a.privilege_type, a.is_grantable FROM ("
            "SELECT '' AS place, x.* FROM pg_class, aclexplode(relacl) AS x "
            f"WHERE oid = '{view}'::regclass UNION ALL "
            "SELECT attname::text, x.* FROM pg_attribute, aclexplode(attacl) AS x "
            f"WHERE attrelid = '{view}'::regclass) AS a ORDER BY 1, 2, 3"
        )
        before = nights.database.rows(granted)
        fewer = replace(tom, served=replace(tom.served, labels=tom.served.labels[1:]))
        stamp(owner, fewer, replace=True)
        after = nights.database.rows(granted)
        assert after == [one for one in before if one[0] != label]
        assert ("", ann, "SELECT", True) in after
        assert ("price", PAGE, "SELECT", False) in after
        assert READER not in {grantee for _, grantee, *_ in after}

    @pytest.mark.parametrize(
        ("yours", "named"),
        [
            ("CREATE VIEW public.mine AS SELECT price FROM {}", "public.mine"),
            ("CREATE RULE mine AS ON INSERT TO {} DO INSTEAD NOTHING", "rule mine"),
        ],
        ids=["a view on it", "a rule on it"],
    )
    def test_a_training_view_that_something_hangs_on_is_not_made_anew(
        self, nights, tom, owner, yours, named
    ):
        nights.database.run(yours.format(f"{_LOG}_training"))
        before = nights.database.snapshot()
        fewer = replace(tom, served=replace(tom.served, labels=tom.served.labels[1:]))
        with pytest.raises(NotReady, match=rf"must be made anew, and .*{named}.* depends on it"):
            stamp(owner, fewer, replace=True)
        assert nights.database.snapshot() == before

    def test_a_label_that_is_not_there_is_refused(self, nights, tom, owner):
        wrong = replace(tom.served.t0, name="nothing")
        with pytest.raises(BadInput, match=f"{_E_AI} has no column nothing"):
            stamp(owner, replace(tom, served=replace(tom.served, labels=(wrong,))), replace=True)

    def test_with_t0_in_a_table_goes_on_with_a_view_that_takes_the_table_s_name(
        self, nights, tom, owner
    ):
        """As docs/upgrades.md has it be done."""
        nights.database.run(
            f"CREATE TABLE ml.seen AS SELECT listing_id, edited_date FROM {_E_AI}",
            """UPDATE feature_store_audit.feature_log SET t0_relation = '"ml"."seen"' """
            f"WHERE feature_set = '{_TOM}'",
            "ALTER TABLE ml.seen RENAME TO seen_by_us",
            "CREATE MATERIALIZED VIEW ml.seen AS TABLE ml.seen_by_us",
        )
        seen = Column(Name("ml", "seen"), tom.served.t0.name)
        moved = replace(tom, served=replace(tom.served, t0=seen))
        stamp(owner, moved, replace=True)
        assert log_problems(nights.database.connection, [moved]) == []

    def test_every_column_has_a_comment(self, nights):
        assert (
            nights.database.value(
                "SELECT count(*) FROM pg_attribute AS a "
                "INNER JOIN pg_class AS c ON a.attrelid = c.oid "
                "WHERE c.relnamespace = 'feature_log'::regnamespace AND c.relkind IN ('r', 'v') "
                "AND a.attnum > 0 AND col_description(c.oid, a.attnum) IS NULL"
            )
            == 0
        )


def test_a_training_view_is_as_the_stamp_makes_it_on_every_version(store, settings):
    sets = logged_sets(settings.include_dir).values()
    for one in sets:
        stamp(store.connection, one, replace=False)
    assert log_problems(store.connection, sets, strict=True) == []


def test_replacing_what_the_training_view_reads_keeps_view_and_rows(nights, settings):
    lease = certify_monday(nights)
    before = everything(nights)
    release_lease(nights.database.connection, lease.holder)
    apply(
        nights.database.connection,
        nights.store,
        settings,
        [_E_AI, "ml.tom_train_base_v1_mv"],
    )
    assert everything(nights) == before
    night(nights, "tuesday")
    assert nights.database.value(f"SELECT count(*) FROM {_LOG}_training") == len(before)


def test_a_relation_that_is_refreshed_by_hand_while_its_rows_are_logged_is_found(
    nights, store_files
):
    lease = certify_monday(nights, certify=False)
    nights.database.run(
        "CREATE FUNCTION public.meddle() RETURNS trigger LANGUAGE plpgsql SECURITY DEFINER AS "
        "'BEGIN ALTER MATERIALIZED VIEW ml.tom_speed_anchor_v1_mv SET (fillfactor = 90); "
        "RETURN NULL; END'",
        f"ALTER FUNCTION public.meddle() OWNER TO {OWNER}",
        "CREATE TRIGGER meddle AFTER INSERT ON feature_log.iphone_device_meta_encoded_v2_model "
        "FOR EACH STATEMENT EXECUTE FUNCTION public.meddle()",
    )
    with pytest.raises(NotReady, match="by hand while its rows were logged"):
        nights.certify(lease, *_SETS)
    assert everything(nights) == []

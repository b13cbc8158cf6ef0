"""Proofs: a relation is held to its specification, by its refresh or by the suite."""

from __future__ import annotations

import json
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

import pytest

from feature_store.declarations.store_definition import Store
from feature_store.errors import NotReady
from sandbox.roles import OWNER
from tests.feature_store.night import Night
from tests.relations import D1, D3, E_CLEAN, F0, F1, F2, A, B, E

IMAGES = "feature_store.device_image_features_unified_v1"
_WAITING = "SELECT FROM pg_stat_activity WHERE wait_event_type = 'Lock'"


def test_every_row_is_compared(night: Night, store_files: Store) -> None:
    night.run("as_of_counts")

    proofs = night.session.execute("SELECT proof, compared FROM feature_store_audit.proof")
    proven = dict(proofs.fetchall())
    assert proven.keys() == {str(relation.name) for relation in store_files.relations}
    for relation, compared in proven.items():
        rows = night.session.execute(f"SELECT count(*) FROM {relation}").fetchone()
        assert rows == (compared,)
        assert compared > 0


def test_a_count_off_by_one_in_a_single_row_of_f2_is_named(night: Night) -> None:
    night.replace_by_table(F2)
    row = night.session.execute(
        f"UPDATE {F2} SET gmc_color_n_in_seg = gmc_color_n_in_seg + 1 WHERE ctid = "
        f"(SELECT ctid FROM {F2} WHERE gmc_color_n_in_seg > 0 LIMIT 1) "
        "RETURNING t0_day::text, gen_key, model_variant, color_bucket"
    ).fetchone()

    broken = night.broken("as_of_counts")

    assert list(broken) == [F2]
    told = json.dumps(broken[F2].sample, default=str)
    assert all(str(part) in told for part in row)


def test_a_median_of_e_that_is_off_is_found(night: Night) -> None:
    night.replace_by_table(E)
    night.session.execute(
        f"UPDATE {E} SET sold_median_price_30d = sold_median_price_30d + 0.5 WHERE listing_id = "
        f"(SELECT min(listing_id) FROM {E} WHERE sold_cnt_30d > 0)"
    )

    assert list(night.broken("as_of_counts")) == [E]


@pytest.mark.parametrize("changed", ["the specification", "what is spam", "the witness"])
def test_what_a_refresh_proved_by_other_files_than_todays_is_not_taken_for_proven(
    night: Night, store_files: Store, changed: str
) -> None:
    """Somebody stamps proofs while a run is under way, or mends them and clears only the suites."""
    relation = store_files.find(E_CLEAN)
    rows = relation.rows
    other = {
        "the specification": {
            "specification": replace(relation.specification, digest="of another query")
        },
        "what is spam": {
            "rows": replace(rows, without=rows.without.model_copy(update={"tokens": ("spam",)}))
        },
        "the witness": {"witness": f"{relation.witness} -- and more"},
    }[changed]
    relations = [replace(r, **other) if r is relation else r for r in store_files.relations]
    night.use(replace(store_files, relations=tuple(relations)))
    told = rf"{E_CLEAN} was refreshed, and compared, before {changed} changed\."
    with pytest.raises(NotReady, match=told) as caught:
        night.run("as_of_counts")
    assert caught.value.about == (E_CLEAN,)


@pytest.mark.parametrize("layer", [A, F0])
def test_a_text_of_another_collation_is_not_taken_for_proven(night: Night, layer: str) -> None:
    """Its bytes are the same, but what reads it would take an em space for a letter."""
    columns = night.session.execute(
        "SELECT string_agg(CASE attname WHEN 'model' THEN 'h.model COLLATE \"C\" AS model' "
        "ELSE format('h.%I', attname) END, ', ' ORDER BY attnum) FROM pg_attribute "
        f"WHERE attrelid = '{layer}'::regclass AND attnum > 0"
    ).fetchone()[0]
    schema = layer.partition(".")[0]
    night.session.execute(f"ALTER MATERIALIZED VIEW {layer} RENAME TO honest")
    night.session.execute(
        f"CREATE MATERIALIZED VIEW {layer} AS SELECT {columns} FROM {schema}.honest AS h; "
        f"ALTER MATERIALIZED VIEW {layer} OWNER TO {OWNER}"
    )

    prove = {A: lambda: night.refresh(A), F0: lambda: night.run("as_of_counts")}[layer]
    with pytest.raises(NotReady, match=r'its model has the collation .*"C", not "default"'):
        prove()


def test_an_embargo_broken_by_one_day_is_found(night: Night) -> None:
    definition = night.session.execute(f"SELECT pg_get_viewdef('{E}'::regclass)").fetchone()[0]
    leaky = definition.replace("(c.t0_day - 1)", "c.t0_day")
    assert leaky != definition
    night.session.execute(f"ALTER MATERIALIZED VIEW {E} RENAME TO honest")
    night.session.execute(f"CREATE MATERIALIZED VIEW {E} AS {leaky}")

    assert E in night.broken("as_of_counts")


def test_rows_that_are_gone_with_all_that_they_were_made_of_are_missed_by_what_reads_them(
    night: Night,
) -> None:
    night.replace_by_table(F2)
    night.session.execute(f"TRUNCATE {F2}")
    night.session.execute(
        "ALTER MATERIALIZED VIEW feature_store.device_count_day_v1_mv RENAME TO x"
    )
    night.session.execute(
        "CREATE TABLE feature_store.device_count_day_v1_mv AS TABLE feature_store.x"
    )
    night.session.execute("TRUNCATE feature_store.device_count_day_v1_mv")

    assert "feature_store.device_meta_encoded_t0_v1" in night.broken("as_of_counts")


def test_what_a_refresh_finds_breaks_every_suite_over_its_rows(night: Night) -> None:
    """The day of the edit stands in the place of the sale's: every sale leaks."""
    definition = night.session.execute(f"SELECT pg_get_viewdef('{D1}'::regclass)").fetchone()[0]
    leaky = definition.rstrip(";").replace("(sold_date)::date", "(edited_date)::date")
    assert leaky != definition.rstrip(";")
    night.session.execute(f"ALTER MATERIALIZED VIEW {D1} RENAME TO honest")
    night.session.execute(f"CREATE MATERIALIZED VIEW {D1} AS {leaky} WITH NO DATA")
    night.session.execute(f"ALTER MATERIALIZED VIEW {D1} OWNER TO {OWNER}")
    night.refresh(D1)

    for _ in range(2):
        broken = night.broken("as_of_counts")
        assert D1 in broken
        (found,) = broken[D1].sample
        assert found["broken"] > 0
        assert found["sample"][0]["key"]["sold_day"]


@pytest.mark.parametrize("relation", ["ml.tom_features_v1_mv", "ml.tom_train_base_v1_mv"])
def test_a_relation_that_was_never_compared_is_not_proven(night: Night, relation: str) -> None:
    """Whether its refresh should have compared it, or the suite."""
    kept = night.run("as_of_counts")
    assert relation in {f.expectation.name for f in kept if f.outcome == "met"}
    night.session.execute(
        "CREATE FUNCTION public.forget_it() RETURNS trigger LANGUAGE plpgsql AS "
        f"$$ BEGIN RETURN CASE WHEN NEW.proof <> '{relation}' THEN NEW END; END $$"
    )
    night.session.execute(
        "CREATE TRIGGER forget_it BEFORE INSERT ON feature_store_audit.proof_log "
        "FOR EACH ROW EXECUTE FUNCTION public.forget_it()"
    )
    night.session.execute("DELETE FROM feature_store_audit.proof_log")
    night.refresh()

    assert list(night.broken("as_of_counts")) == [relation]


@pytest.mark.parametrize(
    ("relation", "change"),
    [
        (B, "q.duration_hours + CASE WHEN answer.is_second THEN 1 ELSE 0 END"),
        (D1, "q.duration_hours + CASE WHEN answer.is_second THEN 1 ELSE 0 END"),
        (D3, "CASE WHEN answer.is_second THEN -q.sold_price ELSE q.sold_price END"),
    ],
)
def test_the_rows_that_are_stored_are_those_that_were_compared(
    night: Night, caplog: pytest.LogCaptureFixture, relation: str, change: str
) -> None:
    """A query that leaves a choice open gives one answer to the proof, and stores another."""
    night.answer_otherwise(relation, change)
    night.refresh(relation)
    by_refresh = night.session.execute(
        "SELECT p.broken FROM feature_store_audit.proof_log AS p "
        "JOIN feature_store_audit.latest_refresh AS r USING (refresh_id) WHERE p.proof = %s",
        (relation,),
    ).fetchall()
    assert by_refresh == [(0,)], "what the refresh compared was right"
    (found,) = [f for f in night.run("as_of_counts") if f.expectation.name == relation]
    assert found.outcome == "broken"
    assert found.sample[0]["sample"][0]["observed"] == {
        "stored": "other rows than those compared: the query leaves a choice open"
    }
    assert f"{relation}: other rows are stored than were compared with its" in caplog.text


def test_a_view_is_not_proven_on_a_source_that_is_empty_while_it_is_reloaded(
    night: Night, caplog: pytest.LogCaptureFixture
) -> None:
    """The view and its specification would agree, and its rows be others a moment later."""
    (right,) = night.session.execute(f"SELECT pg_get_viewdef('{F1}'::regclass)").fetchone()
    wrong = right.replace("u.n_color_votes", "u.image_count")
    assert wrong != right
    night.session.execute(f"CREATE OR REPLACE VIEW {F1} AS {wrong}")
    event, job = night.proof_of(F1)
    caplog.set_level("INFO")
    with night.open() as other, ThreadPoolExecutor(1) as pool, night.open() as watch:
        other.autocommit = False
        other.execute(f"CREATE TEMPORARY TABLE kept AS TABLE {IMAGES}")
        other.execute(f"TRUNCATE {IMAGES}")
        other.execute(f"INSERT INTO {IMAGES} TABLE kept")
        proving = pool.submit(job, night.session)
        until = time.monotonic() + 30
        while not proving.done() and time.monotonic() < until:
            if "being reloaded" in caplog.text or watch.execute(_WAITING).rowcount:
                break
            time.sleep(0.05)
        other.commit()
        proving.result()
    (broken,) = night.session.execute(
        "SELECT broken FROM feature_store_audit.proof_log WHERE suite_event = %s", (event,)
    ).fetchone()
    assert broken > 0


def test_the_proof_that_took_longest_begins_first(night: Night, store_files: Store) -> None:
    """Else it would begin when the other session has little left, and end alone."""
    in_order = [str(relation.name) for relation in store_files.relations]
    assert night.order_of_proofs() == in_order, "nothing was proven yet"
    for slowest in (F1, F2):
        night.run("as_of_counts")
        night.session.execute(
            "UPDATE feature_store_audit.proof_log SET seconds = CASE proof WHEN %s THEN 9 "
            "WHEN %s THEN 5 ELSE 0 END "
            "WHERE suite_event = (SELECT max(suite_event) FROM feature_store_audit.proof_log)",
            (slowest, E),
        )

    assert night.order_of_proofs() == [F2, E, *(r for r in in_order if r not in (F2, E))]

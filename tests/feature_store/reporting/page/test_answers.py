"""What the routes answer, headers included, and how they say that they have no answer."""

from __future__ import annotations

from datetime import UTC, datetime
from urllib.parse import quote, urlencode

import psycopg
import pytest
from psycopg.conninfo import make_conninfo

from sandbox.home import ROOT
from sandbox.roles import PAGE, READER, as_role, grant_roles
from tests.feature_store.conftest import Database
from tests.feature_store.refresh.certified import CertifiedNights
from tests.feature_store.reporting.page.conftest import SECRET, TONIGHT
from tests.feature_store.reporting.page.nights import EXPECTATIONS
from tests.relations import E_AI as _E_AI

_RUN = f"dag_id=feature_store_refresh&run_id={TONIGHT}"
_TOM, _DEVICE = "tom_features_v1", "iphone_device_meta_encoded_v2_model"
_EVIL = "<script>alert(1)</script>"


@pytest.fixture
def known_run(airflow):
    """The failed run, as Airflow knows it: every task has gone well but one suite."""
    from airflow.dag_processing.bundles.manager import DagBundlesManager
    from airflow.dag_processing.dagbag import DagBag, sync_bag_to_db
    from airflow.models.serialized_dag import SerializedDagModel
    from airflow.utils.session import create_session
    from airflow.utils.types import DagRunTriggeredByType, DagRunType

    failed = "scheduled__5"
    bag = DagBag(str(ROOT / "dags"))
    assert not bag.import_errors
    DagBundlesManager().sync_bundles_to_db()
    sync_bag_to_db(bag, "dags-folder", None)
    with create_session() as session:
        dag = SerializedDagModel.get_dag("feature_store_refresh", session=session)
        run = dag.create_dagrun(
            run_id=failed,
            logical_date=datetime(2026, 6, 5, 3, tzinfo=UTC),
            data_interval=(datetime(2026, 6, 5, 3, tzinfo=UTC),) * 2,
            run_after=datetime(2026, 6, 5, 3, tzinfo=UTC),
            run_type=DagRunType.SCHEDULED,
            triggered_by=DagRunTriggeredByType.TEST,
            state="failed",
            session=session,
        )
    yield failed
    with create_session() as session:
        session.delete(session.merge(run))


def _json(airflow, path):
    answer = airflow.get(path)
    assert answer.status_code == 200, answer.text
    return answer.json()


def test_now(airflow, files):
    now = _json(airflow, "/api/now")
    assert now["verdict"]["standing"] == "certified"
    assert [r["name"] for r in now["relations"]] == list(files.relations)
    assert {r["state"] for r in now["relations"]} == {"certified", "live view"}
    assert [(c["name"], c["holds"]) for c in now["contracts"]] == [
        (s.name, True) for s in files.feature_sets
    ]
    assert now["latest"]["run_id"] == TONIGHT
    assert now["under_way"] is None


def test_nights(airflow, files):
    nights = _json(airflow, "/api/nights?days=90")
    prepared = [run["prepared_at"] for run in nights["runs"]]
    assert len(prepared) == 41
    assert prepared == sorted(prepared)
    refreshed = [r.name for r in files.relations.values() if r.is_refreshed]
    assert [r["name"] for r in nights["relations"]] == refreshed
    for relation in nights["relations"]:
        lists = [relation[k] for k in ("finished_at", "rows", "bytes", "seconds")]
        assert {len(values) for values in lists} == {41}
    assert len(nights["findings"]) == 4 * 40
    failed = [run["run_id"] for run in nights["runs"] if run["verdict"] == "failed"]
    assert failed == ["scheduled__5"]
    assert next(r for r in nights["runs"] if r["run_id"] == failed[0])["broken"] == 1


def test_features(airflow):
    found = _json(airflow, "/api/features")
    assert len(found["features"]) == 112
    assert [f["name"] for f in found["features"] if not f["tags"]] == ["generation", "listing_id"]
    tainted = {i for f in found["features"] for i in f["exceptions"]}
    assert tainted == {e["id"] for e in found["exceptions"]}


def test_sets_that_carry_t0_come_first_and_keys_are_marked(airflow):
    found = _json(airflow, "/api/features")
    assert [s["name"] for s in found["sets"]] == [_TOM, _DEVICE]
    keys = {(f["feature_set"], f["name"]) for f in found["features"] if f["is_key"]}
    assert keys == {(_DEVICE, "listing_id"), (_DEVICE, "generation")}


def test_how_full_features_are_and_how_far_they_drift_night_by_night(airflow):
    found = _json(airflow, "/api/profiles")
    of = {(f["feature_set"], f["name"]): f for f in found["features"]}
    assert len(of) == 112
    price = of[_TOM, "price"]
    assert (len(price["nulls"]), price["drift"][-1], price["drift_stamp"]) == (40, 0.6, 0.3)
    last = _json(airflow, f"/api/features/{_TOM}/price")["nulls"][-1]
    assert price["null_rows"] == last["nulls"] > 0
    assert {name for (_, name), f in of.items() if f["drifted"]} == {"price"}
    assert [s["before"] for s in found["sets"]] == ["2026-01-01"] * 2
    assert found["served"] == []  # the page's role reads no rows


def test_what_the_values_of_a_feature_look_like(airflow):
    found = _json(airflow, f"/api/features/{_TOM}/price/profile")
    assert [(b["label"], b["now"], b["then"]) for b in found["bins"]] == [
        ("1", 0.002, 0.5),
        ("2 to 3", 0.01, 0.3),
        ("4 and more", 0.004, 0.1),
        ("no value", 0.984, 0.1),
    ]
    assert (found["distinct"], found["mean"], found["quantiles"]["50%"]) == (4, 2.5, 2)
    assert [m["month"] for m in found["months"]] == ["2026-01-01", "2026-02-01"]
    assert len(found["nights"]) == 40
    assert found["samples"] == []
    assert found["lines"].splitlines()[-2:] == [
        f"SELECT listing_id, price FROM {_E_AI};",
        "COMMIT;",
    ]
    assert airflow.get(f"/api/features/{_TOM}/nothing/profile").status_code == 404


def test_a_relation_shows_its_sql_and_its_columns(airflow):
    found = _json(airflow, f"/api/relations/{_E_AI}")
    assert (found["label"], found["file"]) == ("E-AI", f"sql/read/{_E_AI}.sql")
    assert "CREATE MATERIALIZED VIEW" in found["sql"]
    price = next(c for c in found["columns"] if c["name"] == "price")
    assert price["type"] == "integer"
    assert "Asking price" in price["comment"]
    for name in ("ml.nothing", "iPhone.iphone_listings", "../thresholds"):
        assert airflow.get(f"/api/relations/{quote(name, safe='')}").status_code == 404


@pytest.fixture
def readable(server, settings, store_files):
    """A store whose login may read rows. One listing in its feature log is gone from the store."""
    database = Database(server.create_database("readable", "store"), settings)
    CertifiedNights(database, store_files, settings)  # stamps the sets, which makes their logs
    for relation in store_files.refreshed:
        database.run(f"REFRESH MATERIALIZED VIEW {relation.name}")
    database.run(
        f"INSERT INTO feature_log.{_TOM} (listing_id, served_at, as_of_day, dag_id, run_id, "
        "contract_hash, serving, price) "
        "VALUES (-5, now(), '2026-01-01', 'd', 'some run', 'x', 1, 123)"
    )
    yield database.conninfo
    database.close()
    server.drop_database("readable")


def test_what_was_served_is_looked_up_where_the_page_s_role_may_read_it(
    airflow, readable, elsewhere
):
    served, profile = f"/api/served/{_TOM}?entity=", f"/api/features/{_TOM}/price/profile"
    refused = airflow.get(served + "-5")
    assert (refused.status_code, "may not read" in refused.json()["problem"]) == (404, True)

    values = [{"entity": "-5", "value": "123"}]
    grant_roles(readable, owner="postgres")
    elsewhere(as_role(readable, PAGE))
    found = _json(airflow, profile)
    assert found["samples"] == []
    with psycopg.connect(readable, autocommit=True) as administrator:
        administrator.execute(found["samples_grant"])
    found = _json(airflow, profile)
    assert (found["samples"], found["samples_grant"]) == (values, "")

    elsewhere(readable)
    assert _json(airflow, "/api/profiles")["served"] == [_DEVICE, _TOM]
    found = _json(airflow, served + "-5")
    assert "The set no longer has it." in found["words"]
    price = next(v for v in found["values"] if v["feature"] == "price")
    assert price == {"feature": "price", "served": "123", "today": None, "differs": True}
    assert _json(airflow, profile)["samples"] == values
    for entity in ("0", "x", "1;2", "99999999999999999999", "1' OR '1'='1"):
        answer = airflow.get(served + quote(entity))
        assert answer.status_code == 404, answer.text


def test_a_feature(airflow):
    one = _json(airflow, "/api/features/tom_features_v1/sold_median_price_30d")
    assert one["feature"]["leakage_rule"] == "clip_at_edited_date"
    assert len(one["nulls"]) == 40
    assert [n["prepared_at"] for n in one["nulls"]] == sorted(
        n["prepared_at"] for n in one["nulls"]
    )
    assert [(s["age"], s["differing"], s["typical"]) for s in one["skew"]] == [
        ("all", 250, 12.5),
        ("under 7 days", 250, None),
    ]
    columns = {c["id"]: c for c in one["lineage"]["columns"]}
    assert one["lineage"]["columns"][-1]["id"] == f"{one['relation']}.sold_median_price_30d"
    assert {c["column"] for c in columns.values() if c["refresh"] == "source"} == {
        "sold_price",
        "real_sold_price",
    }
    for read, made in one["lineage"]["edges"]:
        assert columns[read]["level"] < columns[made]["level"]


def test_of_the_nulls_only_so_many_days(airflow):
    few = _json(airflow, "/api/features/tom_features_v1/price?days=7")["nulls"]
    assert [n["run_id"] for n in few][-1] == "scheduled__1"
    assert 6 <= len(few) <= 8


def test_runs_come_page_by_page_and_each_once(airflow):
    seen: list[str] = []
    before = ""
    while True:
        page = _json(airflow, f"/api/runs?limit=15{before}")
        seen += [run["run_id"] for run in page["runs"]]
        if not page["more"]:
            break
        before = "&before=" + quote(page["runs"][-1]["prepared_at"])
    assert seen == [TONIGHT, *(f"scheduled__{n}" for n in range(1, 41))]


def test_a_run(airflow):
    run = _json(airflow, "/api/run?dag_id=feature_store_refresh&run_id=scheduled__5")
    assert (run["run"]["verdict"], run["run"]["broken"]) == ("failed", 1)
    assert run["steps"][-1]["command"] == "airflow dags trigger feature_store_refresh"
    assert run["expectations"][0]["result"] == "broken"
    assert len(run["expectations"]) == EXPECTATIONS
    assert len(run["refreshes"]) == 14
    assert len(run["findings"]) == 4
    assert run["tasks"] == []
    assert "does not know the run" in run["tasks_words"]
    assert airflow.get("/" + run["report"]).status_code == 200


def test_what_to_do_of_a_failed_run_clears_the_task_that_the_mail_clears(airflow, known_run):
    """By the run's logical date, and from the broken layer on, although its own task went well."""
    run = _json(airflow, f"/api/run?dag_id=feature_store_refresh&run_id={known_run}")
    (broken,) = (e for e in run["expectations"] if e["result"] == "broken")
    layer = broken["relation"].rpartition(".")[2]
    (task,) = (t["task_id"] for t in run["tasks"] if t["task_id"].endswith(f".{layer}"))
    moment = "2026-06-05T03:00:00+00:00"
    assert run["steps"][-1]["command"] == (
        f"airflow tasks clear feature_store_refresh --task-regex {task} --downstream "
        f"--start-date {moment} --end-date {moment}"
    )


def test_a_run_counts_in_the_list_as_in_its_report(airflow, nightly):
    """What was found before a relation was refreshed again is outdated, on any clock."""
    once_more = (
        "INSERT INTO feature_store_audit.refresh (relation, dag_id, run_id, token, mode, "
        "row_count, bytes, seconds, snapshot, zone, started_at, finished_at) "
        "SELECT relation, dag_id, run_id, token, mode, row_count, bytes, seconds, snapshot, zone, "
        "started_at - interval '1 hour', finished_at - interval '1 hour' "
        "FROM feature_store_audit.refresh "
        "WHERE run_id = 'scheduled__3' AND relation = 'ml.tom_features_v1_mv'"
    )
    counts = ("met", "warnings", "broken", "errors")
    asked = "/api/run?dag_id=feature_store_refresh&run_id=scheduled__3"

    def of_list() -> list[int]:
        runs = _json(airflow, "/api/runs")["runs"]
        return next([r[c] for c in counts] for r in runs if r["run_id"] == "scheduled__3")

    def of_report() -> list[int]:
        return [_json(airflow, asked)["run"][c] for c in counts]

    assert sum(of_list()) == EXPECTATIONS
    assert of_list() == of_report()
    nightly.run(once_more)
    try:
        assert of_list() == of_report() == [0, 0, 0, 0]
    finally:
        nightly.run(
            "DELETE FROM feature_store_audit.refresh "
            "WHERE refresh_id = (SELECT max(refresh_id) FROM feature_store_audit.refresh)"
        )


def test_the_report_is_that_of_the_run_and_can_run_nothing(airflow):
    answer = airflow.get(f"/api/report?{_RUN}")
    assert answer.headers["content-type"] == "text/html; charset=utf-8"
    assert TONIGHT in answer.text
    policy = answer.headers["content-security-policy"]
    assert "script-src" not in policy
    assert {"default-src 'none'", "sandbox"} <= set(policy.split("; "))


@pytest.mark.parametrize("route", ["/", "/api/now", "/api/nothing", "/static/icon.svg"])
@pytest.mark.parametrize("user", ["viewer", None])
def test_every_answer_has_the_headers_that_keep_it_safe(airflow, route, user):
    headers = airflow.get(route, user=user).headers
    policy = headers["content-security-policy"]
    assert {"default-src 'none'", "script-src 'self'", "frame-ancestors 'self'"} <= set(
        policy.split("; ")
    )
    assert "http" not in policy
    assert "unsafe" not in policy
    assert headers["x-content-type-options"] == "nosniff"
    assert headers["referrer-policy"] == "no-referrer"
    if route != "/static/icon.svg" and route != "/":
        assert headers["cache-control"] == "no-store"


def test_a_browser_keeps_the_page_s_files_and_asks_whether_they_changed(airflow):
    first = airflow.get("/static/icon.svg")
    tag = first.headers["etag"]
    assert first.headers["cache-control"] == "private, no-cache"  # so that no proxy keeps it
    again = airflow.get("/static/icon.svg", **{"If-None-Match": tag})
    assert (again.status_code, again.content) == (304, b"")
    version = tag.strip('"')
    assert "immutable" in airflow.get(f"/static/icon.svg?v={version}").headers["cache-control"]
    assert "immutable" not in airflow.get("/static/icon.svg?v=old").headers["cache-control"]


def test_html_in_data_comes_out_as_text(airflow, nightly):
    """In a run's name, a sample or a finding: the page gets it as JSON, the report escapes it."""
    nightly.run(
        "INSERT INTO feature_store_audit.run (dag_id, run_id, run_type, as_of_day, zone, "
        "prepared_at, server_version, verdict, problem) VALUES ('feature_store_refresh', "
        f"'{_EVIL}', 'manual', '2020-01-01', 'UTC', '2020-01-01', '18', 'failed', '{_EVIL}')",
        "INSERT INTO feature_store_audit.expectation (dag_id, run_id, suite, expectation, "
        "relation, severity, outcome, expected, observed, sample, seconds, checked_at) VALUES "
        f"('feature_store_refresh', '{_EVIL}', 'uniqueness', '{_EVIL}', 'ml.x', 'critical', "
        f"""'broken', '{_EVIL}', '{_EVIL}', '[{{"title": "{_EVIL}"}}]', 0, '2020-01-02')""",
    )
    try:
        asked = urlencode({"dag_id": "feature_store_refresh", "run_id": _EVIL})
        answer = airflow.get(f"/api/run?{asked}")
        assert answer.headers["content-type"] == "application/json"
        assert answer.json()["expectations"][0]["sample"] == [{"title": _EVIL}]
        report = airflow.get(f"/api/report?{asked}").text
        assert "&lt;script&gt;" in report
        assert "<script" not in report
    finally:
        for table in ("suite_log", "run_log", "verdict_log"):
            nightly.run(f"DELETE FROM feature_store_audit.{table} WHERE run_id = '{_EVIL}'")


@pytest.mark.parametrize(
    "path",
    [
        "/api/nights?days=91",
        "/api/runs?limit=0",
        "/api/runs?before=yesterday",
        "/api/run?dag_id=x",
        "/api/run?dag_id=x&run_id=%00",
        "/api/report?dag_id=%00&run_id=x",
        "/api/features/tom_features_v1/price?days=0",
        f"/api/features/tom_features_v1/{'x' * 60_000}",
    ],
    ids=lambda path: path[:60],
)
def test_what_cannot_be_used_is_said(airflow, path):
    answer = airflow.get(path)
    assert answer.status_code == 422
    assert answer.json()["problem"].startswith("The address cannot be used. ")
    assert "/feature-store/api/openapi.json" in answer.json()["next_step"]
    assert len(answer.text) < 500


@pytest.mark.parametrize(
    ("path", "problem"),
    [
        ("/api/run?dag_id=x&run_id=y", "No run 'y' of x is recorded"),
        ("/api/report?dag_id=x&run_id=y", "No run 'y' of x is recorded"),
        ("/api/features/tom_features_v1/x", "No contract has the feature 'x'"),
        ("/api/features/tom_features_v1/km%2Fh", "No contract has the feature 'km/h'"),
        ("/api/features/tom_features_v1/km%2Fh/profile", "No contract has the feature 'km/h'"),
        ("/api/served/x?entity=1", "No contract has a feature log called 'x'"),
        ("/api/nothing", "There is nothing at this address"),
    ],
)
def test_what_is_not_there_is_said(airflow, path, problem):
    answer = airflow.get(path)
    assert answer.status_code == 404
    assert problem in answer.json()["problem"]
    assert answer.json()["next_step"]


def test_a_browser_that_is_led_to_what_is_not_there_is_told_on_a_page_that_escapes(airflow):
    asked = urlencode({"dag_id": "x", "run_id": _EVIL})
    answer = airflow.get(f"/api/report?{asked}", Accept="text/html")
    assert answer.status_code == 404
    assert answer.headers["content-type"] == "text/html; charset=utf-8"
    assert "&lt;script&gt;" in answer.text
    assert "<script" not in answer.text


class TestWithoutAnAnswer:
    _ASKED = ("/api/now", "/api/nights", "/api/runs", f"/api/run?{_RUN}", f"/api/report?{_RUN}")

    def _problem(self, airflow, path="/api/now"):
        answer = airflow.get(path)
        assert answer.status_code == 503, answer.text
        assert SECRET not in answer.text
        return answer.json()

    @pytest.mark.parametrize("path", _ASKED)
    def test_of_a_database_that_is_down(self, airflow, elsewhere, path):
        elsewhere(make_conninfo(host="127.0.0.1", port=1, user=SECRET, dbname=SECRET))
        problem = self._problem(airflow, path)
        assert "cannot be reached" in problem["problem"]
        assert "127.0.0.1" not in str(problem)

    def test_of_a_login_that_is_refused(self, airflow, elsewhere, nightly):
        elsewhere(as_role(nightly.conninfo, "no_such_role"), password=SECRET)
        assert "refuses the API server's login" in self._problem(airflow)["problem"]

    def test_of_an_airflow_without_the_connection(self, airflow, elsewhere, nightly):
        elsewhere(nightly.conninfo, there=False)
        assert "docs/page.md" in self._problem(airflow)["next_step"]

    def test_of_a_login_that_may_not_look(self, airflow, elsewhere, nightly):
        elsewhere(as_role(nightly.conninfo, READER))
        assert "`bin/feature-store grants`" in self._problem(airflow)["next_step"]

    def test_of_a_record_that_is_older_than_the_page(self, airflow, elsewhere, server, settings):
        database = Database(server.create_database("older_than_page", "store"), settings)
        database.run("DROP VIEW feature_store_audit.feature_lineage")
        try:
            grant_roles(database.conninfo, owner="postgres")
            elsewhere(as_role(database.conninfo, PAGE))
            said = self._problem(airflow, "/api/features/tom_features_v1/price")
            assert said["next_step"] == "Run `bin/feature-store apply`."
        finally:
            database.close()
            server.drop_database("older_than_page")

    def test_a_store_that_is_not_there_yet_is_an_answer(self, airflow, elsewhere, sources_database):
        elsewhere(sources_database)
        now = airflow.get("/api/now").json()
        assert now["verdict"]["standing"] == "empty"
        assert "bin/feature-store apply" in now["verdict"]["next_step"]
        assert {r["state"] for r in now["relations"]} == {"missing"}
        problem = self._problem(airflow, "/api/runs")
        assert problem["problem"] == "The store has not been created."

    def test_features_are_told_all_the_same(self, airflow, elsewhere):
        elsewhere(make_conninfo(host="127.0.0.1", port=1, user="x", dbname="x"))
        assert airflow.get("/api/features").status_code == 200


def test_the_schema_says_what_is_meant(airflow):
    schema = _json(airflow, "/api/openapi.json")
    assert len(schema["paths"]) == 12
    for path, methods in schema["paths"].items():
        assert list(methods) == ["get"], path
        described = methods["get"]
        assert described["summary"], path
        assert described["description"], path
        assert {"200", "401", "403", "503"} <= described["responses"].keys(), path
        assert described["security"], path
        assert all(p.get("description") for p in described.get("parameters", [])), path

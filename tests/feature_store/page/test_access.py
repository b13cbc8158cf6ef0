"""Who may see what: each route, asked by nobody, by a viewer, by one who may read no DAG."""

from __future__ import annotations

import pytest

from tests.feature_store.page.conftest import PREFIX, TONIGHT

_RUN = f"dag_id=feature_store_refresh&run_id={TONIGHT}"
ROUTES = (
    "/",
    "/static/icon.svg",
    "/api/now",
    "/api/nights?days=90",
    "/api/features",
    "/api/features/tom_features_v1/price",
    "/api/runs",
    f"/api/run?{_RUN}",
    f"/api/report?{_RUN}",
    "/api/openapi.json",
)
NOWHERE = (
    "/api/nothing",
    "/api/now/",
    "/static/nothing.js",
    "/static/..%2Fmodels.py",
    "/static/%2e%2e/app.py",
    "/static/x%00.js",
    f"/static/{'long' * 80}.js",
)


def test_these_are_all_the_routes_that_there_are():
    from feature_store.page.app import create_app

    known = {r.path for r in create_app().routes}
    asked = {r.partition("?")[0] for r in ROUTES}
    generic = {
        "/static/icon.svg": "/static/{name}",
        "/api/features/tom_features_v1/price": "/api/features/{feature_set}/{name}",
    }
    assert known == {generic.get(route, route) for route in asked} | {"/{rest:path}"}


@pytest.mark.parametrize("route", [*ROUTES, *NOWHERE])
def test_without_login_nothing_is_told(airflow, route):
    answer = airflow.get(route, user=None)
    assert answer.status_code == 401
    assert answer.json()["problem"] == "Nobody is logged in."


@pytest.mark.parametrize("route", ROUTES)
def test_a_viewer_sees_it(airflow, route):
    assert airflow.get(route).status_code == 200


@pytest.mark.parametrize("route", [*ROUTES, *NOWHERE])
def test_whoever_may_not_read_the_dag_is_told_nothing(airflow, route):
    answer = airflow.get(route, user="nobody")
    assert answer.status_code == 403
    assert "may not read the DAG" in answer.json()["problem"]


@pytest.mark.parametrize("route", NOWHERE)
def test_nothing_beside_the_page_s_own_files_is_served(airflow, route):
    assert airflow.get(route).status_code == 404


@pytest.mark.parametrize("token", ["x", "eyJhbGciOiJub25lIn0.eyJzdWIiOiJhZG1pbiJ9."])
def test_a_forged_token_is_no_login(airflow, token):
    answer = airflow.get("/api/now", user=None, Authorization=f"Bearer {token}")
    assert answer.status_code in (401, 403)
    assert "relations" not in answer.text


@pytest.mark.parametrize("method", ["POST", "PUT", "PATCH", "DELETE"])
def test_there_is_nothing_but_reading(airflow, method):
    headers = {"Authorization": f"Bearer {airflow.token('admin')}"}
    answer = airflow.other(method, "/feature-store/api/now", headers=headers)
    assert answer.status_code == 405


def test_the_cookie_of_airflow_s_own_pages_is_a_login(airflow):
    answer = airflow.get("/api/features", user=None, Cookie=f"_token={airflow.token('viewer')}")
    assert answer.status_code == 200


def test_airflow_shows_it_in_its_navigation_and_on_each_run(airflow):
    headers = {"Authorization": f"Bearer {airflow.token('admin')}"}
    errors = airflow.other("GET", "/api/v2/plugins/importErrors", headers=headers).json()
    assert errors["total_entries"] == 0
    plugins = airflow.other("GET", "/api/v2/plugins", headers=headers).json()["plugins"]
    (ours,) = [p for p in plugins if p["name"] == "feature_store_page"]
    hrefs = {view["destination"]: view["href"] for view in ours["external_views"]}
    assert hrefs == {
        "nav": "feature-store/",
        "dag_run": "feature-store/?dag_id={DAG_ID}&run_id={RUN_ID}",
    }
    for view in ours["external_views"]:
        for icon in (view["icon"], view["icon_dark_mode"]):
            assert airflow.get(icon.removeprefix("feature-store")).status_code == 200


def test_its_addresses_are_below_airflow_s_own_wherever_that_is(airflow):
    """Airflow's shell resolves them against its own base, which has the prefix."""
    assert f'<base href="{PREFIX}/"' in airflow.other("GET", "/").text
    page = airflow.get("/").text
    assert 'src="/' not in page
    assert 'href="/' not in page

"""Who may see what: each route, asked by nobody, by a viewer, by one who may read no DAG."""

from __future__ import annotations

import pytest
from airflow.api_fastapi.auth.tokens import JWTGenerator

from tests.feature_store.reporting.page.conftest import PASSWORDS, PREFIX, TONIGHT

pytestmark = pytest.mark.filterwarnings("ignore:The HMAC key is")

_RUN = f"dag_id=feature_store_refresh&run_id={TONIGHT}"
ROUTES = (
    "/",
    "/static/icon.svg",
    "/api/stores",
    "/api/now",
    "/api/nights?days=90",
    "/api/features",
    "/api/features/tom_features_v1/price",
    "/api/features/tom_features_v1/price/profile",
    "/api/profiles",
    "/api/relations/ml.tom_features_v1_mv",
    "/api/runs",
    f"/api/run?{_RUN}",
    f"/api/report?{_RUN}",
    "/api/openapi.json",
)
# The page's login may read rows of features only where somebody has granted it.
SERVED = "/api/served/tom_features_v1?entity=300000001"
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
    from feature_store.reporting.page.app import create_app

    known = {r.path for r in create_app().routes}
    asked = {r.partition("?")[0] for r in (*ROUTES, SERVED)}
    generic = {
        "/static/icon.svg": "/static/{name}",
        "/api/features/tom_features_v1/price": "/api/features/{feature_set}/{name:path}",
        "/api/features/tom_features_v1/price/profile": (
            "/api/features/{feature_set}/{name:path}/profile"
        ),
        "/api/relations/ml.tom_features_v1_mv": "/api/relations/{name}",
        "/api/served/tom_features_v1": "/api/served/{feature_set}",
    }
    assert known == {generic.get(route, route) for route in asked} | {"/{rest:path}"}


@pytest.mark.parametrize("route", [*ROUTES, SERVED, *NOWHERE])
def test_without_login_nothing_is_told(airflow, route):
    answer = airflow.get(route, user=None)
    assert answer.status_code == 401
    assert "Nobody is logged in" in answer.json()["problem"]


@pytest.mark.parametrize("route", ROUTES)
def test_a_viewer_sees_it(airflow, route):
    assert airflow.get(route).status_code == 200


@pytest.mark.parametrize("route", [*ROUTES, SERVED, *NOWHERE])
def test_whoever_may_not_read_the_dag_is_told_nothing(airflow, route):
    answer = airflow.get(route, user="nobody")
    assert answer.status_code == 403
    assert "may not read the DAG" in answer.json()["problem"]


@pytest.mark.parametrize("route", NOWHERE)
def test_nothing_beside_the_page_s_own_files_is_served(airflow, route):
    assert airflow.get(route).status_code == 404


@pytest.mark.parametrize("path", ["/", "/static/", "/api/run?dag_id=x&run_id="])
def test_no_address_is_told_back_at_length(airflow, path):
    answer = airflow.get(path + "x" * 60_000)
    assert answer.status_code in (404, 422)
    assert len(answer.text) < 500


def _sign(secret: str, seconds: int) -> str:
    """A token like this Airflow's own, but with this secret and valid for these seconds."""
    signer = JWTGenerator(
        secret_key=secret, audience="apache-airflow", valid_for=seconds, algorithm="HS512"
    )
    return signer.generate({"sub": "viewer", "role": "viewer", "teams": []})


@pytest.fixture(scope="module")
def no_logins(airflow):
    """Tokens that no longer are a login, or never were, by what is wrong with them."""
    account = {"username": "viewer", "password": PASSWORDS["viewer"]}
    ended = airflow.other("POST", "/auth/token", json=account).json()["access_token"]
    headers = {"Authorization": f"Bearer {ended}"}
    assert airflow.get("/api/features", user=None, **headers).status_code == 200
    airflow.other("GET", "/api/v2/auth/logout", headers=headers)
    return {
        "garbage": "x",
        "unsigned": "eyJhbGciOiJub25lIn0.eyJzdWIiOiJhZG1pbiJ9.",
        "expired": _sign(airflow.secret, -3600),
        "forged": _sign("a secret of somebody else " * 3, 3600),
        "logged out": ended,
    }


def test_a_token_signed_as_these_are_is_a_login(airflow):
    headers = {"Authorization": f"Bearer {_sign(airflow.secret, 3600)}"}
    assert airflow.get("/api/features", user=None, **headers).status_code == 200


@pytest.mark.parametrize("as_cookie", [False, True], ids=["bearer", "cookie"])
@pytest.mark.parametrize("wrong", ["garbage", "unsigned", "expired", "forged", "logged out"])
def test_a_login_that_is_not_valid_is_401_and_to_be_renewed(airflow, no_logins, wrong, as_cookie):
    token = no_logins[wrong]
    headers = {"Cookie": f"_token={token}"} if as_cookie else {"Authorization": f"Bearer {token}"}
    for route in ("/api/now", f"/api/run?{_RUN}", "/"):
        answer = airflow.get(route, user=None, **headers)
        assert answer.status_code == 401
        assert answer.headers["www-authenticate"] == "Bearer"
        assert "Log in to Airflow again" in answer.json()["next_step"]


def test_a_browser_gets_the_way_to_log_in_again_to_click(airflow):
    headers = {"Authorization": f"Bearer {_sign(airflow.secret, -3600)}", "Accept": "text/html,*/*"}
    for route in ("/", f"/api/report?{_RUN}"):
        answer = airflow.get(route, user=None, **headers)
        assert answer.status_code == 401
        assert answer.headers["content-type"] == "text/html; charset=utf-8"
        assert f'<a href="{PREFIX}/" target="_top">Log in again</a>' in answer.text
        assert answer.headers["cache-control"] == "no-store"


@pytest.mark.parametrize("encoding", ["gzip", "identity"])
@pytest.mark.parametrize("route", ROUTES)
def test_head_is_get_without_its_body(airflow, route, encoding):
    asked = {"Authorization": f"Bearer {airflow.token('viewer')}", "Accept-Encoding": encoding}
    told = [airflow.other(m, f"/feature-store{route}", headers=asked) for m in ("HEAD", "GET")]
    assert [answer.status_code for answer in told] == [200, 200]
    assert told[0].content == b""
    assert told[1].content
    # Without a body its framing may differ, and so may the length of answers of two moments.
    passing = dict.fromkeys(("date", "transfer-encoding", "content-length"), "")
    first, second = ({**answer.headers, **passing} for answer in told)
    assert first == second
    if encoding == "identity":
        assert "content-length" in told[0].headers


@pytest.mark.parametrize("route", NOWHERE)
def test_head_of_what_is_not_there(airflow, route):
    token = {"Authorization": f"Bearer {airflow.token('viewer')}"}
    assert airflow.other("HEAD", f"/feature-store{route}", headers=token).status_code == 404
    assert airflow.other("HEAD", f"/feature-store{route}").status_code == 401


@pytest.mark.parametrize("method", ["POST", "PUT", "PATCH", "DELETE", "OPTIONS", "TRACE"])
def test_there_is_nothing_but_reading(airflow, method):
    headers = {"Authorization": f"Bearer {airflow.token('admin')}"}
    answer = airflow.other(method, "/feature-store/api/now", headers=headers)
    assert answer.status_code == 405
    assert answer.headers["allow"] == "GET, HEAD"


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

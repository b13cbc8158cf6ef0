"""Functions that readers ask: an older one counts as ours only if it also runs as ours does."""

from __future__ import annotations

import re
import subprocess

import pytest

from feature_store.schema.apply import apply
from feature_store.schema.planning.plan import make_plan
from sandbox.programs import binaries
from tests.conftest import ROOT

GOVERNANCE = ROOT / "plugins" / "feature_store" / "sql" / "governance"
CHECK = "ml.check_feature_contract(text)"


@pytest.mark.parametrize(
    ("change", "told"),
    [
        ("SECURITY INVOKER", "It runs as whoever calls it, with search_path="),
        ("SET search_path = pg_catalog, ml, pg_temp", "with search_path=pg_catalog, ml, pg_temp;"),
        ("RESET search_path", "It runs as its owner, with no setting of its own;"),
    ],
)
def test_a_function_with_our_text_that_runs_otherwise_is_not_ours(scratch, include, change, told):
    scratch.run(
        "DELETE FROM feature_store_audit.definition WHERE object LIKE 'the feature contracts%'",
        f"ALTER FUNCTION {CHECK} {change}",
    )
    plan = make_plan(scratch.connection, include.store, include.directory)
    (blocked,) = plan.blocked
    assert "which apply did not create" in blocked.details
    assert told in blocked.details
    assert "the file's runs as its owner, with search_path=pg_catalog, pg_temp." in blocked.details
    assert "\nNext: `bin/feature-store apply --replace ml.check_feature_contract`\n" in str(plan)


def test_one_that_was_altered_since_it_was_applied_stops_the_run(scratch, include):
    scratch.run(f"ALTER FUNCTION {CHECK} SET search_path = pg_catalog, ml, pg_temp")
    plan = make_plan(scratch.connection, include.store, include.directory)
    assert "search_path" in str(plan.problems)


def test_one_that_gave_other_columns_is_replaced_and_who_may_call_it_still_may(
    scratch, include, new_role
):
    ann, bob, function = new_role(), new_role(), "ml.store_freshness(interval)"
    scratch.run(
        "DELETE FROM feature_store_audit.definition WHERE object = 'the freshness guard of ml'",
        f"DROP FUNCTION {function}",
        f"CREATE FUNCTION {function} RETURNS TABLE (old integer) LANGUAGE sql AS 'SELECT 1'",
        f"GRANT EXECUTE ON FUNCTION {function} TO {ann} WITH GRANT OPTION",
        f"GRANT EXECUTE ON FUNCTION {function} TO {bob}",
    )
    apply(scratch.connection, include.store, include.settings, ["ml.store_freshness"])
    may = [
        scratch.value(f"SELECT has_function_privilege('{role}', '{function}', '{privilege}')")
        for role in (ann, bob, "public")
        for privilege in ("EXECUTE", "EXECUTE WITH GRANT OPTION")
    ]
    assert may == [True, True, True, False, False, False]


def test_each_file_is_made_by_psql_as_its_head_says(sources_db):
    sources_db.run("CREATE SCHEMA IF NOT EXISTS ml", "CREATE SCHEMA IF NOT EXISTS feature_store")
    psql = f"'{binaries() / 'psql'}' -v ON_ERROR_STOP=1 -q -d '{sources_db.conninfo}'"
    files = ("registry", "registry_shown", "feature_contract", "certification", "freshness")
    assert sorted(f"{name}.sql" for name in files) == sorted(p.name for p in GOVERNANCE.iterdir())
    for name in files:
        head = (GOVERNANCE / f"{name}.sql").read_text()
        commands = re.findall(r"^--   (sed .*) \| psql$", head, re.MULTILINE)
        assert len(commands) == (1 if name.startswith("registry") else 2)
        for command in commands:
            subprocess.run(["sh", "-c", f"{command} | {psql}"], cwd=GOVERNANCE, check=True)
    made = "SELECT count(*) FROM pg_proc WHERE proname = 'require_certified'"
    assert sources_db.value(made) == 2

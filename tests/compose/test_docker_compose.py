"""What docker-compose.yaml promises, checked against what Docker Compose makes of it."""

from __future__ import annotations

import re
import tomllib
from dataclasses import fields
from pathlib import Path

import pytest

from feature_store.settings import PREFIX, Settings

from .rendering import (
    CONNECTIONS,
    PROFILES,
    ROOT,
    SECRETS,
    Config,
    Refused,
    all_text,
    changed,
    new_env,
    render,
    runs_once,
)

AIRFLOW = {"api-server", "scheduler", "dag-processor", "triggerer", "airflow-init"}
# The image decides where things are, so .env has no say in these settings.
OF_THE_IMAGE = {"conn_id", "smtp_conn_id", "include_dir", "report_dir", "links_base"}


@pytest.fixture
def env(tmp_path: Path) -> Path:
    return new_env(tmp_path)


@pytest.fixture(scope="module")
def common_env(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A .env that no test changes."""
    return new_env(tmp_path_factory.mktemp("env"))


@pytest.fixture(scope="module")
def config(common_env: Path) -> Config:
    return render(common_env, PROFILES["everything"])


@pytest.fixture(scope="module")
def services(config: Config) -> Config:
    return config["services"]


def test_a_service_that_the_pages_name_is_one_of_the_stack(services):
    page = (ROOT / "docs" / "install.md").read_text()
    named = re.findall(
        r"docker compose (?:exec|run|up)(?: --?[\w-]+)* ([a-z][\w-]+)(?=[ \n`])", page
    )
    assert {"store", "store-roles", "store-init", "scheduler"} <= set(named) <= services.keys()


def test_a_volume_that_the_page_says_to_remove_is_one_of_the_stack(config):
    page = (ROOT / "docs" / "install.md").read_text()
    removed = set(re.findall(r"docker volume rm ([\w-]+)", page))
    assert removed == {"feature-store_store", "feature-store_metadata"}
    assert removed <= {volume["name"] for volume in config["volumes"].values()}


@pytest.mark.parametrize("profiles", PROFILES.values(), ids=PROFILES.keys())
def test_every_choice_of_profiles_is_clean_and_has_what_it_names(env, profiles):
    found = render(env, profiles)["services"].keys()

    expected = AIRFLOW | {"metadata"}
    expected |= (
        {"store", "store-logins", "store-init", "store-roles"} if "store" in profiles else set()
    )
    expected |= {"mailpit"} if "mail" in profiles else set()
    expected |= {"redis", "worker"} if "celery" in profiles else set()
    assert found == expected


def test_env_example_chooses_the_bundled_store_and_mailbox(env):
    assert render(env) == render(env, PROFILES["as .env.example has it"])


@pytest.mark.parametrize("name", [*SECRETS, *CONNECTIONS])
def test_without_a_required_value_nothing_starts_and_the_message_says_what_to_do(env, name):
    with pytest.raises(Refused, match=rf"{name}.*run bin/new-env"):
        render(changed(env, **{name: None}))


def test_env_example_has_exactly_the_variables_that_the_file_uses():
    example = (ROOT / ".env.example").read_text()
    # A setting that is commented out, with its default, counts too.
    offered = set(re.findall(r"^(?:# )?([A-Z][A-Z_]+)=", example, re.MULTILINE))

    text = all_text()
    used = set(re.findall(r"(?<!\$)\$\{([A-Z_]+)", text))
    used |= set(re.findall(rf"^ +({PREFIX}[A-Z_]+):$", text, re.MULTILINE))
    # BIND_ADDRESS is used only to refuse it; TLS_CA belongs to a worker's own .env.
    assert offered - {"COMPOSE_PROFILES", "COMPOSE_FILE"} == used - {"BIND_ADDRESS", "TLS_CA"}


def test_every_setting_of_the_package_reaches_airflow(services):
    ours = {f.name for f in fields(Settings)} - OF_THE_IMAGE
    for name in AIRFLOW | {"worker"}:
        found = {s for s in services[name]["environment"] if s.startswith(PREFIX)}
        assert found == {PREFIX + setting.upper() for setting in ours}, name


def test_no_secret_has_a_default():
    text = all_text()
    for secret in SECRETS:
        asked = re.findall(rf"\$\{{{secret}(.*?)\}}", text)
        assert asked, secret
        assert set(asked) <= {":?run bin/new-env", ":?run bin/new-env worker"}, secret


def test_every_image_is_pinned_and_ours_is_built_on_the_airflow_that_the_lock_has(services):
    for name, service in services.items():
        assert re.search(r":v?\d+\.\d+(\.\d+)?(-bookworm)?$", service["image"]), name

    lock = (ROOT / "requirements-image.lock").read_text()
    (version,) = re.findall(r"^apache-airflow==(\S+)", lock, re.MULTILINE)
    python = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["requires-python"]
    base = f"apache/airflow:slim-{version}-python{python.removeprefix('>=')}"
    dockerfile = (ROOT / "Dockerfile").read_text()
    assert re.findall(r"^(?:ARG|FROM) (\S+)", dockerfile, re.MULTILINE) == [
        f"BASE={base}",
        "${BASE}",
    ]
    assert services["scheduler"]["build"]["args"] == {"BASE": base}
    assert services["scheduler"]["image"].endswith(f":{version}")


def test_what_the_image_installs_is_what_the_tests_run_with():
    def pins(lock: str) -> set[str]:
        return set(re.findall(r"^[a-z0-9.\[\]_-]+==\S+", (ROOT / lock).read_text(), re.MULTILINE))

    image = pins("requirements-image.lock")
    assert len(image) > 150
    assert image <= pins("requirements.lock")


def test_the_image_gets_what_the_dockerfile_copies():
    allowed = (ROOT / ".dockerignore").read_text().splitlines()
    copies = re.findall(r"^COPY \S+ (\S+) ", (ROOT / "Dockerfile").read_text(), re.MULTILINE)
    assert {"dags", "plugins", "include", "config", "bin"} <= set(copies)
    assert sorted(f"!{path}" for path in copies) == sorted(a for a in allowed if a[0] == "!")
    assert all((ROOT / path).exists() for path in copies)


def test_every_service_restarts_is_limited_and_fills_no_disk_with_logs(services):
    for name, service in services.items():
        limits = service["deploy"]["resources"]["limits"]
        assert limits.keys() == {"cpus", "memory", "pids"}, name
        assert service["logging"]["options"].keys() == {"max-size", "max-file"}, name
        assert service["restart"] in ("unless-stopped", "on-failure:3"), name


def test_no_service_writes_to_its_image_or_has_or_gains_a_privilege(services):
    for name, service in services.items():
        assert service["read_only"] is True, name
        assert service["cap_drop"] == ["ALL"], name
        assert service["security_opt"] == ["no-new-privileges:true"], name
        assert "/tmp" in service["tmpfs"], name
        assert not service.keys() & {"cap_add", "privileged", "network_mode", "pid", "devices"}
    # These images would start as root; Airflow's has a user of its own.
    users = {n: s["user"] for n, s in services.items() if "user" in s}
    postgres = ("metadata", "store", "store-logins", "store-roles")
    assert users == {**dict.fromkeys(postgres, "postgres"), "redis": "redis"}
    for name in postgres:
        assert "/run/postgresql" in services[name]["tmpfs"]


def test_every_service_that_stays_has_a_health_check_and_the_others_are_waited_for(services):
    awaited = {
        (name, wait["condition"])
        for service in services.values()
        for name, wait in service.get("depends_on", {}).items()
    }
    for name, service in services.items():
        if runs_once(service):
            assert (name, "service_completed_successfully") in awaited
        else:
            check = service["healthcheck"]
            assert check.keys() == {"test", "interval", "timeout", "retries", "start_period"}, name
    assert {c for n, c in awaited if n in ("metadata", "store", "redis")} == {"service_healthy"}


def test_what_is_written_is_in_named_volumes_and_what_is_mounted_is_there(config):
    mounts = [m for s in config["services"].values() for m in s.get("volumes", [])]
    named = {m["source"] for m in mounts if m["type"] == "volume"}
    assert named == config["volumes"].keys()
    for mount in mounts:
        if mount["type"] == "bind":
            assert mount["read_only"]
            assert Path(mount["source"]).is_file()

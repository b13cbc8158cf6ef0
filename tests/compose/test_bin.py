"""What sets the stack up: bin/new-env, bin/new-tls, bin/pin-images; and bin/feature-store."""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path

import pytest

from .rendering import ROOT, new_env, render, values

PROGRAMS = ("base64", "cat", "chmod", "chown", "dirname", "grep", "head", "id", "ln", "mktemp",
            "mv", "openssl", "rm", "sh", "sort", "tr")  # fmt: skip
ENV = (".env.example", "bin/feature-store", "bin/new-env", "bin/new-tls", "bin/pin-images",
       "docker-compose.yaml", "config/services.yaml")  # fmt: skip
DIGEST = f"sha256:{'0123456789abcdef' * 4}"
ROOT_ONLY = pytest.mark.skipif(os.geteuid() != 0, reason="only root may make certificates")


@pytest.fixture
def checkout(tmp_path: Path) -> Path:
    """What the scripts need of a checkout, and `programs`, a PATH with all that they call."""
    for name in ENV:
        (tmp_path / name).parent.mkdir(exist_ok=True)
        shutil.copy(ROOT / name, tmp_path / name)
    (tmp_path / "programs").mkdir()
    for program in PROGRAMS:
        found = shutil.which(program)
        assert found, program
        (tmp_path / "programs" / program).symlink_to(found)
    return tmp_path


def call(checkout: Path, name: str, *arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [checkout / "bin" / name, *arguments],
        env={"PATH": str(checkout / "programs")},
        capture_output=True,
        text=True,
        check=False,
    )


def replace(checkout: Path, program: str, script: str) -> None:
    """Another program in the place of one that is called."""
    path = checkout / "programs" / program
    path.unlink(missing_ok=True)
    path.write_text(f"#!/bin/sh\n{script}\n")
    path.chmod(0o755)


def drafts(checkout: Path) -> list[str]:
    """What a script left behind beside the files that were there."""
    known = {".env.example", "bin", "config", "docker-compose.yaml", "programs"}
    return sorted({path.name for path in checkout.iterdir()} - known)


@pytest.mark.parametrize("name", ["feature-store", "new-env", "new-tls", "pin-images"])
def test_each_works_in_its_own_folder_whatever_cdpath_a_person_has_exported(checkout, name):
    """With it `cd` goes elsewhere, and says where."""
    elsewhere = checkout / "elsewhere"
    (elsewhere / "bin").mkdir(parents=True)
    replace(checkout, "python3", 'echo "$PYTHONPATH"')
    done = subprocess.run(
        [f"bin/{name}", "one.example"],
        cwd=checkout,
        env={"PATH": str(checkout / "programs"), "CDPATH": str(elsewhere)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert str(elsewhere) not in done.stdout + done.stderr
    assert list(elsewhere.iterdir()) == [elsewhere / "bin"]
    if name == "feature-store":
        assert done.stdout == f"{checkout}/plugins\n"


def test_new_env_makes_another_secret_each_time_that_only_its_owner_reads(tmp_path):
    folders = [tmp_path / "one", tmp_path / "two"]
    for folder in folders:
        folder.mkdir()
    one, two = (values(new_env(folder)) for folder in folders)
    example = (ROOT / ".env.example").read_text().splitlines()
    secrets = [line[:-1] for line in example if line.endswith("=") and not line.startswith("#")]

    assert len({*(one[s] for s in secrets), *(two[s] for s in secrets)}) == 2 * len(secrets)
    assert {len(one[s]) for s in secrets} == {44}
    assert (folders[0] / ".env").stat().st_mode & 0o777 == 0o600


# Only a + or / shows that `tr` has translated nothing. Random bytes need not give one.
_UNTRANSLATED = "echo '++//++//++//++//++//++//++//++//++//++//++/='"


@pytest.mark.parametrize(
    ("program", "script"),
    [
        ("head", None),
        ("base64", None),
        ("tr", None),
        ("head", "exit 1"),
        ("head", "echo short"),
        ("head", "/usr/bin/head -c 32 /dev/zero"),
        ("base64", "exit 1"),
        ("tr", _UNTRANSLATED),
        ("mktemp", "exit 1"),
        ("ln", "exit 1"),
    ],
)
def test_new_env_that_cannot_make_a_secret_fails_and_writes_nothing(checkout, program, script):
    if script is None:
        (checkout / "programs" / program).unlink()
    else:
        replace(checkout, program, script)

    done = call(checkout, "new-env")

    assert done.returncode == 1
    assert "Nothing was written." in done.stderr
    assert done.stdout == ""
    assert drafts(checkout) == []


def test_new_env_never_writes_over_a_file(checkout):
    (checkout / ".env").write_text("TLS_ADDRESS=10.0.0.1\nmine\n")
    (checkout / ".env.worker").write_text("mine, too\n")

    for arguments in ((), ("worker",)):
        done = call(checkout, "new-env", *arguments)
        assert done.returncode == 1
        assert "already" in done.stderr

    assert (checkout / ".env").read_text() == "TLS_ADDRESS=10.0.0.1\nmine\n"
    assert (checkout / ".env.worker").read_text() == "mine, too\n"
    assert drafts(checkout) == [".env", ".env.worker"]


@pytest.mark.parametrize(
    ("prepare", "arguments", "told"),
    [
        ("", ("worker",), "There is no .env."),
        ("MINE=1\n", ("worker",), "TLS comes first"),
        ("", ("workers",), "The one argument"),
        ("", ("worker", "two"), "The one argument"),
    ],
)
def test_new_env_says_what_it_misses(checkout, prepare, arguments, told):
    if prepare:
        (checkout / ".env").write_text(prepare)
    done = call(checkout, "new-env", *arguments)
    assert (done.returncode, done.stdout) == (1, "")
    assert told in done.stderr
    assert not (checkout / ".env.worker").exists()


@ROOT_ONLY
def test_new_tls_makes_a_certificate_for_the_services_and_the_names_that_it_is_given(checkout):
    done = call(checkout, "new-tls", "10.0.0.1", "control.example", "fd00::1")
    assert done.returncode == 0, done.stderr

    tls = checkout / "tls"
    modes = {path.name: path.stat().st_mode & 0o777 for path in tls.iterdir()}
    # No key of the authority's is left: whoever takes the folder cannot make another certificate.
    assert modes == {"ca.pem": 0o644, "server.pem": 0o644, "server.key": 0o640}
    assert {(path.stat().st_uid, path.stat().st_gid) for path in tls.iterdir()} == {(0, 0)}
    for option, name in (
        *(("-verify_hostname", n) for n in ("api-server", "store", "redis", "control.example")),
        *(("-verify_ip", a) for a in ("127.0.0.1", "10.0.0.1", "fd00::1")),
    ):
        subprocess.run(
            ["openssl", "verify", "-purpose", "sslserver", "-CAfile", tls / "ca.pem", option, name,
             tls / "server.pem"],
            check=True,
            capture_output=True,
        )  # fmt: skip


@ROOT_ONLY
@pytest.mark.parametrize("arguments", [(), ("a b",), ("",), ("10.0.0.1,DNS:evil",)])
def test_new_tls_refuses_what_is_no_name(checkout, arguments):
    done = call(checkout, "new-tls", *arguments)
    assert done.returncode == 1
    assert "Nothing was written." in done.stderr
    assert drafts(checkout) == []


@ROOT_ONLY
def test_new_tls_that_fails_leaves_nothing_and_never_replaces(checkout):
    replace(checkout, "openssl", "exit 1")
    assert call(checkout, "new-tls", "10.0.0.1").returncode == 1
    assert drafts(checkout) == []
    (checkout / "tls").mkdir()
    assert "already" in call(checkout, "new-tls", "10.0.0.1").stderr


def test_pin_images_writes_each_image_by_the_digest_that_docker_tells(checkout):
    """No registry can be asked here: `docker` is one that answers as its manual says."""
    env = new_env(checkout / "config")
    env.rename(checkout / ".env")
    before = values(checkout / ".env")
    replace(
        checkout,
        "docker",
        '[ "$1 $2 $3 $4 $5" = "buildx imagetools inspect --format {{.Manifest.Digest}}" ] &&'
        f" echo {DIGEST}",
    )

    for _ in range(2):  # the second time it replaces what it wrote
        done = call(checkout, "pin-images")
        assert done.returncode == 0, done.stderr

    pinned = {
        "POSTGRES_IMAGE": f"postgres:18.4-bookworm@{DIGEST}",
        "MAILPIT_IMAGE": f"axllent/mailpit:v1.31.2@{DIGEST}",
        "REDIS_IMAGE": f"redis:7.2.14-bookworm@{DIGEST}",
        "AIRFLOW_BASE_IMAGE": f"apache/airflow:slim-3.3.2-python3.11@{DIGEST}",
    }
    assert values(checkout / ".env") == {**before, **pinned}
    assert (checkout / ".env").stat().st_mode & 0o777 == 0o600
    services = render(checkout / ".env", ("store", "mail", "celery"))["services"]
    images = {s["image"] for s in services.values() if "build" not in s}
    assert images == set(pinned.values()) - {pinned["AIRFLOW_BASE_IMAGE"]}
    assert services["worker"]["build"]["args"] == {"BASE": pinned["AIRFLOW_BASE_IMAGE"]}


@pytest.mark.parametrize("script", ["exit 1", "echo", "echo latest", f"echo {DIGEST}0"])
def test_pin_images_changes_nothing_if_docker_tells_no_digest(checkout, script):
    (checkout / ".env").write_text("MINE=1\n")
    replace(checkout, "docker", script)
    done = call(checkout, "pin-images")
    assert done.returncode == 1
    assert ".env is as it was." in done.stderr
    assert (checkout / ".env").read_text() == "MINE=1\n"
    assert drafts(checkout) == [".env"]

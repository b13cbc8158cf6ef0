"""What the Makefile installs, it installs by hash."""

from __future__ import annotations

import re
import subprocess

from sandbox.home import ROOT

_INSTALLS = re.compile(r"^.*\b(?:pip install|pip sync|pip download)\b.*$", re.MULTILINE)


def test_nothing_is_installed_without_a_hash():
    files = [ROOT / "Makefile", ROOT / "Dockerfile", *ROOT.glob(".ci/*"), *ROOT.glob("bin/*")]
    found = [line for file in files if file.is_file()
             for line in _INSTALLS.findall(file.read_text().replace("\\\n", " "))]  # fmt: skip
    assert len(found) > 3
    assert [line for line in found if "--require-hashes" not in line] == []


def test_uv_itself_comes_from_the_lock(tmp_path):
    command = ["make", "--dry-run", "--always-make", f"VENV={tmp_path}", f"{tmp_path}/.ready"]
    made = subprocess.run(command, cwd=ROOT, check=True, capture_output=True, text=True).stdout
    (picks,) = re.findall(r"^sed .*$", made, flags=re.MULTILINE)
    subprocess.run(["sh", "-c", picks], cwd=ROOT, check=True)
    assert f"--requirement {tmp_path}/uv.lock" in made
    first, *hashes = (tmp_path / "uv.lock").read_text().splitlines()
    assert first.startswith("uv==")
    assert hashes
    for line in hashes:
        assert re.fullmatch(r" +--hash=sha256:[0-9a-f]{64}( \\)?", line)

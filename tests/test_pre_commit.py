"""A commit must pass what `make lint` asks of the whole tree."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
from pathlib import Path

import yaml

from tests.conftest import ROOT

HOOKS = yaml.safe_load((ROOT / ".pre-commit-config.yaml").read_text())["repos"][0]["hooks"]


def test_the_hooks_are_the_linters_of_make_lint():
    makefile = (ROOT / "Makefile").read_text()
    (recipe,) = re.findall(r"^lint:.*\n((?:\t.*\n)+)", makefile, flags=re.MULTILINE)
    linters = {line.split("$(BIN)/")[1].split()[0] for line in recipe.splitlines()}
    assert {hook["entry"].removeprefix(".venv/bin/").split()[0] for hook in HOOKS} == linters


def test_a_commit_with_a_fault_is_refused(tmp_path: Path):
    tree = tmp_path / "tree"
    file = tree / "plugins" / "fault.py"
    file.parent.mkdir(parents=True)
    for name in (".pre-commit-config.yaml", "pyproject.toml"):
        shutil.copy(ROOT / name, tree)
    (tree / ".venv").symlink_to(ROOT / ".venv")
    environment = {
        **os.environ,
        "PRE_COMMIT_HOME": str(tmp_path / "home"),
        "SKIP": "mypy,floors",  # these read the whole tree
    }
    environment |= {f"GIT_{who}_{what}": "a@example.org" for who in ("AUTHOR", "COMMITTER")
                    for what in ("NAME", "EMAIL")}  # fmt: skip

    def git(*words: str) -> subprocess.CompletedProcess[str]:
        command = ["git", *words]
        return subprocess.run(command, cwd=tree, env=environment, capture_output=True, text=True)

    git("init")
    install = [tree / ".venv/bin/pre-commit", "install"]
    subprocess.run(install, cwd=tree, env=environment, check=True, capture_output=True)
    file.write_text('"""A fault."""\n\nimport os\n')
    git("add", "pyproject.toml", ".pre-commit-config.yaml")
    git("add", "plugins")
    refused = git("commit", "--message", "Import what nobody needs")
    assert refused.returncode != 0
    assert "F401" in refused.stdout + refused.stderr
    file.write_text('"""No fault."""\n')
    git("add", "plugins")
    taken = git("commit", "--message", "Say that there is none")
    assert taken.returncode == 0, taken.stdout + taken.stderr

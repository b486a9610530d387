"""Test how the suite is run under each Python that is installed."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import pytest

from tests.deploy.test_image import ROOT

VENV = """#!/bin/sh
# Makes an "environment" whose tests pass, or fail under the Python that is named here.
mkdir -p "$2/bin"
cat >"$2/bin/python" <<END
#!/bin/sh
echo "$PYTHON $1 \\$*" >>log
[ "{failing}" != "${{2##*/}}" ]
END
chmod +x "$2/bin/python"
"""


def ended(
    folder: Path, installed: list[str], failing: str = ""
) -> tuple[int, list[str], list[tuple[str, ...]]]:
    """Exit code, the last three lines, and the words of each run: Python, lock file, arguments."""
    deploy, path = folder / "deploy", folder / "bin"
    deploy.mkdir()
    path.mkdir()
    shutil.copy(ROOT / "deploy" / "pythons.sh", deploy)
    scripts = {deploy / "venv.sh": VENV.format(failing=failing)}
    for version in installed:
        scripts[path / f"python{version}"] = f"#!/bin/sh\necho {version}\n"
    # One of another version than its name says, as a link to the system's may be.
    scripts[path / "python3.12"] = "#!/bin/sh\necho 3.11\n"
    for script, text in scripts.items():
        script.write_text(text, encoding="utf-8")
        script.chmod(0o755)
    for name in ("sh", "dirname", "mkdir", "cat", "chmod"):
        found = shutil.which(name)
        assert found is not None
        (path / name).symlink_to(found)
    done = subprocess.run(
        [deploy / "pythons.sh", "-n", "2"],
        env={"PATH": str(path), "HOME": str(folder)},
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )
    log = folder / "log"
    lines = log.read_text(encoding="utf-8").splitlines() if log.exists() else []
    runs = [tuple(line.removeprefix(f"{path}/").split(" ")) for line in lines]
    return done.returncode, done.stdout.splitlines()[-3:], runs


def test_each_that_is_installed_runs_the_tests_of_the_same_lock_file(tmp_path: Path) -> None:
    assert ended(tmp_path, ["3.11", "3.14"]) == (
        0,
        ["passed: 3.11 3.14", "failed: none", "not installed: 3.12 3.13 3.15"],
        [
            (python, "requirements-dev.lock", "-m", "pytest", "-n", "2")
            for python in ("python3.11", "python3.14")
        ],
    )


@pytest.mark.parametrize(
    ("installed", "failing", "said"),
    [
        (
            ["3.13", "3.15"],
            "3.13",
            ["passed: 3.15", "failed: 3.13", "not installed: 3.11 3.12 3.14"],
        ),
        (
            [],
            "",
            ["passed: none", "failed: none", "not installed: 3.11 3.12 3.13 3.14 3.15"],
        ),
    ],
    ids=["one fails", "none"],
)
def test_it_fails_if_one_of_them_does_or_none_is_there(
    tmp_path: Path, installed: list[str], failing: str, said: list[str]
) -> None:
    code, lines, _ = ended(tmp_path, installed, failing)
    assert (code, lines) == (1, said)

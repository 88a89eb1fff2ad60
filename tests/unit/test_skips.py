"""The suite's own rule: a test is skipped for a named reason, which one line reports, or fails."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

CASES = """
import pytest

@pytest.mark.network
def test_marked():
    raise AssertionError("not reached")

def test_assets(assets):
    raise AssertionError("not reached")

def test_unnamed():
    pytest.skip("felt like it")

@pytest.mark.xfail
def test_expected_to_fail():
    assert False
"""
LEFT_OUT = ("WORKBENCH_TEST_ASSETS", "WORKBENCH_TEST_NETWORK", "PYTEST_ADDOPTS")


@pytest.fixture(scope="module")
def cases(repository: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the cases and this suite's conftest."""
    folder = tmp_path_factory.mktemp("cases")
    (folder / "conftest.py").write_text((repository / "tests" / "conftest.py").read_text())
    (folder / "test_cases.py").write_text(CASES)
    (folder / "pytest.ini").write_text("[pytest]\nmarkers =\n    gpu\n    network\n")
    return folder


def run(folder: Path, require: str) -> str:
    """The output of a new process that runs the cases, without any installed plugin."""
    environment = {name: value for name, value in os.environ.items() if name not in LEFT_OUT}
    environment |= {"WORKBENCH_TEST_REQUIRE": require, "PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1"}
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", str(folder)],
        cwd=folder,
        env=environment,
        capture_output=True,
        text=True,
    )
    return done.stdout + done.stderr


def test_named_reasons_are_counted_in_one_line_and_any_other_skip_fails(cases: Path) -> None:
    output = run(cases, require="")
    assert (
        "skipped: 1 assets: WORKBENCH_TEST_ASSETS is not set; "
        "1 network: WORKBENCH_TEST_NETWORK is not 1\n"
    ) in output
    assert "The reason given: felt like it" in output
    assert "a test is skipped for GPU, network, assets, browser only" in output
    assert "2 failed, 2 skipped" in output


def test_the_run_says_how_long_each_folder_took(tmp_path: Path, repository: Path) -> None:
    (tmp_path / "conftest.py").write_text((repository / "tests" / "conftest.py").read_text())
    (tmp_path / "pytest.ini").write_text("[pytest]\n")
    for folder, seconds in (("short", 0.0), ("long", 1.2)):
        (tmp_path / folder).mkdir()
        text = f"import time\n\ndef test_{folder}():\n    time.sleep({seconds})\n"
        (tmp_path / folder / f"test_{folder}.py").write_text(text)
    output = run(tmp_path, require="")
    line = re.search(r"seconds over all processes: (.*); by the clock (\d+)\n", output)
    assert line is not None, output
    assert line[1] == "long 1; short 0"
    assert 1 <= int(line[2]) < 60


def test_a_required_reason_fails(cases: Path) -> None:
    output = run(cases, require="assets,browser")
    assert "WORKBENCH_TEST_REQUIRE asks for assets" in output
    assert "2 failed, 1 skipped, 1 error" in output

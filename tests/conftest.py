"""What every test shares: the assets, what may be skipped, and what a run says at its end.

A test may be skipped for four reasons only, each a word at the start of the reason: `GPU`,
`network`, `assets` and `browser`. Any other skip is a failure. WORKBENCH_TEST_REQUIRE names reasons
(separated by commas) that are failures too, as a continuous-integration run wants it. A cell of a
notebook that writes to stderr, as a warning does, fails. The last lines say what was skipped and
how long each folder took.
"""

from __future__ import annotations

import os
import time
from collections import Counter
from collections.abc import Callable, Generator
from pathlib import Path
from typing import Any

import hypothesis
import pytest

REASONS = ("GPU", "network", "assets", "browser")
SKIPPED = "skipped for"
NETWORK = os.environ.get("WORKBENCH_TEST_NETWORK") == "1"

os.environ.setdefault("MPLBACKEND", "agg")
# Small models gain nothing from threads, and several wait for each other on a busy machine.
os.environ.setdefault("OMP_NUM_THREADS", "1")
os.environ.setdefault("JUPYTER_PLATFORM_DIRS", "1")
os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")
if not NETWORK:
    # A test that would reach the Hub fails at once, in place of waiting for a connection.
    os.environ.setdefault("HF_HUB_OFFLINE", "1")

hypothesis.settings.register_profile("workbench", deadline=None, derandomize=True)
hypothesis.settings.load_profile("workbench")


class SkipRule:
    """Skips what needs a GPU or the network, and fails every skip without a reason of `REASONS`.

    It is registered as a plugin: the hooks of this file itself would not see the notebooks.
    """

    def __init__(self) -> None:
        self.skipped: Counter[str] = Counter()

    def pytest_collection_modifyitems(self, items: list[pytest.Item]) -> None:
        for item in items:
            if item.get_closest_marker("gpu") and not _cuda():
                item.add_marker(pytest.mark.skip(reason="GPU: no CUDA device"))
            if item.get_closest_marker("network") and not NETWORK:
                item.add_marker(pytest.mark.skip(reason="network: WORKBENCH_TEST_NETWORK is not 1"))

    @pytest.hookimpl(wrapper=True)
    def pytest_runtest_makereport(
        self, item: pytest.Item
    ) -> Generator[None, pytest.TestReport, pytest.TestReport]:
        report = yield
        if report.skipped:
            reason = "" if hasattr(report, "wasxfail") else _reason(item, report)
            word = next((word for word in REASONS if reason.startswith(f"{word}:")), None)
            required = os.environ.get("WORKBENCH_TEST_REQUIRE", "").split(",")
            if word is not None and word not in required:
                # Travels with the report, which another process may have written.
                report.user_properties.append((SKIPPED, reason))
            else:
                report.outcome = "failed"
                rule = (
                    f"WORKBENCH_TEST_REQUIRE asks for {word}"
                    if word
                    else f"a test is skipped for {', '.join(REASONS)} only, never expected to fail"
                )
                report.longrepr = f"Skipped, but {rule}. The reason given: {reason or 'none'}"
        return report

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        for name, reason in report.user_properties:
            if name == SKIPPED:
                self.skipped[str(reason)] += 1

    def pytest_terminal_summary(self, terminalreporter: pytest.TerminalReporter) -> None:
        parts = [f"{n} {reason}" for reason, n in sorted(self.skipped.items())]
        terminalreporter.write_line(f"skipped: {'; '.join(parts) or 'nothing'}")


class StderrRule:
    """Fails a notebook's cell that writes to stderr, even where the stored one did so as well.

    nbval by itself lets that pass, and any cell whose output it does not compare.
    """

    @pytest.hookimpl(wrapper=True)
    def pytest_runtest_call(self, item: Any) -> Generator[None]:
        try:
            yield
        except Exception as error:
            # "Unexpected output fields" is what nbval says of it; this is what was written.
            failure: Any = error
            if (text := _stderr(item)) and hasattr(failure, "inner_traceback"):
                failure.inner_traceback = f"{failure.inner_traceback or ''}\nTo stderr:\n{text}"
            raise
        if text := _stderr(item):
            item.raise_cell_error("The cell wrote to stderr", text)


class Seconds:
    """Says how long the tests of each folder took, and the run as a whole."""

    def __init__(self) -> None:
        self.start = time.perf_counter()
        self.folders: Counter[str] = Counter()

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        folder = report.nodeid.split("::")[0].rpartition("/")[0]
        self.folders[folder] += report.duration  # pyright: ignore[reportArgumentType]

    def pytest_terminal_summary(self, terminalreporter: pytest.TerminalReporter) -> None:
        parts = [f"{name} {seconds:.0f}" for name, seconds in self.folders.most_common()]
        whole = time.perf_counter() - self.start
        terminalreporter.write_line(
            f"seconds over all processes: {'; '.join(parts) or 'none'}; by the clock {whole:.0f}"
        )


def pytest_configure(config: pytest.Config) -> None:
    config.pluginmanager.register(SkipRule(), "workbench-skip-rule")
    config.pluginmanager.register(StderrRule(), "workbench-stderr-rule")
    config.pluginmanager.register(Seconds(), "workbench-seconds")


def _cuda() -> bool:
    import torch

    return torch.cuda.is_available()


def _stderr(item: Any) -> str:
    """What a notebook's cell wrote to stderr; empty for other tests."""
    outputs = getattr(item, "test_outputs", None) or ()
    return "".join(o.text for o in outputs if o.get("name") == "stderr")


def _reason(item: pytest.Item, report: pytest.TestReport) -> str:
    """Why a test was skipped. A notebook cell says it by its tags, since nbval gives no reason."""
    if (cell := getattr(item, "cell", None)) is not None:
        tags = {str(tag).casefold() for tag in cell.metadata.get("tags", [])}
        return next((f"{word}: a notebook cell" for word in REASONS if word.casefold() in tags), "")
    text = report.longrepr[2] if isinstance(report.longrepr, tuple) else str(report.longrepr)
    return text.removeprefix("Skipped: ")


@pytest.fixture(scope="session")
def assets() -> Path:
    """The folder of models, corpora and formats that WORKBENCH_TEST_ASSETS names."""
    value = os.environ.get("WORKBENCH_TEST_ASSETS", "")
    if not value:
        pytest.skip("assets: WORKBENCH_TEST_ASSETS is not set")
    folder = Path(value).expanduser().resolve()
    if not folder.is_dir():
        pytest.fail(f"WORKBENCH_TEST_ASSETS names a folder; there is none at {value}.")
    return folder


@pytest.fixture(scope="session")
def asset(assets: Path) -> Callable[..., Path]:
    """A function that gives the path of one asset, for example `asset("models", "stories260K")`."""

    def find(*parts: str) -> Path:
        path = assets.joinpath(*parts)
        if not path.exists():
            pytest.skip(f"assets: no {'/'.join(parts)} in WORKBENCH_TEST_ASSETS")
        return path

    return find


@pytest.fixture(scope="session")
def repository() -> Path:
    """The root of the checkout."""
    return Path(__file__).resolve().parent.parent

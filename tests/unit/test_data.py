"""`data.path` finds what ships, in a wheel and in a checkout, and says where it looked."""

from __future__ import annotations

from pathlib import Path

import pytest

from workbench import data


def tree(root: Path, *files: str) -> Path:
    """Write empty files below root and return the package folder in it."""
    for file in files:
        path = root / file
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch()
    package = root / "workbench"
    package.mkdir(exist_ok=True)
    return package


def test_a_checkout_is_read_from_its_data_folder(repository: Path) -> None:
    assert data.path("tasks") == repository / "data" / "tasks"


def test_a_wheel_is_read_from_the_folder_inside_the_package(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    package = tree(tmp_path, "workbench/_data/tasks/ioi.json")
    monkeypatch.setattr(data, "_PACKAGE", package)
    assert data.path("tasks", "ioi.json") == package / "_data" / "tasks" / "ioi.json"


def test_what_travels_in_the_package_comes_before_the_checkout(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    package = tree(
        tmp_path, "workbench/_data/tasks/ioi.json", "data/tasks/ioi.json", "pyproject.toml"
    )
    monkeypatch.setattr(data, "_PACKAGE", package)
    assert data.path("tasks", "ioi.json").parent == package / "_data" / "tasks"


def test_a_folder_named_data_beside_an_installed_package_is_not_read(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(data, "_PACKAGE", tree(tmp_path, "data/tasks/ioi.json"))
    with pytest.raises(data.DataNotFound, match="tasks/ioi.json is not in .*_data"):
        data.path("tasks", "ioi.json")


def test_a_file_in_neither_place_is_a_named_error_that_says_what_to_do() -> None:
    with pytest.raises(data.DataNotFound) as caught:
        data.path("models", "no-such-model")
    text = str(caught.value)
    assert "models/no-such-model" in text
    assert "pip install -e ." in text


@pytest.mark.parametrize("parts", [(), ("..", "README.md"), ("/etc/passwd",), ("tasks/../../x",)])
def test_a_path_that_leads_out_of_the_data_folder_is_refused(parts: tuple[str, ...]) -> None:
    with pytest.raises(ValueError, match="data.path takes the folders and the name below data/"):
        data.path(*parts)

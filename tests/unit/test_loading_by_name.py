"""load of a Hugging Face id: what is said, and when, of a Hub that is away, slow or says no."""

from __future__ import annotations

import socket
import threading
import time
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
from huggingface_hub import close_session, constants

import workbench as wb
from tests.parity import zoo

#: Far above what an answer takes, and far below the 46 seconds of a client that tries again.
SECONDS = 8.0


@pytest.fixture(scope="module", autouse=True)
def imported() -> None:
    """What is timed is the answer, and not the import of what gives it."""
    wb.load(zoo.hf_model("llama"), tokenizer=zoo.tokenizer())


@pytest.fixture
def at(monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    """Sends every question for a model to one address."""

    def go(address: str) -> None:
        template = address + "/{repo_id}/resolve/{revision}/{filename}"
        monkeypatch.setattr(constants, "HF_HUB_OFFLINE", False)
        monkeypatch.setattr(constants, "ENDPOINT", address)
        monkeypatch.setattr(constants, "HUGGINGFACE_CO_URL_TEMPLATE", template)
        monkeypatch.setattr(constants, "HF_HUB_ETAG_TIMEOUT", 1)

    yield go
    close_session()


def answering(status: int, **headers: str) -> tuple[ThreadingHTTPServer, list[str]]:
    """A Hub that gives every question the same answer, and what it was asked."""
    asked: list[str] = []

    class Answer(BaseHTTPRequestHandler):
        def do_HEAD(self) -> None:
            asked.append(self.path)
            self.send_response(status)
            for name, value in headers.items():
                self.send_header(name.replace("_", "-"), value)
            self.end_headers()

        do_GET = do_HEAD

        def log_message(self, format: str, *args: Any) -> None:
            """Nothing to stderr."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Answer)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    return server, asked


def closed_port() -> str:
    with socket.socket() as held:
        held.bind(("127.0.0.1", 0))
        return f"http://127.0.0.1:{held.getsockname()[1]}"


def timed_error(name: str, **options: Any) -> tuple[str, float]:
    start = time.monotonic()
    with pytest.raises(OSError) as caught:
        wb.load(name, **options)
    return str(caught.value), time.monotonic() - start


def test_without_a_network_the_answer_comes_at_once(at: Any) -> None:
    at(closed_port())
    text, seconds = timed_error("someone/no-such-model")
    assert "it was not loaded before, and there is no network (" in text
    assert "wb.load('tinyworld'), which needs no network" in text and seconds < SECONDS


def test_a_network_that_never_answers_is_not_waited_for(at: Any) -> None:
    with socket.socket() as deaf:
        deaf.bind(("127.0.0.1", 0))
        deaf.listen(8)
        at(f"http://127.0.0.1:{deaf.getsockname()[1]}")
        text, seconds = timed_error("someone/no-such-model")
    assert "there is no network" in text and seconds < SECONDS


@pytest.mark.parametrize(
    ("status", "code", "options", "text"),
    [
        (401, "RepoNotFound", {}, "give it: it is not there, or it needs a login."),
        (404, "RepoNotFound", {}, "give it: it is not there, or it needs a login."),
        (403, "GatedRepo", {}, "its licence has to be accepted there, with a login."),
        (404, "RevisionNotFound", {"revision": "v9"}, "it has no revision 'v9'."),
        (404, "EntryNotFound", {}, "it has no config.json (a GGUF file or an adapter alone"),
        (503, "", {}, "there is no network (Server error '503 Service Unavailable'"),
    ],
)
def test_what_the_hub_says_is_said(
    status: int, code: str, options: Any, text: str, at: Any
) -> None:
    server, asked = answering(status, X_Error_Code=code)
    at(f"http://127.0.0.1:{server.server_address[1]}")
    said, seconds = timed_error("someone/some-model", **options)
    server.shutdown()
    assert text in said and seconds < SECONDS
    assert asked == [f"/someone/some-model/resolve/{options.get('revision', 'main')}/config.json"]


@pytest.mark.parametrize("name", ["a?b", "a--b", "gpt2 medium", "x" * 300, "gpt2/"])
def test_what_can_be_no_name_is_asked_of_nobody(name: str, at: Any) -> None:
    server, asked = answering(200)
    at(f"http://127.0.0.1:{server.server_address[1]}")
    said, _ = timed_error(name)
    server.shutdown()
    assert "that is no name of a model there" in said and asked == []
    assert len(said) < 400


def test_a_model_that_was_loaded_before_needs_no_network(at: Any, tmp_path: Path) -> None:
    home = tmp_path / "models--someone--mine"
    commit = "a" * 40
    zoo.save("llama", tmp_path / "saved").rename(tmp_path / "files")
    (home / "refs").mkdir(parents=True)
    (home / "refs" / "main").write_text(commit)
    (home / "snapshots").mkdir()
    (tmp_path / "files").rename(home / "snapshots" / commit)
    at(closed_port())
    start = time.monotonic()
    model = wb.load("someone/mine", device="cpu", cache_dir=str(tmp_path))
    assert (model.spec.name, model.spec.revision) == ("someone/mine", commit)
    assert time.monotonic() - start < SECONDS
    text, _ = timed_error("someone/mine", revision="v9", cache_dir=str(tmp_path))
    assert "there is no network" in text

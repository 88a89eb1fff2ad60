"""A real JupyterLab for tests: a server process, and notebooks run in it."""

from __future__ import annotations

import json
import os
import secrets
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Sequence
from pathlib import Path
from types import TracebackType

import nbformat
from playwright.sync_api import Browser, Page

ROOT = Path(__file__).resolve().parents[2]
# What JupyterLab would otherwise ask of the network, or ask the user.
SETTINGS = {
    "@jupyterlab/apputils-extension/notification.jupyterlab-settings": {
        "fetchNews": "false",
        "checkForUpdates": False,
    },
}
# The kernel of the notebook shown is connected and waits.
READY = """() => {
    const session = window.jupyterapp?.shell?.currentWidget?.context?.sessionContext;
    return session?.isReady && session.session?.kernel?.status === 'idle';
}"""
ERRORS = """() => window.jupyterapp.shell.currentWidget.content.model.toJSON().cells
    .flatMap((cell) => cell.outputs ?? []).filter((output) => output.output_type === 'error')
    .map(({ ename, evalue }) => `${ename}: ${evalue}`)"""


class Server:
    """A JupyterLab server on a free port, stopped at the end of the `with` block."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.token = secrets.token_hex(16)
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            self.port: int = probe.getsockname()[1]
        self.address = f"http://127.0.0.1:{self.port}"
        self.log = folder / "server.log"

    def __enter__(self) -> Server:
        home = self.folder / "home"
        for name, content in SETTINGS.items():
            path = home / "settings" / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(json.dumps(content))
        notebooks = self.folder / "notebooks"
        notebooks.mkdir()
        self.environment = os.environ | {
            "JUPYTER_CONFIG_DIR": str(home / "config"),
            "JUPYTER_DATA_DIR": str(home / "data"),
            "JUPYTER_RUNTIME_DIR": str(home / "runtime"),
            "JUPYTERLAB_SETTINGS_DIR": str(home / "settings"),
            "JUPYTERLAB_WORKSPACES_DIR": str(home / "workspaces"),
            "IPYTHONDIR": str(home / "ipython"),
            # The checkout is tested, installed or not.
            "PYTHONPATH": os.pathsep.join(filter(None, [str(ROOT), os.environ.get("PYTHONPATH")])),
        }
        options = {
            "ServerApp.ip": "127.0.0.1",
            "ServerApp.port": self.port,
            "ServerApp.port_retries": 0,
            "ServerApp.root_dir": notebooks,
            "ServerApp.allow_root": True,
            "ServerApp.open_browser": False,
            "IdentityProvider.token": self.token,
            "LabApp.expose_app_in_browser": True,
            "LabApp.extension_manager": "readonly",
        }
        command = [sys.executable, "-m", "jupyterlab", *(f"--{k}={v}" for k, v in options.items())]
        with self.log.open("wb") as log:
            self.process = subprocess.Popen(
                command, cwd=notebooks, env=self.environment, stdout=log, stderr=subprocess.STDOUT
            )
        try:
            self._wait()
        except BaseException:
            self.process.kill()
            raise
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.process.terminate()
        try:
            self.process.wait(20)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()

    def trust(self, notebook: Path) -> None:
        """What a person does with a clone: `jupyter trust`."""
        command = [sys.executable, "-m", "jupyter", "trust", str(notebook)]
        subprocess.run(command, env=self.environment, check=True, capture_output=True)

    def _wait(self, seconds: float = 60) -> None:
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            if self.process.poll() is not None:
                break
            try:
                self.request("GET", "/api/status")
                return
            except (urllib.error.URLError, ConnectionError):
                time.sleep(0.2)
        raise RuntimeError(f"JupyterLab did not start in {seconds} s:\n{self.log.read_text()}")

    def request(self, method: str, path: str) -> list[dict[str, str]]:
        """The JSON answer of the server's interface."""
        headers = {"Authorization": f"token {self.token}"}
        request = urllib.request.Request(self.address + path, method=method, headers=headers)
        with urllib.request.urlopen(request, timeout=10) as answer:
            return json.loads(answer.read() or "[]")


class Lab:
    """Notebooks in JupyterLab, each in a page of its own."""

    def __init__(self, browser: Browser, server: Server) -> None:
        self.browser = browser
        self.server = server
        self.pages: list[Page] = []

    def run(
        self,
        notebook: Path | Sequence[str],
        *,
        width: int = 1100,
        height: int = 900,
        timeout: float = 120,
    ) -> Page:
        """The page of a notebook after all its cells ran, in `timeout` seconds each step.

        notebook: a file, copied into the server's folder, or the sources of its code cells. Raises
        AssertionError with the errors of the cells that failed.
        """
        name = f"notebook{len(self.pages)}-{secrets.token_hex(4)}.ipynb"
        if isinstance(notebook, Path):
            document = nbformat.read(notebook, as_version=4)
        else:
            cells = [nbformat.v4.new_code_cell(source) for source in notebook]
            kernel = {"name": "python3", "display_name": "Python 3", "language": "python"}
            document = nbformat.v4.new_notebook(cells=cells, metadata={"kernelspec": kernel})
        nbformat.write(document, self.server.folder / "notebooks" / name)
        page = self.open(name, width=width, height=height, timeout=timeout)
        page.wait_for_function(READY)
        page.evaluate("window.jupyterapp.commands.execute('notebook:run-all-cells')")
        assert page.evaluate(ERRORS) == []
        return page

    def open(
        self, name: str, *, width: int = 1100, height: int = 900, timeout: float = 120
    ) -> Page:
        """The page of a notebook of the server's folder, as it was saved; nothing is run."""
        page = self.browser.new_page(viewport={"width": width, "height": height})
        page.set_default_timeout(timeout * 1000)
        self.pages.append(page)
        # The single-document mode, without side bars; "reset" forgets the layout of other tests.
        page.goto(f"{self.server.address}/doc/tree/{name}?reset&token={self.server.token}")
        return page

    def save(self, page: Page) -> Path:
        """The file of the page's notebook, saved; its page is closed and every kernel ended."""
        page.evaluate("window.jupyterapp.commands.execute('docmanager:save')")
        name = page.evaluate("window.jupyterapp.shell.currentWidget.context.path")
        self.close()
        return self.server.folder / "notebooks" / name

    def run_cell(self, page: Page, source: str) -> str:
        """The text that a new last cell prints or shows, run in the notebook's kernel."""
        page.evaluate(
            """async (source) => {
                const { commands, shell } = window.jupyterapp;
                const notebook = shell.currentWidget.content;
                notebook.activeCellIndex = notebook.widgets.length - 1;
                await commands.execute('notebook:insert-cell-below');
                notebook.activeCell.model.sharedModel.setSource(source);
                await commands.execute('notebook:run-cell');
            }""",
            source,
        )
        return page.locator(".jp-CodeCell").last.locator(".jp-OutputArea").inner_text().strip()

    def comes_to(self, page: Page, source: str, expected: str, seconds: float = 30) -> None:
        """Wait until the cell prints the expected: the kernel may still have things to handle."""
        deadline = time.monotonic() + seconds
        while (found := self.run_cell(page, source)) != expected:
            assert time.monotonic() < deadline, found
            page.wait_for_timeout(200)

    def close(self) -> None:
        """Closes the pages and stops the kernels."""
        for page in self.pages:
            page.close()
        self.pages.clear()
        for kernel in self.server.request("GET", "/api/kernels"):
            self.server.request("DELETE", f"/api/kernels/{kernel['id']}")

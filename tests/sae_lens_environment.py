"""An environment with sae-lens, which cannot be installed beside TransformerLens 4."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

PACKAGES = ("sae-lens>=6.54,<7", "torch>=2.6,<2.14")


class NotInstalled(RuntimeError):
    """pip could not install sae-lens here."""


def sae_lens_python(folder: Path) -> str:
    """The Python that WORKBENCH_SAE_LENS_PYTHON names, else one of an environment made in `folder`.

    Raises `NotInstalled` where pip fails or takes more than 15 minutes.
    """
    if named := os.environ.get("WORKBENCH_SAE_LENS_PYTHON", ""):
        return named
    subprocess.run([sys.executable, "-m", "venv", str(folder)], check=True)
    path = str(folder / ("Scripts" if os.name == "nt" else "bin") / "python")
    # Most of what comes along is never imported, so it need not be compiled.
    options = ["--quiet", "--disable-pip-version-check", "--no-compile"]
    command = [path, "-m", "pip", "install", *options, *PACKAGES]
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=900, check=False)
    except subprocess.TimeoutExpired:
        raise NotInstalled("pip did not install sae-lens within 15 minutes") from None
    if done.returncode:
        last = (done.stderr.strip() or done.stdout.strip()).splitlines()[-1:]
        raise NotInstalled(f"pip could not install sae-lens ({' '.join(last)})")
    return path


def run(python: str, *arguments: str, timeout: int = 600, path: Path | None = None) -> str:
    """What a script printed. path: a folder to import from, by default none of this checkout's."""
    outside = {k: v for k, v in os.environ.items() if k not in ("PYTHONPATH", "VIRTUAL_ENV")}
    if path is not None:
        outside["PYTHONPATH"] = str(path)
    # -P: the folder of the script is not searched, where files may be named like libraries.
    done = subprocess.run(
        [python, "-P", *arguments],
        capture_output=True,
        text=True,
        timeout=timeout,
        check=False,
        env=outside,
    )
    assert done.returncode == 0, done.stderr[-3000:]
    return done.stdout

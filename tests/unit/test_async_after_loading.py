"""asyncio after a load, and `.save()` in a trace on `model.raw`: each in a process of its own."""

from __future__ import annotations

import os
import subprocess
import sys
import textwrap
from pathlib import Path


def ran(script: str, folder: Path, repository: Path) -> list[str]:
    """The lines that a script prints; in a file, since nnsight reads the body of a trace."""
    path = folder / "script.py"
    path.write_text(textwrap.dedent(script))
    environment = {**os.environ, "PYTHONPATH": str(repository)}
    done = subprocess.run(
        [sys.executable, path], capture_output=True, text=True, env=environment, check=False
    )
    assert done.returncode == 0, done.stderr[-2000:]
    return done.stdout.splitlines()


def test_asyncio_is_as_before_and_save_works_in_traces(tmp_path: Path, repository: Path) -> None:
    lines = ran(
        """
        import asyncio
        import workbench as wb

        model = wb.load("tinyworld", device="cpu")
        model.run("The capital of France is", read="L0.resid_post")
        print(hasattr(object, "save"))

        import anyio
        import anyio._backends._asyncio

        class Attribute(anyio.TypedAttributeSet):
            name: str = anyio.typed_attribute()

        async def later():
            async with anyio.create_task_group() as group:
                group.start_soon(anyio.sleep, 0)
            return await asyncio.to_thread(lambda: "later")

        print(asyncio.run(later()), anyio.run(later))

        raw = model.raw
        with raw.trace("The capital of France is"):
            both = raw.transformer.h[0].attn.output.save()
            kept = [].save()
            hidden = raw.transformer.h[0].output.save()
            kept.append(hidden)
        print(type(both).__name__, tuple(hidden.shape), len(kept), hasattr(object, "save"))

        with raw.session():
            with raw.trace("The capital"):
                one = raw.transformer.h[1].output.save()
            with raw.trace("The capital"):
                two = (one * 2).save()
        print(bool((two == one * 2).all()), hasattr(object, "save"))

        with raw.generate("The capital of France is", max_new_tokens=1) as tracer:
            ids = tracer.result.save()
        print(tuple(ids.shape))

        with raw.trace("The capital of France is", remote="local"):
            sent = raw.transformer.h[0].output.save()
        print(bool((sent == hidden).all()))

        try:
            with raw.trace("The capital"):
                hidden = raw.transformer.h[0].output.save()
                hidden.no_such_thing
        except AttributeError as error:
            print("no_such_thing" in str(error), hasattr(object, "save"))

        model.run("The capital of France is", read="L0.resid_post")
        print(hasattr(object, "save"))
        """,
        tmp_path,
        repository,
    )
    assert lines == [
        "False",
        "later later",
        "tuple (1, 5, 128) 1 False",
        "True False",
        "(1, 6)",
        "True",
        "True False",
        "False",
    ]

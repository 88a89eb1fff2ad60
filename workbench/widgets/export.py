"""Any widget as HTML that needs neither a kernel nor a network: an output, or a page of its own."""

from __future__ import annotations

import base64
import html
import json
from collections.abc import Mapping
from hashlib import sha256
from pathlib import Path
from typing import Any

import anywidget

from workbench.widgets.guarded import STATIC, GuardedWidget

# The policy forbids every request: a page that would need the network fails in the first test that
# opens it, and a token that were ever read as markup could load nothing.
POLICY = "default-src 'none'; script-src 'unsafe-inline'; style-src 'unsafe-inline'; img-src data:"

PAGE = """<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta http-equiv="Content-Security-Policy" content="{policy}">
<title>{title}</title>
<style>
:root {{ color-scheme: light dark; }}
body {{ margin: 12px; background: light-dark(#ffffff, #16161a); }}
</style>
</head>
<body>
{output}
<script type="module">
window.widgetModel = document.querySelector(".workbench-output").widgetModel;
</script>
</body>
</html>
"""

# A front end that trusts the output runs the script, whose view stands in the place of the picture,
# out of reach of the styles around it; one that does not takes the scripts out and shows the
# picture. A notebook may show one output twice: the first script to run brings every copy to life.
OUTPUT = """<div class="workbench-output" data-output="{key}" data-lm-suppress-shortcuts="true">
{picture}
<script type="application/json">{content}</script>
<script type="module">
{script}
for (const box of document.querySelectorAll('[data-output="{key}"]:not([data-live])')) {{
  box.dataset.live = "";
  const place = box.attachShadow({{ mode: "open" }});
  try {{
    const content = box.querySelector('script[type="application/json"]').textContent;
    const {{ css, state }} = JSON.parse(content);
    const [style, el] = ["style", "div"].map((name) => document.createElement(name));
    style.textContent = css;
    place.append(style, el);
    const model = box.widgetModel = new view.StandInModel(state);
    await view.default.render({{ model, el }});
  }} catch (error) {{
    place.innerHTML = '<p role="alert"></p><slot></slot>';
    place.firstChild.textContent = `The figure could not be drawn: ${{error}}`;
    throw error;
  }}
}}
</script>
</div>"""


def page(widget: GuardedWidget, title: str, *, picture: bytes | None = None) -> str:
    """One self-contained HTML file that shows the widget as it is now.

    picture: as of `output`. In the page the stand-in model is `window.widgetModel`. Raises
    TypeError for anything but a widget of this package.
    """
    shown = output(widget, title, picture=picture)
    policy = html.escape(POLICY, quote=True)
    return PAGE.format(policy=policy, title=html.escape(title), output=shown)


def output(widget: GuardedWidget, title: str, *, picture: bytes | None = None) -> str:
    """The widget as it is now as an output of a notebook, which lives without a kernel.

    picture: a PNG that stands in its place where no script may run. Raises as `page`.
    """
    if not isinstance(widget, GuardedWidget):
        raise TypeError(
            f"Pages are made of this package's widgets, as TokenGrid; given {type(widget).__name__}"
        )
    inherited = set(anywidget.AnyWidget.class_traits(sync=True)) | {"_esm", "_css", "_anywidget_id"}
    state = {name: value for name, value in widget.get_state().items() if name not in inherited}
    css = _small(f"{widget.NAME}.min.css")
    content = _script_json({"css": css, "state": _without_bytes(state)})
    image = ""
    if picture is not None:
        source = base64.b64encode(picture).decode("ascii")
        alt = html.escape(title, quote=True)
        image = f'<img alt="{alt}" style="max-width: 100%" src="data:image/png;base64,{source}">'
    return OUTPUT.format(
        key="wb-" + sha256((widget.NAME + content).encode()).hexdigest()[:16],
        picture=image,
        content=content,
        script=_small(f"{widget.NAME}.min.js"),
    )


def _small(name: str) -> str:
    """A minified bundle without the header that a test reads."""
    return Path(STATIC, name).read_text(encoding="utf-8").split("*/\n", 1)[1].strip()


def _without_bytes(value: Any) -> Any:
    """The value with bytes as {"__bytes__": base64}, which the stand-in model turns back."""
    if isinstance(value, (bytes, bytearray, memoryview)):
        return {"__bytes__": base64.b64encode(value).decode("ascii")}
    if isinstance(value, Mapping):
        return {str(key): _without_bytes(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [_without_bytes(item) for item in value]
    return value


def _script_json(value: Any) -> str:
    """JSON that is safe inside a script element: no "<" can close it or open a comment."""
    text = json.dumps(value, allow_nan=False)
    return text.replace("<", "\\u003c").replace(">", "\\u003e").replace("&", "\\u0026")

"""Any widget as one HTML file that needs neither a kernel nor a network."""

from __future__ import annotations

import base64
import html
import json
from collections.abc import Mapping
from typing import Any

import anywidget

# The policy forbids every request: a page that would need the network fails in the first test that
# opens it, and a token that were ever read as markup could load nothing.
POLICY = "default-src 'none'; script-src 'unsafe-inline' blob:; style-src 'unsafe-inline'"

TEMPLATE = """<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta http-equiv="Content-Security-Policy" content="{policy}">
<title>{title}</title>
<style>
:root {{ color-scheme: light dark; }}
body {{ margin: 12px; background: light-dark(#ffffff, #16161a); }}
#error {{ font: 14px sans-serif; color: light-dark(#a31621, #ff8a8a); }}
{css}
</style>
</head>
<body>
<main id="widget"></main>
<p id="error" role="alert" hidden></p>
<noscript>This page draws its figure with JavaScript, which is off in this browser.</noscript>
<script type="application/json" id="content">{content}</script>
<script type="module">
try {{
  const {{ esm, state }} = JSON.parse(document.getElementById("content").textContent);
  const url = URL.createObjectURL(new Blob([esm], {{ type: "text/javascript" }}));
  const bundle = await import(url);
  URL.revokeObjectURL(url);
  const model = new bundle.StandInModel(state);
  await bundle.default.render({{ model, el: document.getElementById("widget") }});
  window.widgetModel = model;
}} catch (error) {{
  const line = document.getElementById("error");
  line.hidden = false;
  line.textContent = `The figure could not be drawn: ${{error}}`;
  throw error;
}}
</script>
</body>
</html>
"""


def page(widget: anywidget.AnyWidget, title: str) -> str:
    """One self-contained HTML file that shows the widget as it is now.

    Its bundle must export `StandInModel` beside its default, as those of this package do. In the
    page the stand-in model is `window.widgetModel`. Raises TypeError for anything but an AnyWidget.
    """
    if not isinstance(widget, anywidget.AnyWidget):
        raise TypeError(f"page() takes an anywidget.AnyWidget; given {type(widget).__name__}")
    inherited = set(anywidget.AnyWidget.class_traits(sync=True)) | {"_esm", "_css", "_anywidget_id"}
    everything = widget.get_state()
    state = {name: value for name, value in everything.items() if name not in inherited}
    content = {"esm": everything["_esm"], "state": _without_bytes(state)}
    return TEMPLATE.format(
        policy=html.escape(POLICY, quote=True),
        title=html.escape(title),
        css=everything.get("_css", "").replace("</", "<\\/"),
        content=_script_json(content),
    )


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

"""The documentation page of the service, made from its OpenAPI schema, without scripts and external resources."""

from __future__ import annotations

import json
from collections.abc import Iterator
from html import escape
from typing import Any

_STYLE = """
:root { color-scheme: light dark }
body { font: 16px/1.5 system-ui, sans-serif; max-width: 60rem; margin: 2rem auto; padding: 0 1rem }
code, pre { font: 14px/1.4 ui-monospace, monospace }
pre { overflow-x: auto; padding: .7rem; border: 1px solid #8884; border-radius: 6px }
h2 { margin-top: 2.5rem; border-top: 1px solid #8884; padding-top: 1rem; overflow-wrap: anywhere }
h2 b { display: inline-block; min-width: 4.5rem; color: #3949ab }
@media (prefers-color-scheme: dark) { h2 b { color: #9fa8da } }
table { border-collapse: collapse; width: 100% }
td, th { text-align: left; vertical-align: top; padding: .25rem .8rem .25rem 0; border-bottom: 1px solid #8883 }
td:first-child { white-space: nowrap }
@media (max-width: 40rem) { td { display: block; border: 0; padding: 0 } tr { display: block; margin: .7rem 0 } }
"""
_EXAMPLE = """\
curl -H "Authorization: Bearer $TOKEN" -F photo=@photo.jpg -F audio=@speech.wav ADDRESS/v1/videos
curl -H "Authorization: Bearer $TOKEN" ADDRESS/v1/videos/VIDEO_ID
curl -H "Authorization: Bearer $TOKEN" -o talk.mp4 ADDRESS/v1/videos/VIDEO_ID/content"""


def page(schema: dict[str, Any]) -> str:
    """Render the page as HTML.

    Args:
        schema: the OpenAPI schema.
    """
    title = f"{schema['info']['title']} {schema['info']['version']}"
    parts = [
        f'<!doctype html><html lang="en"><meta charset="utf-8"><title>{escape(title)}</title>',
        f'<meta name="viewport" content="width=device-width, initial-scale=1"><style>{_STYLE}</style>',
        f"<h1>{escape(title)}</h1>",
        f"<p>{_inline_code(schema['info']['description'])}</p>",
        f"<pre>{escape(_EXAMPLE)}</pre>",
        '<p>For programs: <a href="/openapi.json">openapi.json</a> (OpenAPI 3.1).</p>',
    ]
    for path, methods in schema["paths"].items():
        for method, operation in methods.items():
            parts.extend(_operation(path, method, operation, schema))
    return "\n".join(parts)


def _operation(path: str, method: str, operation: dict[str, Any], schema: dict[str, Any]) -> Iterator[str]:
    yield f'<h2 id="{escape(operation["operationId"])}"><b>{method.upper()}</b> <code>{escape(path)}</code></h2>'
    yield f"<p>{_inline_code(operation.get('description', operation.get('summary', '')))}</p>"
    parameters = [(one["name"], one["schema"], one) for one in operation.get("parameters", ())]
    if parameters:
        yield _table(
            "Parameters", [_row(name, kind, one.get("required", False), one) for name, kind, one in parameters]
        )
    bodies = operation.get("requestBody", {}).get("content", {})
    for kind, body in bodies.items():
        found = _resolved(body["schema"], schema)
        if kind == "application/json" and "multipart/form-data" in bodies:
            yield "<p>As JSON the same fields, with the ids of uploads in the place of files.</p>"
            continue
        required = found.get("required", ())
        rows = [_row(name, one, name in required, one) for name, one in found.get("properties", {}).items()]
        yield _table(f"Fields ({kind})", rows)
    answers = []
    for status, one in operation.get("responses", {}).items():
        kinds = ", ".join(one.get("content", {}))
        answers.append((escape(status), _inline_code(one.get("description", "")), escape(kinds)))
    yield _table("Answers", answers)


def _row(name: str, kind: dict[str, Any], required: bool, about: dict[str, Any]) -> tuple[str, str, str]:
    shown = f"<code>{escape(name)}</code>" + (" (required)" if required else "")
    return shown, _inline_code(about.get("description", "")), escape(_type_text(kind))


def _type_text(kind: dict[str, Any]) -> str:
    """A type in words, such as `integer, 1 to 100, default 20`."""
    one = next((part for part in kind.get("anyOf", [kind]) if part.get("type") != "null"), kind)
    words = [json.dumps(value) for value in one["enum"]] if "enum" in one else [str(one.get("type", ""))]
    text = ("one of " if "enum" in one else "") + ", ".join(words)
    if one.get("format") == "binary":
        text = "file, or id of an upload"
    least, most = one.get("minimum"), one.get("maximum")
    if least is not None or most is not None:
        text += f", {least} to {most}" if None not in (least, most) else f", from {least}"
    default = kind.get("default")
    return text if default is None else f"{text}, default {json.dumps(default)}"


def _table(title: str, rows: list[tuple[str, str, str]]) -> str:
    cells = "".join("<tr>" + "".join(f"<td>{cell}</td>" for cell in row) + "</tr>" for row in rows)
    return f"<h3>{escape(title)}</h3><table>{cells}</table>"


def _inline_code(text: str) -> str:
    """HTML of a text in which `backticks` mark code."""
    parts = escape(text).split("`")
    return "".join(f"<code>{part}</code>" if place % 2 else part for place, part in enumerate(parts))


def _resolved(kind: dict[str, Any], schema: dict[str, Any]) -> dict[str, Any]:
    if "$ref" in kind:
        found: dict[str, Any] = schema["components"]["schemas"][kind["$ref"].rpartition("/")[2]]
        return found
    return kind

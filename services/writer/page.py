"""/docs: the fields of a request and the responses as a page without scripts, made of the OpenAPI document."""

from html import escape
from typing import Any

_STYLE = (
    "body{font:1rem/1.5 system-ui,sans-serif;max-width:60rem;margin:2rem auto;padding:0 1rem;color-scheme:light dark}"
    "table{border-collapse:collapse;width:100%}th,td{text-align:left;vertical-align:top;padding:.4rem .6rem;"
    "border-bottom:1px solid #8886}pre{overflow-x:auto;padding:1rem;border:1px solid #8886}"
)
_EXAMPLE = """curl -N "$WRITER/write" -H 'Content-Type: application/json' \\
  -d '{"task": "listing", "notes": "Bella, 3 years, spayed, shy at first, loves windows"}'"""


def documentation(openapi: dict[str, Any]) -> str:
    """The page, as HTML."""
    write = openapi["paths"]["/write"]["post"]
    schemas = openapi["components"]["schemas"]
    responses = "".join(
        f"<tr><th scope=row>{escape(status)}<td>{_code(response['description'])}"
        for status, response in sorted(write["responses"].items())
    )
    events = write["responses"]["200"]["content"]["text/event-stream"]["example"]
    return (
        f"<!doctype html><html lang=en><meta charset=utf-8><meta name=viewport content='width=device-width'>"
        f"<title>{escape(openapi['info']['title'])}</title><style>{_STYLE}</style><main>"
        f"<h1>{escape(openapi['info']['title'])}</h1><p>{escape(openapi['info']['description'])} "
        "What comes out is a draft: a person checks every fact. For programs: <a href=openapi.json>openapi.json</a>."
        f"<h2>POST /write</h2><pre>{escape(_EXAMPLE)}</pre>{_fields(schemas['WriteRequest'], schemas)}"
        f"<h3><code>answer</code></h3>{_fields(schemas['Answer'], schemas)}"
        f"<h2>Responses</h2><table>{responses}</table><h2>Events</h2><pre>{escape(events.strip())}</pre></main></html>"
    )


def _fields(schema: dict[str, Any], schemas: dict[str, Any]) -> str:
    rows = ""
    for name, field in schema["properties"].items():
        required = "required" if name in schema.get("required", []) else "optional"
        rows += f"<tr><th scope=row><code>{escape(name)}</code><td>{required}<td>{_values(field, schemas)}"
        rows += f"<td>{_code(field.get('description', ''))}"
    head = "<tr><th scope=col>field<th scope=col><th scope=col>values<th scope=col>meaning"
    return f"<table>{head}{rows}</table>"


def _values(field: dict[str, Any], schemas: dict[str, Any]) -> str:
    """What a field may be, in words."""
    parts = [part for part in field.get("anyOf", [field]) if part.get("type") != "null"]
    part = parts[0]
    if reference := part.get("$ref"):
        part = schemas[reference.rsplit("/", 1)[-1]]
    if "enum" in part:
        default = field.get("default")
        return ", ".join(
            f"<code>{escape(value)}</code>{' (default)' if value == default else ''}"
            for value in part["enum"]
        )
    limits = f", {part['minLength']} to {part['maxLength']} characters" if "maxLength" in part else ""
    return escape(f"{part.get('type', '')}{limits}")


def _code(text: str) -> str:
    """Escaped text whose `words` are code."""
    parts = escape(text).split("`")
    return "".join(f"<code>{part}</code>" if number % 2 else part for number, part in enumerate(parts))

"""The document as a page: plain HTML and CSS, no scripts, nothing from other hosts."""

import base64
import hashlib
import re
from collections.abc import Iterable, Iterator, Mapping
from html import escape
from pathlib import Path
from typing import Any

Node = Mapping[str, Any]
"""An object of the document."""

_STYLE = (Path(__file__).parent / "page.css").read_text(encoding="utf-8")
_STYLE_HASH = base64.b64encode(hashlib.sha256(_STYLE.encode()).digest()).decode()

CONTENT_SECURITY_POLICY = (
    f"default-src 'none'; style-src 'sha256-{_STYLE_HASH}'; base-uri 'none'; frame-ancestors 'none'"
)
_CODE = re.compile(r"`([^`]+)`")


def render_page(document: Node) -> str:
    """Return the whole document as HTML."""
    info = document["info"]
    title = escape(info["title"])
    return (
        '<!doctype html><html lang="en"><head><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width, initial-scale=1">'
        f"<title>{title}: API</title><style>{_STYLE}</style></head><body>"
        f"<header><h1>{title}</h1><p>Version {escape(info['version'])}, "
        '<a href="openapi.json">openapi.json</a>. Names in bold are required.</p>'
        f"{_prose(info['description'])}</header>"
        f"<main>{''.join(_tags(document))}"
        f'<h2 id="schemas">Schemas</h2>{"".join(_schemas(document))}</main></body></html>'
    )


def _tags(document: Node) -> Iterator[str]:
    for tag in document["tags"]:
        operations = [
            _operation(method, path, operation)
            for path, methods in document["paths"].items()
            for method, operation in methods.items()
            if tag["name"] in operation["tags"]
        ]
        if operations:
            yield f"<h2>{escape(tag['name'])}</h2>{_prose(tag['description'])}"
            yield from operations


def _operation(method: str, path: str, operation: Node) -> str:
    sections = (
        _prose(operation.get("description", "")),
        _keys(operation["security"]),
        _parameters(operation.get("parameters", ())),
        _request(operation.get("requestBody")),
        _responses(operation["responses"]),
    )
    return (
        f'<details id="{escape(operation["operationId"])}"><summary>'
        f'<span class="method">{method.upper()}</span> <span class="path">{escape(path)}</span>'
        f'<span class="says">{_inline(operation["summary"])}</span></summary>'
        f'<div class="inside">{"".join(sections)}</div></details>'
    )


def _keys(security: Iterable[Mapping[str, Iterable[str]]]) -> str:
    scopes = [scope for one in security for names in one.values() for scope in names]
    if not scopes:
        return ""
    optional = ", or no key at all" if {} in [*security] else ""
    return f"<p>Needs a key with the scope <code>{escape(', '.join(scopes))}</code>{optional}.</p>"


def _parameters(parameters: Iterable[Node]) -> str:
    rows = [
        (
            _name(one["name"], required=one["required"]),
            escape(one["in"]),
            *_field(one["schema"], one),
        )
        for one in parameters
    ]
    return _table("Parameters", rows)


def _request(body: Node | None) -> str:
    if body is None:
        return ""
    optional = "" if body["required"] else " Optional."
    return f"<h3>Body</h3><p>{_contents(body['content'])}{optional}</p>"


def _responses(responses: Mapping[str, Node]) -> str:
    rows = [
        (
            f"<code>{status}</code>",
            _inline(response["description"]),
            _contents(response.get("content", {})),
        )
        for status, response in responses.items()
    ]
    return _table("Responses", rows)


def _contents(content: Mapping[str, Node]) -> str:
    return ", ".join(
        _type(one["schema"]) if "$ref" in one.get("schema", {}) else f"<code>{escape(kind)}</code>"
        for kind, one in content.items()
    )


def _schemas(document: Node) -> Iterator[str]:
    for name, schema in document["components"]["schemas"].items():
        required = schema.get("required", ())
        rows = [
            (_name(field, required=field in required), *_field(one, one))
            for field, one in schema.get("properties", {}).items()
        ]
        yield (
            f'<details id="schema-{escape(name)}"><summary><code>{escape(name)}</code></summary>'
            f'<div class="inside">{_prose(schema.get("description", ""))}{_table("", rows)}</div>'
            "</details>"
        )


def _name(name: str, *, required: bool) -> str:
    opening = '<code class="must">' if required else "<code>"
    return f"{opening}{escape(name)}</code>"


def _field(schema: Node, described: Node) -> tuple[str, str]:
    """Return the cells of a value: its type, and its description."""
    return _type(schema), _inline(described.get("description", "")) + _limits(schema)


def _type(schema: Node) -> str:
    """Return a value's type in a few words, linked to its schema if it has one."""
    if "$ref" in schema:
        name = escape(schema["$ref"].rpartition("/")[2])
        return f'<a href="#schema-{name}"><code>{name}</code></a>'
    for several in ("anyOf", "oneOf"):
        if several in schema:
            return " or ".join(_type(one) for one in schema[several])
    if "const" in schema:
        return f"<code>{escape(str(schema['const']).lower())}</code>"
    if "enum" in schema:
        return " or ".join(f"<code>{escape(str(word))}</code>" for word in schema["enum"])
    if "items" in schema:
        return f"list of {_type(schema['items'])}"
    return escape(_plain_type(schema))


def _plain_type(schema: Node) -> str:
    kinds = schema.get("type", "any")
    kinds = [kinds] if isinstance(kinds, str) else kinds
    return " or ".join([schema.get("format") or kinds[0], *kinds[1:]])


_LIMITS = {
    "minimum": "from",
    "maximum": "to",
    "minLength": "min. characters:",
    "maxLength": "max. characters:",
    "maxItems": "max. entries:",
    "default": "default:",
}


def _limits(schema: Node) -> str:
    said = [f"{word} {schema[key]}" for key, word in _LIMITS.items() if schema.get(key) is not None]
    return f" <small>{escape(', '.join(said))}</small>" if said else ""


def _table(heading: str, rows: Iterable[tuple[str, ...]]) -> str:
    lines = ["<tr>" + "".join(f"<td>{cell}</td>" for cell in row) + "</tr>" for row in rows]
    if not lines:
        return ""
    title = f"<h3>{heading}</h3>" if heading else ""
    return f'{title}<div class="scroll"><table>{"".join(lines)}</table></div>'


def _prose(text: str) -> str:
    return "".join(f"<p>{_inline(part)}</p>" for part in text.split("\n\n") if part.strip())


def _inline(text: str) -> str:
    return _CODE.sub(r"<code>\1</code>", escape(text, quote=False))

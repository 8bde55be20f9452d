"""The reference of all configuration keys, written from the same classes that check them."""

from __future__ import annotations

import sys
from typing import Any

from pydantic import BaseModel

from workflows.config import Config, allowed_range

_INTRO = """# Configuration

A configuration is a TOML file; what it does not name has the default. Unknown keys are refused.
This page is written by `python -m workflows.config_reference`.
"""


def reference() -> str:
    """The page, as Markdown."""
    lines = [_INTRO]
    for section, field in Config.model_fields.items():
        model = field.annotation
        if not (isinstance(model, type) and issubclass(model, BaseModel)):
            continue
        summary = (model.__doc__ or "").strip().splitlines()[0]
        lines += [f"## [{section}]", "", summary, ""]
        lines += ["| key | default | allowed | what it is |", "| --- | --- | --- | --- |"]
        for key, entry in model.model_fields.items():
            allowed = allowed_range([section, key]).replace("|", "\\|")
            text = entry.description or ""
            lines.append(f"| `{key}` | `{_value(entry.default)}` | {allowed} | {text} |")
        lines.append("")
    return "\n".join(lines)


def _value(value: Any) -> str:
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, str):
        return f'"{value}"'
    if isinstance(value, tuple):
        return f"[{', '.join(str(v) for v in value)}]"
    return f"{value:g}" if isinstance(value, float) else str(value)


if __name__ == "__main__":
    sys.stdout.write(reference())

"""A page and a table of the report as tests ask about them."""

from __future__ import annotations

import csv
from html.parser import HTMLParser
from pathlib import Path


class Page(HTMLParser):
    """Collects what the tests ask about."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.tags: list[str] = []
        self.ids: list[str] = []
        self.targets: list[str] = []
        self.words: list[str] = []
        self.feed(text)
        self.text = " ".join(" ".join(self.words).split())

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        for key, value in attrs:
            if key == "id":
                self.ids.append(value or "")
            elif key in {"src", "href", "xlink:href", "data", "action", "poster", "srcset"}:
                self.targets.append(value or "")
            elif key.startswith("on"):
                self.tags.append(f"handler {key}")

    def handle_data(self, data: str) -> None:
        self.words.append(data)


def read(path: Path) -> tuple[list[str], list[dict[str, str]]]:
    with path.open(newline="", encoding="utf-8") as stream:
        rows = csv.DictReader(stream)
        return list(rows.fieldnames or ()), list(rows)

"""Reads the public page as a person hears it: days with their classes, the status line, the links."""

import re
from html.parser import HTMLParser

VOID = {"meta", "link", "br", "input", "img"}


class Page(HTMLParser):
    def __init__(self, html: str) -> None:
        super().__init__()
        self.text = ""
        self.status = ""
        self.links: dict[str, str] = {}
        self.days: dict[str, list[str]] = {}
        self._open: list[tuple[str, dict[str, str]]] = []
        self._link = ""
        self.feed(html)
        self.close()
        assert not self._open, f"left open: {self._open}"
        self.text, self.status = _plain(self.text), _plain(self.status)
        self.days = {day: [_plain(text) for text in texts] for day, texts in self.days.items()}

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        if tag in VOID:
            return
        values = {name: value or "" for name, value in attrs}
        self._open.append((tag, values))
        if self._in("session") and tag == "li":
            next(reversed(self.days.values())).append("")
        if tag == "a":
            self._link = ""

    def handle_endtag(self, tag: str) -> None:
        name, values = self._open.pop()
        assert name == tag, f"{tag} closes {name}"
        if tag == "a":
            self.links[_plain(self._link).strip("←→ ")] = values["href"]

    def handle_data(self, data: str) -> None:
        if any("hidden" in values for _, values in self._open):
            return
        self.text += f" {data} "
        self._link += data
        if self._in("weekday"):
            self.days[data] = []
        if self._in("session"):
            days = next(reversed(self.days.values()))
            days[-1] += f" {data} "
        if any(values.get("role") == "status" for _, values in self._open):
            self.status += data

    def _in(self, name: str) -> bool:
        return any(name in values.get("class", "").split() for _, values in self._open)


def _plain(text: str) -> str:
    return re.sub(r"\s+", " ", text).strip()

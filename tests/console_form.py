"""Reading a form of the console as a browser does, so that tests post what a browser would."""

from html.parser import HTMLParser
from typing import Any


class _Reader(HTMLParser):
    """Collects what the form with an id would send."""

    def __init__(self, form_id: str) -> None:
        super().__init__()
        self.form_id = form_id
        self.data: dict[str, list[str]] = {}
        self._inside = False
        self._select = ""
        self._textarea = ""

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        given = dict(attrs)
        name = given.get("name") or ""
        if tag == "form":
            self._inside = given.get("id") == self.form_id
        elif not self._inside:
            return
        elif tag == "input" and name and given.get("type") != "submit":
            if given.get("type") in ("checkbox", "radio") and "checked" not in given:
                return
            self.data.setdefault(name, []).append(given.get("value") or ("on" if "checked" in given else ""))
        elif tag == "select":
            self._select = name
            self.data.setdefault(name, [])
        elif tag == "option" and self._select and "selected" in given:
            self.data[self._select].append(given.get("value") or "")
        elif tag == "textarea":
            self._textarea = name
            self.data[name] = [""]

    def handle_endtag(self, tag: str) -> None:
        if tag == "form":
            self._inside = False
        elif tag == "select":
            self._select = ""
        elif tag == "textarea":
            self._textarea = ""

    def handle_data(self, data: str) -> None:
        if self._textarea:
            # A browser drops the line break after the opening tag.
            self.data[self._textarea][0] += data.removeprefix("\r\n").removeprefix("\n")


def read(response: Any, model_name: str, **changes: Any) -> dict[str, Any]:
    """Return what the page's form would send, with some fields filled in differently."""
    reader = _Reader(f"{model_name}_form")
    reader.feed(response.content.decode())
    assert reader.data, "the page has no such form"
    return {**reader.data, **changes}

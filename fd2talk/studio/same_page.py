"""Which page it is that is loaded again: the browser's window says so, whatever the server knows of connections."""

from __future__ import annotations

from dataclasses import dataclass

# The window keeps the name only from one load to the next: a duplicate of it, which is open beside it, has none.
NAME_AND_LOADS = """() => {
  const key = "fd2talk-studio-page";
  if (!window.studioPage) {
    const bytes = crypto.getRandomValues(new Uint8Array(12));
    const made = [...bytes].map(byte => byte.toString(16).padStart(2, "0")).join("");
    const [name, loads] = (sessionStorage.getItem(key) ?? `${made} 0`).split(" ");
    window.studioPage = `${name} ${Number(loads) + 1}`;
    sessionStorage.removeItem(key);
    addEventListener("pagehide", () => sessionStorage.setItem(key, window.studioPage));
  }
  return [window.studioPage];
}"""
"""JavaScript that is called as a page is loaded: a name of the window, and how often this page was loaded in it."""


@dataclass(frozen=True)
class Loaded:
    """A load of a page.

    Args:
        name: of the window in which it is open.
        count: of the loads in it; a later one takes over from an earlier one.
    """

    name: str
    count: int

    @classmethod
    def parsed(cls, text: object) -> Loaded | None:
        """What `NAME_AND_LOADS` gives; None: something else was sent."""
        name, _, count = text.partition(" ") if isinstance(text, str) and len(text) <= 60 else ("", "", "")
        return cls(name, int(count)) if name and count.isascii() and count.isdecimal() else None

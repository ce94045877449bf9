"""Recognises a reloaded page by its browser window, independently of the state of connections."""

from __future__ import annotations

from dataclasses import dataclass

# The name is in sessionStorage only between two loads, so that a duplicated tab does not get it.
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
"""JavaScript for the load of a page; returns the name of the window and the number of loads in it."""


@dataclass(frozen=True)
class Loaded:
    """A load of a page.

    Args:
        name: of the window.
        count: number of the load in this window; a later one takes over from an earlier one.
    """

    name: str
    count: int

    @classmethod
    def parsed(cls, text: object) -> Loaded | None:
        """Parse the result of `NAME_AND_LOADS`; None: it is malformed."""
        name, _, count = text.partition(" ") if isinstance(text, str) and len(text) <= 60 else ("", "", "")
        return cls(name, int(count)) if name and count.isascii() and count.isdecimal() else None

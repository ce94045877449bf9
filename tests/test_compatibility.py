"""docs/compatibility.md has the rows of the tests."""

from situations import DOCUMENT, KINDS, document, rows


def test_the_page_is_up_to_date():
    table = rows()
    assert len({row.situation for row in table}) == len(table)
    assert all(row.kind in KINDS and "|" not in row.situation + row.happens for row in table)
    made = "python -m pytest -m situation --compatibility"
    assert DOCUMENT.read_text(encoding="utf-8") == document(table), f"to write it: {made}"

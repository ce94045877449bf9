"""File names of clients lead nowhere else, hide nothing, and are of limited length."""

import pytest

from fd2talk.file_names import safe_name


@pytest.mark.parametrize(
    ("name", "kept"),
    [
        ("photo.jpg", "photo.jpg"),
        ("../../etc/passwd", "passwd"),
        ("C:\\photos\\me.png", "me.png"),
        (".hidden", "hidden"),
        ("", "file"),
        ("..", "file"),
        ("a\nb\0c.png", "a_b_c.png"),
        ("фото.jpg", "_.jpg"),
        ("x" * 300 + ".jpeg", "x" * 60 + ".jpeg"),
        ("a." + "b" * 50, "a." + "b" * 9),
    ],
)
def test_names_are_safe(name, kept):
    assert safe_name(name) == kept

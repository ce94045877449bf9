"""Packages whose requirements are not met, and which exceptions they are blamed for."""

from importlib import metadata

import pytest

from fd2talk.dependencies import broken_dependency, unmet_requirements

INSTALLED = {
    "fd2talk": ("0.1.0", ["tracker==1.5", "numbers>=2; python_version > '3'", "extra-thing>=1; extra == 'train'"]),
    "tracker": ("1.5", ["Wire_Format<5,>=4.2", "missing>=1", "numbers"]),
    "numbers": ("2.1", ["tracker"]),  # a circle
    "wire-format": ("6.0", []),
}


class Distribution:
    def __init__(self, name):
        key = name.lower().replace("_", "-")
        if key not in INSTALLED:
            raise metadata.PackageNotFoundError(name)
        self.version, self.requires = INSTALLED[key]


@pytest.fixture
def neighbours(monkeypatch):
    monkeypatch.setattr(metadata, "distribution", Distribution)
    monkeypatch.setattr(metadata, "version", lambda name: Distribution(name).version)


def test_requirements_are_followed_and_said_with_their_remedy(neighbours):
    unmet = {problem.sentence: problem.remedy for problem in unmet_requirements()}
    assert unmet == {
        "tracker 1.5 needs Wire_Format<5,>=4.2, but Wire_Format 6.0 is installed": 'pip install "Wire_Format<5,>=4.2"',
        "tracker 1.5 needs missing>=1, which is not installed": 'pip install "missing>=1"',
    }


def test_a_package_that_cannot_be_imported_is_named():
    try:
        import a_package_that_is_nowhere  # noqa: F401
    except ImportError as error:
        sentence = broken_dependency(error)
    assert sentence is not None and "a_package_that_is_nowhere cannot be imported" in sentence
    assert "fd2talk doctor" in sentence


def raised_in(module):
    """An AttributeError whose last frame lies in that module."""
    space = {"__name__": module}
    exec("def use(thing): return thing.label", space)
    try:
        space["use"](object())
    except AttributeError as error:
        return error


def test_our_bugs_are_not_blamed_on_others(neighbours):
    assert "Wire_Format" in broken_dependency(raised_in("wire_format.pool"))
    assert broken_dependency(raised_in("fd2talk.commands.generate")) is None
    assert broken_dependency(ImportError("cannot import name x", name="shared.audio")) is None


def test_where_all_requirements_are_met_exceptions_keep_their_traceback(monkeypatch, neighbours):
    monkeypatch.setitem(INSTALLED, "tracker", ("1.5", []))
    assert unmet_requirements() == [] and broken_dependency(raised_in("wire_format.pool")) is None

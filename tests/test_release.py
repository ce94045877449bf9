"""The version and its date are the same wherever they are written."""

import re
from pathlib import Path

import pytest
import yaml

import fd2talk

ROOT = Path(__file__).parent.parent


def read(name):
    return (ROOT / name).read_text(encoding="utf-8")


@pytest.fixture(scope="module")
def releases():
    """(version, date) of every release in the changelog, the newest first."""
    return re.findall(r"^## \[(\d+\.\d+\.\d+)\] - (\d{4}-\d\d-\d\d)$", read("CHANGELOG.md"), re.M)


def test_one_version(releases):
    citation = yaml.safe_load(read("CITATION.cff"))
    declared = re.search(r'^version = "(.+)"$', read("pyproject.toml"), re.M)[1]
    assert releases[0] == (citation["version"], str(citation["date-released"]))
    assert declared == fd2talk.__version__ == citation["version"]


def test_the_changelog_is_in_order(releases):
    headings = re.findall(r"^## (.+)$", read("CHANGELOG.md"), re.M)
    assert headings[0] == "[Unreleased]" and len(headings) == len(releases) + 1
    numbers = [tuple(map(int, version.split("."))) for version, _ in releases]
    assert numbers == sorted(set(numbers), reverse=True)
    assert [date for _, date in releases] == sorted((date for _, date in releases), reverse=True)


def test_one_licence():
    assert yaml.safe_load(read("CITATION.cff"))["license"] == "Apache-2.0"
    assert 'license = { text = "Apache-2.0" }' in read("pyproject.toml") and "Apache License" in read("LICENSE")

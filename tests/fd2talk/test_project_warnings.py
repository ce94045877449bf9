"""Warnings of the project are passed on in one line, once; those of libraries are not."""

import warnings

from fd2talk.project_warnings import project_warnings


def _warn(text, module, kind=UserWarning):
    warnings.warn_explicit(text, kind, f"{module}.py", 1, module=module)


def test_only_those_of_the_project_are_passed_on():
    found, before = [], warnings.showwarning
    with project_warnings(found.append):
        _warn("a photo\n  is small", "shared.images")
        _warn("of a library", "torch.nn")
        _warn("of a library whose name begins alike", "shared_memory.pool")
        _warn("for developers", "fd2talk.request", DeprecationWarning)
        _warn("of the top", "fd2talk")
    assert found == ["a photo is small", "of the top"] and warnings.showwarning is before


def test_equal_ones_are_passed_on_once_unless_all_are_asked_for():
    for once, count in ((True, 1), (False, 2)):
        found = []
        with project_warnings(found.append, once=once):
            for _ in range(2):
                _warn("the same", "stage2_render.pipeline")
        assert found == ["the same"] * count

"""Whether the packages that fd2talk stands on are there, in versions that fit each other."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from importlib import metadata

from fd2talk.project_warnings import PACKAGES


@dataclass(frozen=True)
class Unmet:
    """A requirement of an installed package that is not met; in words, and the command that mends it."""

    sentence: str
    remedy: str


def unmet_requirements(name: str = "fd2talk") -> list[Unmet]:
    """Check the requirements of a package, of those that it needs, and so on, as `pip check` does for all packages."""
    return list(_unmet(name, set()))


def _unmet(name: str, checked: set[str]) -> Iterator[Unmet]:
    from packaging.requirements import Requirement  # which may be missing, too

    checked.add(name)
    try:
        package = metadata.distribution(name)
    except metadata.PackageNotFoundError:
        return
    for requirement in map(Requirement, package.requires or ()):
        if requirement.marker and not requirement.marker.evaluate({"extra": ""}):
            continue
        remedy = f'pip install "{requirement.name}{requirement.specifier}"'
        needs = f"{name} {package.version} needs {requirement.name}{requirement.specifier}"
        try:
            version = metadata.version(requirement.name)
        except metadata.PackageNotFoundError:
            yield Unmet(f"{needs}, which is not installed", remedy)
            continue
        if not requirement.specifier.contains(version, prereleases=True):
            yield Unmet(f"{needs}, but {requirement.name} {version} is installed", remedy)
        if (other := requirement.name.lower().replace("_", "-")) not in checked:
            yield from _unmet(other, checked)


def broken_dependency(error: Exception) -> str | None:
    """Say that a package is to blame for an exception, where one is: it cannot be imported, or does not fit another.

    Returns:
        A sentence that names `fd2talk doctor`, or None for what may be a bug of fd2talk.
    """
    trace = error.__traceback__
    while trace is not None and trace.tb_next is not None:
        trace = trace.tb_next
    place = str(trace.tb_frame.f_globals.get("__name__", "")) if trace else ""
    if isinstance(error, ImportError):
        package = (error.name or place).split(".")[0]
        if package not in PACKAGES:
            reason = " ".join(str(error).split())
            return f"the package {package} cannot be imported ({reason}); see `fd2talk doctor`"
    elif place.split(".")[0] not in PACKAGES and (unmet := unmet_requirements()):
        return f"{unmet[0].sentence} ({type(error).__name__}); see `fd2talk doctor`"
    return None

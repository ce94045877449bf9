"""The rooms of the project: every module imports, arrows point one way, and no two modules import each other."""

import ast
import functools
import importlib
from graphlib import TopologicalSorter
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
MAY_IMPORT = {
    "shared": {"shared"},
    "stage1_motion": {"shared", "stage1_motion"},
    "stage2_render": {"shared", "stage2_render"},
    "fd2talk": {"shared", "stage1_motion", "stage2_render", "fd2talk"},
}
FRAMEWORKS = {"fd2talk.integrations.pipecat": "pipecat", "fd2talk.integrations.livekit": "livekit.agents"}
# Applications, and who else may import one: the command that starts it, and adapters that are made of its parts.
APPLICATIONS = {
    "fd2talk.batches": ("fd2talk.commands.batch",),
    "fd2talk.live": ("fd2talk.commands.live", "fd2talk.integrations"),
    "fd2talk.service": ("fd2talk.commands.serve",),
    "fd2talk.studio": ("fd2talk.commands.studio",),
}
FILES = sorted(path for room in MAY_IMPORT for path in (ROOT / room).rglob("*.py"))
# What trains may import what trains: `fd2talk train`, `shard` and `personalise`, and the ablations with their variants.
TRAINERS = (
    "fd2talk.commands.shard",
    "fd2talk.commands.train",
    "fd2talk.commands.personalise",
    "fd2talk.evaluation.ablation",
    "stage1_motion.models.diface.personalisation",
)


def name_of(path):
    parts = path.relative_to(ROOT).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


MODULES = {name_of(path): path for path in FILES}


def imported(node):
    """Modules of the project that a piece of code imports, wherever in it."""
    for child in ast.walk(node):
        if isinstance(child, ast.Import):
            yield from (alias.name for alias in child.names)
        elif isinstance(child, ast.ImportFrom):
            assert child.level == 0, "relative import"
            yield child.module
            yield from (f"{child.module}.{alias.name}" for alias in child.names)


def tree(path):
    return ast.parse(path.read_text(encoding="utf-8"))


@functools.cache
def imports(path):
    return {name for name in imported(tree(path)) if name in MODULES}


def imports_at_import_time(path):
    """Without those inside functions and those for type checkers."""
    found = set()
    waiting = [*tree(path).body]
    while waiting:
        node = waiting.pop()
        if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef)):
            continue
        if isinstance(node, ast.If) and "TYPE_CHECKING" in ast.dump(node.test):
            continue
        if isinstance(node, (ast.Import, ast.ImportFrom)):
            found |= {name for name in imported(node) if name in MODULES}
        waiting += ast.iter_child_nodes(node)
    return found


def trains(name):
    """Whether a module is part of training: it lies in a room of that name, is named so, or holds training data."""
    parts = name.split(".")
    return "training" in parts or parts[-1].endswith("_training") or name == "stage1_motion.dataset"


def test_there_is_something_to_check():
    assert len(MODULES) > 100


@pytest.mark.parametrize("name", MODULES)
def test_module_imports_what_it_may(name):
    room = name.split(".")[0]
    assert {other.split(".")[0] for other in imports(MODULES[name])} <= MAY_IMPORT[room]
    if name in FRAMEWORKS:
        pytest.importorskip(FRAMEWORKS[name], reason="an adapter needs its framework: make test-integrations")
    if not name.endswith("__main__"):
        importlib.import_module(name)


@pytest.mark.parametrize("name", [name for name in MODULES if name.startswith("stage1_motion.models.")])
def test_motion_models_do_not_import_each_other(name):
    own = ".".join(name.split(".")[:3])
    others = {other for other in imports(MODULES[name]) if other.startswith("stage1_motion.models.")}
    assert all(other == "stage1_motion.models" or other.startswith(own) for other in others)


def test_stage_one_knows_models_by_the_registry_alone():
    for name, path in MODULES.items():
        if name.startswith("stage1_motion") and not name.startswith("stage1_motion.models"):
            assert not any(other.startswith("stage1_motion.models.") for other in imports(path)), name


@pytest.mark.parametrize("name", [name for name in MODULES if not trains(name) and not name.startswith(TRAINERS)])
def test_training_is_imported_by_nothing_that_runs_at_inference(name):
    assert not {other for other in imports(MODULES[name]) if trains(other)}


def lies_in(name, rooms):
    return any(name == room or name.startswith(f"{room}.") for room in rooms)


@pytest.mark.parametrize("name", MODULES)
def test_applications_do_not_import_each_other(name):
    """What several of them need lies beside them: `generation`, `pipelines`, `media_checks`, `serving`."""
    for application, others in APPLICATIONS.items():
        if not lies_in(name, (application, *others)):
            assert not {other for other in imports(MODULES[name]) if lies_in(other, (application,))}


def test_the_warp_does_without_diffusion():
    for name, path in MODULES.items():
        if name.startswith("stage2_render.warp"):
            assert not any(other.startswith("stage2_render.diffusion") for other in imports(path)), name


def test_no_module_imports_itself_through_others():
    graph = {name: imports_at_import_time(path) - {name} for name, path in MODULES.items()}
    # A package is loaded before its modules; that alone is no arrow.
    graph = {name: {other for other in found if not name.startswith(f"{other}.")} for name, found in graph.items()}
    TopologicalSorter(graph).prepare()


@pytest.mark.parametrize("path", FILES, ids=name_of)
def test_no_error_is_its_own_cause(path):
    """Whoever followed the causes of such an error would never come to an end."""
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Raise) and isinstance(node.cause, ast.Name):
            raised = [node.exc.body, node.exc.orelse] if isinstance(node.exc, ast.IfExp) else [node.exc]
            same = [one for one in raised if isinstance(one, ast.Name) and one.id == node.cause.id]
            assert not same, f"{path}:{node.lineno}"


@pytest.mark.parametrize("path", FILES, ids=name_of)
def test_processes_end_with_who_started_them(path):
    text = path.read_text(encoding="utf-8")
    if "ProcessPoolExecutor(" in text or "get_context(" in text:
        assert "end_with_parent()" in text or "target=_end_with_parent" in text


def test_nothing_else_lies_at_the_top():
    packages = {path.parent.name for path in ROOT.glob("*/__init__.py")}
    assert packages == set(MAY_IMPORT)


def test_every_package_is_installed():
    text = (ROOT / "pyproject.toml").read_text(encoding="utf-8")
    for name, path in MODULES.items():
        if path.name == "__init__.py":
            assert f'"{name}"' in text, name


@pytest.mark.parametrize(
    "path",
    [*FILES, *(ROOT / "scripts").glob("*.py"), *(ROOT / "integrations").rglob("*.py")],
    ids=lambda p: p.relative_to(ROOT).as_posix(),
)
def test_no_file_is_too_long(path):
    assert path.read_text(encoding="utf-8").count("\n") <= 350

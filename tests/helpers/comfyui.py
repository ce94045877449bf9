"""What ComfyUI's documentation promises to custom nodes: how it loads a folder, checks a workflow, and runs it.

Written from https://docs.comfy.org/custom-nodes/backend for nodes with INPUT_TYPES ("V1"); there is nothing of ComfyUI
in it.
"""

import importlib.util
import inspect
import sys
import types
from pathlib import Path

import torch

SIMPLE = {"INT": int, "FLOAT": float, "STRING": str, "BOOLEAN": bool}


class Interrupted(Exception):
    """As `comfy.model_management.InterruptProcessingException`."""


class Host:
    """ComfyUI's own modules, as far as nodes are told to use them.

    Attributes:
        bars: totals and steps of each progress bar.
        stop_after: steps of progress after which somebody presses "stop"; None: never.
    """

    def __init__(self, folder: Path):
        self.folder, self.bars, self.stop_after = folder, [], None
        for name in ("input", "output"):
            (folder / name).mkdir(parents=True)

    def install(self, monkeypatch) -> None:
        host = self

        class ProgressBar:
            def __init__(self, total):
                self.steps = []
                host.bars.append((total, self.steps))

            def update_absolute(self, value, total=None, preview=None):
                self.steps.append((value, total))

        def throw_exception_if_processing_interrupted():
            if host.stop_after is not None and sum(len(steps) for _, steps in host.bars) >= host.stop_after:
                raise Interrupted

        modules = {
            "comfy": {},
            "comfy.utils": {"ProgressBar": ProgressBar},
            "comfy.model_management": {
                "throw_exception_if_processing_interrupted": throw_exception_if_processing_interrupted
            },
            "folder_paths": {
                "get_output_directory": lambda: str(host.folder / "output"),
                "get_input_directory": lambda: str(host.folder / "input"),
                "get_annotated_filepath": host.annotated,
                "get_save_image_path": host.save_path,
            },
        }
        for name, content in modules.items():
            module = types.ModuleType(name)
            vars(module).update(content)
            monkeypatch.setitem(sys.modules, name, module)

    def annotated(self, name, default_dir=None):
        for place in ("input", "output"):
            if name.endswith(f"[{place}]"):
                return str(self.folder / place / name.removesuffix(f"[{place}]").strip())
        return str(self.folder / "input" / name)

    def save_path(self, prefix, output, width=0, height=0):
        prefix = prefix.replace("%width%", str(width)).replace("%height%", str(height))
        folder = (Path(output) / prefix).parent
        if not folder.resolve().is_relative_to(Path(output).resolve()):
            raise Exception("Saving image outside the output folder is not allowed.")
        folder.mkdir(parents=True, exist_ok=True)
        name = Path(prefix).name
        taken = [path.name[len(name) + 1 :].split("_")[0] for path in folder.glob(f"{name}_*")]
        number = max((int(text) for text in taken if text.isdigit()), default=0) + 1
        return str(folder), name, number, str(Path(prefix).parent).replace(".", ""), prefix


def load(folder: Path) -> types.ModuleType:
    """Import a folder of `custom_nodes`: under the name of its path, without its parent on the search path."""
    name = str(folder).replace(".", "_x_")
    spec = importlib.util.spec_from_file_location(name, folder / "__init__.py")
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module
    spec.loader.exec_module(module)
    return module


def check_class(node) -> None:
    """What a class of NODE_CLASS_MAPPINGS must have."""
    inputs = node.INPUT_TYPES()
    assert "required" in inputs and set(inputs) <= {"required", "optional", "hidden"}
    assert isinstance(node.RETURN_TYPES, tuple) and all(isinstance(kind, str) for kind in node.RETURN_TYPES)
    names = getattr(node, "RETURN_NAMES", node.RETURN_TYPES)
    assert isinstance(names, tuple) and len(names) == len(node.RETURN_TYPES)
    assert isinstance(node.CATEGORY, str) and node.CATEGORY
    assert getattr(node, "OUTPUT_NODE", False) in (True, False)
    parameters = inspect.signature(getattr(node, node.FUNCTION)).parameters
    takes_any = any(one.kind is one.VAR_KEYWORD for one in parameters.values())
    given = {**inputs["required"], **inputs.get("optional", {})}
    assert len(given) == len(inputs["required"]) + len(inputs.get("optional", {})), "a name is there twice"
    for name, specification in given.items():
        assert name.isidentifier() and (takes_any or name in parameters), name
        assert isinstance(specification, tuple) and 1 <= len(specification) <= 2, name
        kind, settings = specification[0], specification[1] if len(specification) == 2 else {}
        assert isinstance(kind, (str, list)) and isinstance(settings, dict), name
        if isinstance(kind, list):
            assert all(isinstance(choice, str) for choice in kind), name
            assert settings.get("default", kind[0] if kind else None) in (kind or [None]), name
        elif kind in SIMPLE:
            default = settings["default"]
            assert type(default) in ((int, float) if kind == "FLOAT" else (SIMPLE[kind],)), name
            if kind in ("INT", "FLOAT"):
                assert settings["min"] <= default <= settings["max"], name
                assert abs(settings["max"]) <= 2**53, "more than a browser can hold"
    for name in inputs.get("optional", {}):  # these are left out where nothing is connected
        assert takes_any or parameters[name].default is not inspect.Parameter.empty, name


def errors(workflow: dict, nodes: dict) -> list[str]:
    """What ComfyUI refuses in a workflow (API format) before it runs, as lines."""
    found = []
    for number, step in workflow.items():
        node = nodes.get(step["class_type"])
        if node is None:
            found.append(f"{number}: there is no node {step['class_type']}")
            continue
        inputs = node.INPUT_TYPES()
        check = getattr(node, "VALIDATE_INPUTS", None)
        checked = set() if check is None else set(inspect.signature(check).parameters)
        for name, specification in {**inputs["required"], **inputs.get("optional", {})}.items():
            if name not in step["inputs"]:
                if name in inputs["required"]:
                    found.append(f"{number}: required input {name} is missing")
                continue
            found += [
                f"{number}: {line}" for line in _input_errors(name, specification, step, checked, workflow, nodes)
            ]
        unknown = set(step["inputs"]) - {*inputs["required"], *inputs.get("optional", {})}
        found += [f"{number}: {name} is no input" for name in sorted(unknown)]
        if check is not None:
            result = check(**{name: step["inputs"][name] for name in checked if name in step["inputs"]})
            if result is not True:
                found.append(f"{number}: {result}")
    if not any(getattr(nodes.get(step["class_type"]), "OUTPUT_NODE", False) for step in workflow.values()):
        found.append("the workflow has no outputs")
    return found


def _input_errors(name, specification, step, checked, workflow, nodes):
    kind, settings = specification[0], specification[1] if len(specification) == 2 else {}
    value = step["inputs"][name]
    if isinstance(value, list):
        source, slot = value
        given = nodes[workflow[source]["class_type"]].RETURN_TYPES[slot]
        if given != kind:
            yield f"{name}: {given} is not {kind}"
        return
    if isinstance(kind, str) and kind not in SIMPLE:
        yield f"{name}: {kind} must be connected"
        return
    if isinstance(kind, str):
        try:
            value = SIMPLE[kind](value)
        except ValueError:
            yield f"{name}: {value!r} is no {kind}"
            return
    if name in checked:
        return
    if "min" in settings and value < settings["min"]:
        yield f"{name}: {value} is smaller than {settings['min']}"
    if "max" in settings and value > settings["max"]:
        yield f"{name}: {value} is bigger than {settings['max']}"
    if isinstance(kind, list) and value not in kind:
        yield f"{name}: {value!r} is not in {kind}"


class Executor:
    """Runs workflows; results of steps whose inputs did not change are kept from one to the next.

    Args:
        nodes: classes by name.
        kept: where results are kept, so that executors may share them; None: this one has its own.

    Attributes:
        ran: numbers of the steps that the last run executed.
        ui: what output nodes showed.
    """

    def __init__(self, nodes: dict, kept: dict | None = None):
        self._nodes, self._objects, self._kept = nodes, {}, {} if kept is None else kept
        self.ran, self.ui = [], {}

    def run(self, workflow: dict) -> dict[str, tuple]:
        """Results of all steps that output nodes need."""
        assert errors(workflow, self._nodes) == []
        self.ran, self.ui, results = [], {}, {}
        outputs = [
            key for key, step in workflow.items() if getattr(self._nodes[step["class_type"]], "OUTPUT_NODE", False)
        ]
        with torch.inference_mode():
            for number in outputs:
                self._step(number, workflow, results)
        return {number: result for number, (_, result) in results.items()}

    def _step(self, number, workflow, results):
        if number in results:
            return
        step = workflow[number]
        node = self._nodes[step["class_type"]]
        inputs, key = {}, [step["class_type"]]
        for name, value in step["inputs"].items():
            if isinstance(value, list):
                self._step(value[0], workflow, results)
                source_key, source = results[value[0]]
                inputs[name] = source[value[1]]
                key.append((name, source_key, value[1]))
            else:
                inputs[name] = value
                key.append((name, repr(value)))
        if hasattr(node, "IS_CHANGED"):
            constants = {name: value for name, value in step["inputs"].items() if not isinstance(value, list)}
            key.append(repr(node.IS_CHANGED(**constants)))
        key = tuple(key)
        if (number, key) not in self._kept:
            instance = self._objects.setdefault((number, step["class_type"]), node())
            self.ran.append(number)
            result = getattr(instance, node.FUNCTION)(**inputs)
            if isinstance(result, dict):
                self.ui[number] = result.get("ui", {})
                result = result["result"]
            assert isinstance(result, tuple) and len(result) == len(node.RETURN_TYPES)
            self._kept[(number, key)] = result
        results[number] = key, self._kept[(number, key)]

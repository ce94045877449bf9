"""Ablations of the renderer."""

import os
from pathlib import Path

import ablate_renderer
from ablate_renderer import VARIANTS
from evaluate_renderer import parse
from renderer_tables import Results


def test_every_variant_is_a_system():
    for config, switches in VARIANTS.values():
        assert parse(f"diffusion:weights=x/{config},{switches}", "bundled")[1] == f"x/{config}"


def test_a_stopped_ablation_resumes(results, tmp_path, monkeypatch, capsys):
    ran = []

    def run(*arguments):
        ran.append(arguments)
        if "train" in arguments:
            best = Path("runs") / f"ablation_{arguments[-1].stem}" / "best"
            best.mkdir(parents=True, exist_ok=True)
            if not (best / "unet.safetensors").exists():  # a finished training does not change its weights
                (best / "unet.safetensors").touch()
            return
        names = [value for option, value in zip(arguments, arguments[1:]) if option == "--system"]
        of = {name: name if name in ("still", "warp") else "learned" for name in names}
        rows = [{**row, "system": name} for name in names for row in results().of(of[name])]
        path = arguments[arguments.index("--json") + 1]
        Results(results().of("real") + rows, {name: [0.1] for name in names}).save(path)

    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(ablate_renderer, "_run", run)
    ablate_renderer.main(["--limit", "2"], standalone_mode=False)
    table = capsys.readouterr().out
    assert len(ran) == 4 + 1 + len(VARIANTS)
    assert table.count("\n| ") == 2 + 2 + len(VARIANTS) and "| conditions concatenated | +2.00 dB, -50% PASS" in table
    ran.clear()
    os.utime("runs/ablation_concatenated/best/unet.safetensors", (2**32, 2**32))
    ablate_renderer.main(["--limit", "2"], standalone_mode=False)
    assert capsys.readouterr().out == table
    evaluated = [arguments for arguments in ran if "train" not in arguments]
    assert [arguments[2] for arguments in evaluated] == ["diffusion:weights=runs/ablation_concatenated/best"]

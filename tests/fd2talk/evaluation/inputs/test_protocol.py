"""Protocols: the papers' tables as printed, and one-line errors."""

import pytest
import yaml

from fd2talk.evaluation.inputs.protocol import Target, conversion, load_protocol, protocols
from shared.errors import InputError, UsageError
from shared.weights import bundled_config

# (protocol, table, title's beginning, data, method, header, as printed)
PRINTED = [
    ("fd2talk", "Table 1", "", "HDTF", "Ground Truth", "LSE-C", "8.32"),
    ("fd2talk", "Table 1", "", "HDTF", "Wav2Lip", "LSE-C", "10.08"),
    ("fd2talk", "Table 1", "", "HDTF", "Wav2Lip", "Diversity", None),
    ("fd2talk", "Table 1", "", "HDTF", "SadTalker", "PSNR", "35.78"),
    ("fd2talk", "Table 1", "", "HDTF", "DiffTalk", "PSNR", "36.51"),
    ("fd2talk", "Table 1", "", "HDTF", "FD2Talk", "Beat Align", "0.336"),
    ("fd2talk", "Table 1", "", "VoxCeleb", "Ground Truth", "SyncNet", "5.73"),
    ("fd2talk", "Table 1", "", "VoxCeleb", "MakeItTalk", "FID", "31.77"),
    ("fd2talk", "Table 1", "", "VoxCeleb", "DreamTalk", "SSIM", "0.692"),
    ("fd2talk", "Table 1", "", "VoxCeleb", "FD2Talk", "Diversity", "0.359"),
    ("fd2talk", "Table 2", "", "", "Single Diffusion Transformer", "SyncNet", "3.08"),
    ("fd2talk", "Table 2", "", "", "Concatenate UNet Conditions", "SSIM", "0.523"),
    ("fd2talk", "Table 2", "", "", "Full (FD2Talk)", "PSNR", "38.10"),
    ("fd2talk", "Table 3", "", "", "w/o L_sync", "LSE-C", "5.35"),
    ("diffposetalk", "Table 1", "", "", "FaceFormer", "LVE (mm)", "9.85 ± 0.019"),
    ("diffposetalk", "Table 1", "", "", "CodeTalker", "MOD (mm)", "3.00 ± 0.031"),
    ("diffposetalk", "Table 1", "", "", "Yi et al.", "FDD (×10⁻⁵ m)", "21.85"),
    ("diffposetalk", "Table 1", "", "", "SadTalker", "LVE (mm)", None),
    ("diffposetalk", "Table 1", "", "", "DiffPoseTalk w/o AM", "LVE (mm)", "16.06 ± 0.017"),
    ("diffposetalk", "Table 1", "", "", "DiffPoseTalk w/o L_geo", "FDD (×10⁻⁵ m)", "15.53 ± 0.078"),
    ("diffposetalk", "Table 1", "", "", "DiffPoseTalk", "FDD (×10⁻⁵ m)", "10.56 ± 0.026"),
    ("diffposetalk", "Table 1", "", "", "DiffPoseTalk", "BA", "0.305 ± 0.002"),
    ("diffposetalk", "Table 2", "", "", "SadTalker", "Head Pose", "0.788"),
    ("diffposetalk", "Table 2", "", "", "DiffPoseTalk", "Exp", "1.016"),
    ("diffposetalk", "Table 4", "", "VOCASET", "DiffPoseTalk*", "FDD (×10⁻⁵ m²)", "8.85"),
    ("diffposetalk", "Poster", "Without", "", "DiffPoseTalk (no HP)", "LVE (mm)", "8.81"),
    ("diffposetalk", "Poster", "With head", "", "DiffPoseTalk", "FDD (×10⁻³ m)", "9.60"),
    ("diffposetalk", "Poster", "Ablations", "", "DiffPoseTalk w/o CFG", "MOD (mm)", "1.56"),
    ("3diface", "Table 1", "Non", "", "VOCA", "Lip-Sync", "5.30"),
    ("3diface", "Table 1", "Non", "", "FaceDiffuser", "Div^E", "0.05"),
    ("3diface", "Table 1", "Non", "", "3DiFACE s=0.5 (w/o sty)", "Div^E", "2.57"),
    ("3diface", "Table 1", "Personalized", "", "Imitator (w/ sty)", "Lip-max", "3.43"),
    ("3diface", "Table 2", "(a)", "", "3DiFACE (w/ FF arch)", "Lip-Sync", "3.49"),
    ("3diface", "Table 2", "(b)", "", "3DiFACE (~5s)", "Div^E", "29.95"),
    ("3diface", "Table 2", "(c)", "", "3DiFACE (high noise)", "L2-face", "0.94"),
    ("3diface", "Table 3", "", "VOCASET, subject 024", "3DiFACE (Ip 50%)", "Lip-max", "1.74"),
    ("3diface", "Table 3", "", "VOCASET, subject 024", "3DiFACE (3KF/sec)", "L2-lip", "0.07"),
    ("3dfacepolicy", "Table 1", "", "", "FaceFormer", "FDD (1×10⁻⁵ mm²)", "25.352"),
    ("3dfacepolicy", "Table 1", "", "", "CodeTalker", "MVE (1×10⁻³ mm)", "0.912"),
    ("3dfacepolicy", "Table 1", "", "", "3DFacePolicy", "FDD (1×10⁻⁵ mm²)", "6.276"),
]


@pytest.mark.parametrize("name, table, title, data, method, header, text", PRINTED)
def test_printed_numbers(name, table, title, data, method, header, text):
    tables = load_protocol(name).published
    (found,) = [t for t in tables if t.table == table and t.title.startswith(title) and t.data.startswith(data)]
    cell = found.rows[method][found.columns.index(header)]
    assert (cell and cell.text) == text


def test_intervals_are_numbers():
    (table,) = [t for t in load_protocol("diffposetalk").published if t.table == "Table 1"]
    assert (table.rows["DiffPoseTalk"][0].value, table.rows["DiffPoseTalk"][0].half_width) == (9.44, 0.008)
    assert table.rows["Yi et al."][0].half_width is None


@pytest.mark.parametrize(
    "name, shapes",
    [
        ("fd2talk", [(7, 7), (7, 7), (3, 7), (3, 2)]),
        ("diffposetalk", [(9, 4), (5, 2), (3, 2), (4, 4), (3, 4), (4, 4)]),
        ("3diface", [(7, 5), (2, 5), (3, 5), (4, 5), (3, 5), (8, 5)]),
        ("3dfacepolicy", [(4, 2)]),
    ],
)
def test_bundled_protocols_have_the_papers_shapes(name, shapes):
    protocol = load_protocol(name)
    assert [(len(t.rows), len(t.columns)) for t in protocol.published] == shapes
    assert protocol.name == name
    assert protocol.split == "val"
    assert protocol.settings["fps"] == (25 if name in ("fd2talk", "diffposetalk") else 30)


def test_every_protocol_begins_with_its_command():
    assert protocols() == ["3dfacepolicy", "3diface", "diffposetalk", "fd2talk", "motion_models", "renderer"]
    for name in protocols():
        first = bundled_config(f"protocols/{name}.yaml").read_text(encoding="utf-8").splitlines()[0]
        assert first.startswith("# fd2talk evaluate ")
        assert f"--protocol {name}" in first


def test_the_table_of_all_models_prints_what_the_papers_protocols_print():
    """Cell by cell and settings of measurement alike."""
    other_label = {("DiffPoseTalk", "Div^E"): "Exp"}
    found = load_protocol("motion_models")
    for table in found.published:
        paper = table.title.split(",")[0]
        known = {
            (method, header): cell
            for other in load_protocol(paper.lower()).published
            if (other.table, other.data) == (table.table, table.data)
            for method, cells in other.rows.items()
            for header, cell in zip(other.columns, cells)
        }
        for method, cells in table.rows.items():
            for header, cell in zip(table.columns, cells):
                assert cell == known[method, other_label.get((paper, header), header)], (paper, method, header)
    papers = {"DiffPoseTalk", "3DiFACE", "3DFacePolicy", "FD2Talk"}
    assert papers == {table.title.split(",")[0] for table in found.published}
    factors = {c.header: (c.metric, c.factor) for name in protocols() for c in load_protocol(name).columns}
    assert all((c.metric, c.factor) == factors[c.header] for c in found.columns)
    assert found.settings == load_protocol("diffposetalk").settings


def test_metrics_are_named_once_in_the_papers_order():
    assert load_protocol("diffposetalk").metrics == [
        "lve", "fdd", "mod", "beat_align_real", "expression_diversity", "pose_diversity",
        "lve_codetalker", "fdd_codetalker",
    ]  # fmt: skip


def test_units_and_factors_agree():
    """2 mm are 0.002 m, 200 times 10⁻⁵ m; 2 mm² are 2e-6 m²."""
    metres = {"m": 1.0, "cm": 1e-2, "mm": 1e-3}
    for power, text in ((1.0, ""), (1e-3, "×10⁻³ "), (1e-5, "1×10⁻⁵ "), (100.0, "×10² ")):
        for unit, size in metres.items():
            assert conversion("mm", text + unit) * power * size == pytest.approx(1e-3)
            assert conversion("mm²", f"{text}{unit}²") * power * size**2 == pytest.approx(1e-6)
    assert conversion("of real", "of real") == conversion("", "") == conversion("mm", "") == 1
    factors = {name: {c.header: c.factor for c in load_protocol(name).columns} for name in protocols()}
    assert {header: factor for header, factor in factors["diffposetalk"].items() if factor != 1} == {
        "FDD (×10⁻⁵ m)": 100, "FDD (×10⁻⁵ m²)": 0.1,
    }  # fmt: skip
    assert factors["3dfacepolicy"] == {"FDD (1×10⁻⁵ mm²)": 1e5, "MVE (1×10⁻³ mm)": 1e3}


def a_protocol():
    return {
        "name": "mine", "title": "Mine", "paper": "none", "split": "test", "settings": {"fps": 30},
        "columns": [{"metric": "psnr", "label": "PSNR"}],
        "targets": [{"metric": "psnr", "system": "a", "over": "b", "share": True, "at_most": -0.3}],
        "published": [{"table": "T", "title": "x", "data": "d", "columns": ["PSNR"], "rows": {"a": [1.5]}}],
    }  # fmt: skip


def write(tmp_path, content):
    path = tmp_path / "mine.yaml"
    path.write_text(yaml.safe_dump(content), encoding="utf-8")
    return path


def test_a_protocol_of_ones_own(tmp_path):
    protocol = load_protocol(write(tmp_path, a_protocol()))
    assert protocol.columns[0].header == "PSNR"
    assert protocol.published[0].rows["a"][0].value == 1.5
    assert protocol.targets == (Target("psnr", "a", at_most=-0.3, over="b", share=True),)


@pytest.mark.parametrize(
    "change, message",
    [
        (lambda p: p.update(metrics=[]), "unknown key `metrics`"),
        (lambda p: p.pop("split"), "split is missing"),
        (lambda p: p["settings"].update(fsp=25), "settings: unknown key `fsp` .did you mean `fps`"),
        (lambda p: p["settings"].update(fps=0), "fps is a number above 0"),
        (lambda p: p["settings"].update(motion="pictures"), "motion is one of video, file"),
        (lambda p: p["columns"][0].update(metric="pnsr"), "column 1: there is no metric pnsr"),
        (lambda p: p["columns"][0].update(factor=3), "column 1: unknown key `factor`"),
        (lambda p: p["columns"][0].update(unit="mm"), "column 1: a value in dB cannot be printed in mm"),
        (lambda p: p["columns"][0].update(metric="lve", unit="mm²"), "a value in mm cannot be printed in mm²"),
        (lambda p: p["columns"].append(dict(p["columns"][0])), "two columns are both called PSNR"),
        (lambda p: p["published"][0]["rows"].update(b=[1, 2]), "b has 2 values for 1 columns"),
        (lambda p: p["published"][0]["rows"].update(b=["1.5 dB"]), "1.5 dB is neither a number"),
        (lambda p: p["published"][0].update(columns=["SSIM"]), "SSIM is not one of the protocol's columns"),
        (lambda p: p.update(columns="psnr"), "columns is not a list"),
        (lambda p: p["targets"][0].update(at_least=1), "target 1: either at_least or at_most"),
        (lambda p: p["targets"][0].update(at_most="low"), "target 1: at_most is a number, not low"),
        (lambda p: p["targets"][0].pop("over"), "target 1: share is true or false, of a target with over"),
        (lambda p: p["targets"][0].update(metric="ssim"), "target 1: ssim is not the metric of a column"),
        (lambda p: p["targets"][0].update(than="b"), "target 1: unknown key `than`"),
    ],
)
def test_errors_are_one_line(tmp_path, change, message):
    content = a_protocol()
    change(content)
    with pytest.raises(InputError, match=message) as error:
        load_protocol(write(tmp_path, content))
    assert "\n" not in str(error.value)


def test_neither_a_name_nor_a_file(tmp_path):
    with pytest.raises(UsageError, match="no protocol vocaset: give a YAML file or one of 3dfacepolicy"):
        load_protocol("vocaset")
    path = tmp_path / "broken.yaml"
    path.write_text("name: [", encoding="utf-8")
    with pytest.raises(InputError, match="cannot read the protocol"):
        load_protocol(path)

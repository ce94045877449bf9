"""Files of ablations."""

import inspect

import pytest
import yaml

from fd2talk.commands.train import check_training
from fd2talk.evaluation.ablation.file import Column, read_ablation
from shared.config import Config
from shared.errors import InputError
from shared.weights import bundled_config
from stage2_render.pipeline import RenderPipeline


@pytest.mark.parametrize(
    ("change", "saying"),
    [
        (lambda c: c.pop("seeds"), "`seeds` is missing"),
        (lambda c: c["variants"]["full"]["trainings"].append("voice"), "no training 'voice'"),
        (lambda c: c["tables"][0].update(published="Table 9"), "has no table 'Table 9'"),
        (lambda c: c["tables"][0]["rows"].update(other="Full (FD2Talk)"), "no variant 'other'"),
        (lambda c: c["tables"][0].update(columns=["loveliness"]), "no metric 'loveliness'"),
        (lambda c: c["tables"][0].update(columns=["psnr@nobody"]), "psnr@nobody: there is no system 'nobody'"),
        (lambda c: c["trainings"]["pose"].update(base="nobody.yaml"), "training `pose`: `base`: .*nobody.yaml"),
        (lambda c: c["trainings"]["pose"].update(chanegs={}), "section `trainings.pose`: .*did you mean `changes`"),
        (
            lambda c: c["trainings"]["pose"]["changes"].update(network={"widht": 8}),
            "ablation.yaml: training `pose`: section `network`: unknown key `widht` .did you mean `width`",
        ),
        (
            lambda c: c["trainings"]["pose"]["changes"].update(training={"max_steps": "x"}),
            "must be an integer, not 'x'",
        ),
        (lambda c: c.update(seeds=[]), "`seeds` must be different numbers from 0, at least one"),
        (lambda c: c.update(seeds=[0, 0]), "`seeds` must be different numbers"),
        (lambda c: c.update(seeds=["one"]), "`seeds` must be an integer, not 'one'"),
        (lambda c: c["measured"].update(frame="x"), "section `measured`: unknown key `frame` .did you mean `frames`"),
        (lambda c: c["tables"][0].update(rowx={}), "`tables`.*unknown key `rowx` .did you mean `rows`"),
    ],
)
def test_a_faulty_file_is_refused(config, change, saying):
    content = yaml.safe_load(config.read_text())
    change(content)
    config.write_text(yaml.safe_dump(content))
    with pytest.raises(InputError, match=saying):
        read_ablation(config)


def test_the_trainings_of_the_paper_s_ablations_differ_as_named():
    ablation = read_ablation(bundled_config("ablations/fd2talk.yaml"))
    trainings = ablation.trainings
    for ours, base, changes in (
        ("expression_unmasked", "expression", {"network": {"alignment": None}}),
        ("pose_unmasked", "pose", {"network": {"alignment": None}}),
        ("expression_without_sync", "expression", {"loss": {"sync_weight": 0.0}}),
    ):
        expected = dict(trainings[base])
        for section, values in changes.items():
            expected[section] = {**expected[section], **values}
        assert trainings[ours] == expected
    assert trainings["expression"]["loss"]["sync_weight"] > 0
    steps = {name: config["training"]["max_steps"] for name, config in trainings.items() if name != "unseen_expert"}
    assert set(steps.values()) == {300}
    assert ablation.seeds == (0, 1, 2)
    assert [(t.published.table, list(t.rows)[-1]) for t in ablation.tables] == [
        ("Table 2", "full"),
        ("Table 3", "full"),
    ]
    columns = {str(column) for table in ablation.tables for column in table.columns}
    assert columns >= {"lse_c", "syncnet_confidence", "fid", "lve", "fdd", "mod", "beat_align_real"}
    assert columns >= {"expression_diversity", "pose_diversity", "aperture_seed_correlation"}
    assert ablation.measured.repeats > 1


@pytest.mark.parametrize("path", sorted(bundled_config("ablations").glob("*.yaml")), ids=lambda path: path.stem)
def test_no_training_is_another_one_again(path):
    """A variant whose change changes nothing would be the full model under another name."""
    checked = []
    for values in read_ablation(path).trainings.values():
        config = Config(path)
        config.merge(values, str(path))
        checked.append(check_training(config))
    assert all(a != b for i, a in enumerate(checked) for b in checked[:i])


def test_what_is_measured_on_motion_is_measured_on_the_network_alone_too():
    assert Column.parse("lve").network_alone == Column("lve", "bundled-network")
    assert Column.parse("aperture_correlation@ridge").network_alone == Column("aperture_correlation", "ridge-network")
    assert Column.parse("psnr").network_alone is None and Column.parse("lve@driven").network_alone is None
    assert [str(Column.parse(text)) for text in ("psnr", "psnr@driven")] == ["psnr", "psnr@driven"]


@pytest.mark.parametrize("name", ["diffusion", "autoencoder"])
def test_the_parts_of_stage_two_are_changed_one_by_one(name):
    """Variants consist of trainings of the file at equal budget, and settings that `RenderPipeline` takes."""
    ablation = read_ablation(bundled_config(f"ablations/{name}.yaml"))
    trainings = ablation.trainings
    assert len({config["training"]["max_steps"] for config in trainings.values()}) == 1
    full = trainings[name]
    for training, config in trainings.items():
        changed = {key for key in full.keys() | config.keys() if full.get(key) != config.get(key)}
        assert len(changed) <= 1 or "published" in training
        if training == "diffusion_published_concatenated":
            base = trainings["diffusion_published"]
            assert {**base, "network": {**base["network"], "conditions": "concatenated"}} == config
    settings = inspect.signature(RenderPipeline.__call__).parameters
    for variant in ablation.variants.values():
        assert variant.render.keys() <= settings.keys()
    assert {training for variant in ablation.variants.values() for training in variant.trainings} == set(trainings)
    assert {list(table.rows)[-1] for table in ablation.tables} == {"full"}


def test_a_part_of_a_published_table_is_found_by_its_rows():
    """3DiFACE's Table 2 has three, of other rows; only the backbone is another one."""
    ablation = read_ablation(bundled_config("ablations/diface.yaml"))
    (table,) = ablation.tables
    assert table.published.title == "(a) Architecture ablation"
    assert table.title == "Table 2: (a) Architecture ablation" and list(table.rows)[-1] == "full"
    metrics = [str(column) for column in table.columns][:5]
    assert metrics == ["expression_diversity", "lip_sync", "lip_max", "l2_lip", "l2_face"]
    full = ablation.trainings["diface"]
    for name in ("attention", "faceformer"):
        assert ablation.trainings[f"diface_{name}"] == {**full, "network": {**full["network"], "backbone": name}}
    assert full["training"]["max_steps"] == 500

"""Files of ablations."""

import pytest
import yaml

from fd2talk.evaluation.ablation.file import METRICS, read_ablation
from shared.errors import InputError
from shared.weights import bundled_config


@pytest.mark.parametrize(
    ("change", "saying"),
    [
        (lambda c: c.pop("seeds"), "`seeds` is missing"),
        (lambda c: c["variants"]["full"]["trainings"].append("voice"), "no training 'voice'"),
        (lambda c: c["tables"][0].update(published="Table 9"), "has no table 'Table 9'"),
        (lambda c: c["tables"][0]["rows"].update(other="Full (FD2Talk)"), "no variant 'other'"),
        (lambda c: c["tables"][0].update(further=["loveliness"]), "no metric 'loveliness'"),
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
        (lambda c: c.update(seeds=["one"]), "`seeds` must be an integer, not 'one'"),
        (lambda c: c["measured"].update(clip="x"), "section `measured`: unknown key `clip` .did you mean `clips`"),
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
    steps = {name: config["training"]["max_steps"] for name, config in trainings.items() if name != "second_expert"}
    assert {steps[name] for name in steps if not name.startswith("renderer")} == {300}
    assert steps["renderer"] == steps["renderer_concatenated"]
    assert trainings["renderer_concatenated"]["network"]["conditions"] == "concatenated"
    assert ablation.seeds == (0, 1, 2)
    assert [(t.published.table, list(t.rows)[-1]) for t in ablation.tables] == [
        ("Table 2", "full"),
        ("Table 3", "full"),
    ]
    assert set(METRICS) >= {key for table in ablation.tables for key in table.columns}

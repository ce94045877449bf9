"""Contents of a report: numbers and columns."""

import pytest

from fd2talk.evaluation.report.model import columns, number, sections


def score(mean, half=None, above=None):
    if half is None:
        return {"mean": mean, "low": None, "high": None, "over": None, "count": 1}
    return {"mean": mean, "low": mean - half, "high": mean + (above or half), "over": "people", "count": 3}


@pytest.mark.parametrize(
    "value, factor, text",
    [
        (score(7.2931, 0.0412), 1, "7.29 ± 0.04"),
        (score(7.2931, 0.0123), 1, "7.293 ± 0.012"),
        (score(7.0, 0.2, above=0.6), 1, "7.0 (6.8..7.6)"),
        (score(12345.6, 120.0), 1, "12,346 ± 120"),
        (score(-0.0001, 0.1), 1, "0.00 ± 0.10"),
        (score(0.1056), 100, "10.56"),
        (score(0.1056), 1, "0.1056"),
        (score(0.0), 1, "0.000"),
        (score(float("nan")), 1, "–"),
        (score(None), 1, "–"),
        (None, 1, "–"),
    ],
)
def test_numbers(value, factor, text):
    assert number(value, factor) == text


def test_plots_show_a_metric_once_as_the_protocol_has_it_first(report, with_protocol):
    shown = columns(*with_protocol(report))
    assert [column.header for column in shown][:3] == ["LVE (mm)", "FDD (×10⁻⁵ m)", "MOD (mm)"]
    assert len(shown) == 8
    assert [column.metric for column in columns(report, None)] == list(report["metrics"])


def test_targets_are_lines_with_value_bound_and_verdict(report):
    target = {"system": "ours", "at_least": None, "at_most": None, "over": "", "share": False}
    report["targets"] = [
        target | {"metric": "psnr_mouth", "over": "warp", "at_least": 1.5, "value": 3.009, "met": True},
        target
        | {"metric": "squeeze_distance", "over": "warp", "share": True, "at_most": -0.3, "value": -0.2, "met": False},
        target | {"metric": "identity", "at_least": 0.8, "value": 0.9, "met": True},
        target | {"metric": "ssim", "at_least": 0.8, "value": None, "met": None},
    ]
    (section,) = [section for section in sections(report, None) if section.title == "Targets"]
    assert section.items == [
        "PSNR mouth, ours over warp, at least +1.5 dB: +3.01 dB: on target",
        "Squeeze distance, ours over warp, at most -30 %: -20 %: below target",
        "CSIM, ours, at least 0.8: 0.9: on target",
        "SSIM, ours, at least 0.8: not measured",
    ]

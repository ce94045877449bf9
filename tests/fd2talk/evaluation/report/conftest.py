"""A report with invented values, and names that are not plain text."""

import pytest

from fd2talk.evaluation.inputs.protocol import load_protocol
from fd2talk.evaluation.metrics.catalogue import CATALOGUE

EVIL = "a|b<script>alert(1)</script>"


def score(mean, half=None, above=None):
    if half is None:
        return {"mean": mean, "low": None, "high": None, "over": None, "count": 1}
    return {"mean": mean, "low": mean - half, "high": mean + (above or half), "over": "people", "count": 3}


def system(kind, **scores):
    return {
        "title": f"A {kind}.", "kind": kind, "clips": 2, "people": 2, "repeats": 1,
        "seconds": 20.0, "scores": scores, "cost": None,
    }  # fmt: skip


@pytest.fixture
def report():
    keys = ["fdd", "lve", "beat_align_real", "blink_rate", "lip_expert_offset"]
    systems = {
        "real": system("real", blink_rate=score(20.0, 2.0)),
        "ground-truth": system("system", fdd=score(0.0), lve=score(0.1)),
        "good": system("system", fdd=score(0.1056, 0.0004), lve=score(4.0, 0.2), blink_rate=score(18.0)),
        EVIL: system("folder", lve=score(5.0, 0.2, above=0.6), blink_rate=score(25.0)),
        "poor": system("folder", fdd=score(0.5), lve=score(9.0), blink_rate=score(0.0)),
    }
    systems["good"]["cost"] = {"seconds_stage1": 0.25, "memory": 900.0}
    curve = [0.1, 0.2, None, 0.1]
    clips = [
        {"system": name, "repeat": 0, "clip": f"{EVIL} {i}", "person": "p", "frames": 4, "fps": 25.0,
         "still": "stills/one.jpg", "values": {"lve": 3.0 + i, "fdd": float("nan"), "blink_rate": None},
         "curves": {"aperture": curve, "aperture_real": curve}}
        for name in ("good", EVIL) for i in range(2)
    ]  # fmt: skip
    described = {
        key: {field: getattr(CATALOGUE[key], field) for field in ("label", "family", "unit", "direction", "definition")}
        for key in keys
    }
    for metric in described.values():
        metric.update(source="here", weights={})
    described["lve"]["weights"] = {"some.pth": "0123abcd"}
    return {
        "fd2talk": "0.1.0", "command": "fd2talk evaluate 'x``` <b>' -o out", "created": "2026-01-02", "protocol": None,
        "metrics": described, "systems": systems, "clips": clips,
        "contrasts": [{"metric": "lse_c", "of": "real", "less": "real-shuffled", "mean": 3.0, "low": 2.8, "high": 3.2}],
        "skipped": {"mod": "mod: needs the moon", "lse_c": "lse_c, lse_d: needs X", "lse_d": "lse_c, lse_d: needs X"},
        "failed": [{"system": "good", "repeat": 0, "clip": EVIL, "why": "no face"}],
    }  # fmt: skip


@pytest.fixture
def with_protocol():
    """A report and the name of a protocol -> both as the writer takes them."""

    def with_protocol(report, name="diffposetalk"):
        protocol = load_protocol(name)
        fields = ("name", "title", "paper", "split", "settings")
        return {**report, "protocol": {key: getattr(protocol, key) for key in fields}}, protocol

    return with_protocol

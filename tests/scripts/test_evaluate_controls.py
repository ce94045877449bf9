"""What the tables of controls count."""

import evaluate_controls
import numpy as np
from click.testing import CliRunner
from evaluate_controls import gaze_shifts, turns
from scipy.spatial.transform import Rotation


def test_jumps_of_the_gaze_are_counted_away_from_blinks():
    look = np.zeros((100, 2))
    look[20:, 0] += 2  # from one frame to the next
    look[50:51], look[51:] = look[49] - [0, 1], look[49] - [0, 2]  # in two frames
    look[80:, 1] += 3  # in a blink
    look[:, 0] += np.linspace(0, 5, 100)  # a slow drift
    away = np.arange(100) < 75
    found = gaze_shifts(look, away)
    assert len(found) == 2 and abs(found - [20, 50]).max() <= 1
    assert len(gaze_shifts(look, np.ones(100, bool))) == 3
    assert len(gaze_shifts(0.5 * look, away)) == 0


def test_turns_count_from_the_rest():
    rest = Rotation.from_euler("YXZ", [20, -10, 5], degrees=True)
    turned = Rotation.from_euler("YXZ", [[4, 0, 0], [0, -3, 0]], degrees=True) * rest
    np.testing.assert_allclose(turns(turned.as_rotvec(), rest.as_rotvec()), [[0, 4, 0], [-3, 0, 0]], atol=1e-6)


def test_clips_are_read_for_the_tables_that_need_them(monkeypatch, tmp_path):
    """An empty folder of prepared clips is enough for blink rates."""
    shown = []
    monkeypatch.setattr(evaluate_controls, "blink_rates", lambda pipeline, minutes: shown.append(minutes))
    result = CliRunner().invoke(
        evaluate_controls.main, ["--table", "blink-rate", "--prepared", str(tmp_path), "--minutes", "2"]
    )
    assert result.exit_code == 0 and shown == [2]
    assert CliRunner().invoke(evaluate_controls.main, ["--table", "eyes", "--prepared", str(tmp_path)]).exit_code

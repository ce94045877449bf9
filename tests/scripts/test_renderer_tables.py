"""Tables and targets of the renderer's evaluation, with invented values."""

from renderer_tables import Results, gains, print_gains, print_tables


def test_targets_are_reached_or_not(results):
    good = gains(results(), "learned")
    assert [passed for _, passed in good] == [True] * 7
    assert good[0][0] == "+2.00 dB, -50%" and good[-1][0] == "0.400"
    for group, at in (("opened", 0), ("closed", 1), ("unchanged", 2)):
        verdicts = [passed for _, passed in gains(results(**{group: -0.2}), "learned")]
        assert verdicts[at] is False and sum(passed is False for passed in verdicts) == 1
    assert [passed for _, passed in gains(results(), "warp")] == [None] * 7


def test_results_are_saved_and_merged(results, tmp_path, capsys):
    whole = results()
    for name in ("still", "warp", "learned"):
        rows = [row for row in whole.rows if row["system"] in ("real", name)]
        Results(rows, {name: whole.flicker[name]}).save(tmp_path / f"{name}.json")
    merged = Results()
    merged.add(tmp_path / "still.json")
    merged.add(tmp_path / "warp.json")
    merged.add(tmp_path / "learned.json", "mine")
    assert len(merged.rows) == len(whole.rows) and merged.flicker["mine"] == [0.1, 0.4]
    assert gains(merged, "mine") == gains(whole, "learned")
    print_tables(merged, ["warp", "mine"])
    print_gains(merged, ["warp", "mine"])
    printed = capsys.readouterr().out
    assert "| mine | 26.00 | 0.820 | 0.200 | 0.850; 0.850 | 0.90 | 0.400 |" in printed
    assert "Mouth box by change of the mouth: PSNR / SSIM / distance\n\n|  | opened (2 frames) |" in printed
    assert "| mine | 26.00 / 0.820 / 0.200 | - | - |" in printed  # heads that moved under 6 px
    assert printed.count("PASS") == 7 and "short" not in printed

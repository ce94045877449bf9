"""Tables of curves, as the app and others write them, and such that nobody can use."""

import csv
import io

import numpy as np
import pytest

from fd2talk.export.curves_file import read_curves
from fd2talk.export.live_link import HEADER, live_link_csv, timecode
from shared.arkit import NAMES, load_arkit_map
from shared.errors import InputError
from shared.face_model.measures import lip_gap


@pytest.fixture
def table(motion):
    """The header and rows of an exported motion of 30 frames."""
    text = live_link_csv(motion, load_arkit_map().fit(motion)[0])
    header, *rows = csv.reader(io.StringIO(text))
    return header, rows


@pytest.fixture
def read(tmp_path):
    def read(header, rows, **options):
        path = tmp_path / "curves.csv"
        with open(path, "w", newline="", encoding="utf-8") as file:
            csv.writer(file).writerows([header, *rows])
        return read_curves(path, **options)

    return read


def test_a_motion_comes_back(read, table, motion, model):
    back = read(*table)
    assert back.fps == 25 and len(back) == len(motion) and back.face_model == motion.face_model

    def gap(expression):
        return lip_gap(model.vertices(motion.identity, expression))

    wanted, found = gap(motion.expression), gap(back.expression)
    assert np.ptp(wanted) > 5
    assert np.abs(found - wanted).mean() < 0.5 and np.corrcoef(found, wanted)[0, 1] > 0.98
    np.testing.assert_allclose(back.rotation, motion.rotation, atol=1e-6)


@pytest.mark.parametrize(
    "change", [str.lower, str.upper, lambda name: name[0].lower() + name[1:], lambda name: f" {name}"]
)
def test_names_in_any_case(read, table, change):
    header, rows = table
    np.testing.assert_array_equal(
        read([change(name) for name in header], rows).expression, read(header, rows).expression
    )


def test_columns_in_any_order(read, table):
    header, rows = table
    order = np.random.default_rng(0).permutation(len(header))
    shuffled = read([header[k] for k in order], [[row[k] for k in order] for row in rows])
    plain = read(header, rows)
    np.testing.assert_array_equal(shuffled.expression, plain.expression)
    np.testing.assert_array_equal(shuffled.rotation, plain.rotation)


@pytest.mark.parametrize("separator, decimal", [(";", "."), (";", ","), ("\t", ",")])
def test_tables_of_spreadsheets(read, table, tmp_path, separator, decimal):
    header, rows = table
    path = tmp_path / "spreadsheet.csv"
    lines = [header, *([row[0], *(cell.replace(".", decimal) for cell in row[1:])] for row in rows)]
    path.write_text("\n".join(separator.join(line) for line in lines))
    np.testing.assert_array_equal(read_curves(path).expression, read(header, rows).expression)


def test_52_columns_without_angles_and_51_without_the_tongue(read, table):
    header, rows = table
    short = read(header[:54], [row[:54] for row in rows])
    np.testing.assert_array_equal(short.expression, read(header, rows).expression)
    assert not short.rotation.any()
    assert len(read(header[:53], [row[:53] for row in rows])) == len(rows)


def test_a_frame_rate_replaces_timecodes(read, table):
    header, rows = table
    assert read(header[1:], [row[1:] for row in rows], fps=50).fps == 50
    with pytest.raises(InputError, match="--fps"):
        read(header[1:], [row[1:] for row in rows])


def retimed(rows, cells):
    return [[cell, *row[1:]] for row, cell in zip(rows, cells)]


@pytest.mark.parametrize("rate", [24, 25, 30, 50, 60])
def test_frames_that_are_counted_at_the_rate_of_the_rows(read, table, rate):
    header, rows = table
    rows = (rows * 3)[:70]
    cells = [f"01:02:{k // rate:02d}:{k % rate:02d}" for k in range(70)]
    assert read(header, retimed(rows, cells)).fps == rate


@pytest.mark.parametrize("fps", [23.976, 25, 29.97, 30, 59.94, 60])
def test_rates_of_timecodes_at_60(read, table, fps):
    header, rows = table
    rows = (rows * 3)[:80]
    assert read(header, retimed(rows, [timecode(86399 + k / fps) for k in range(80)])).fps == fps  # across midnight


def test_dropped_frames_are_interpolated(read, table):
    header, rows = table
    whole = read(header, rows)
    kept = [k for k in range(30) if k not in (7, 12, 13)]
    back = read(header, [rows[k] for k in kept])
    assert back.fps == 25 and len(back) == 30
    np.testing.assert_allclose(back.expression[kept], whole.expression[kept], atol=1e-4)
    np.testing.assert_allclose(back.expression[7], (whole.expression[6] + whole.expression[8]) / 2, atol=1e-4)


def changed(row, column, cell):
    def change(header, rows):
        rows[row][HEADER.index(column)] = cell
        return header, rows

    return change


BAD = {
    "not a number": (changed(3, "JawOpen", "wide"), "row 5, column jawOpen: 'wide' is not a number"),
    "nan": (changed(0, "JawOpen", "nan"), "is not a number"),
    "infinite": (changed(0, "HeadYaw", "inf"), "is not a number"),
    "empty cell": (changed(0, "JawOpen", ""), "is not a number"),
    "per cent": (changed(0, "JawOpen", "45"), "between 0 and 1"),
    "negative": (changed(0, "JawOpen", "-1"), "they reach -1"),
    "degrees": (changed(0, "HeadYaw", "20"), "angles are in radians"),
    "no timecode": (changed(2, "Timecode", "later"), "row 4: 'later' is not a timecode"),
    "backwards": (changed(5, "Timecode", "00:00:00:01.000"), "do not increase"),
    "years": (changed(29, "Timecode", "20:00:00:00.000"), "leave 72000 s for 30 rows"),
    "no rows": (lambda header, rows: (header, []), "no rows"),
    "a column is missing": (lambda header, rows: (header[:-20], [row[:-20] for row in rows]), "no column"),
    "a column twice": (lambda header, rows: ([*header, "jawopen"], [[*row, "0"] for row in rows]), "two columns"),
    "ragged": (lambda header, rows: (header, [*rows, rows[0][:-1]]), "row 32 has 62 cells"),
    "another table": (lambda header, rows: (["a", "b"], [["1", "2"]]), "no column eyeBlinkLeft and 50 other curves"),
}


def test_blank_rows_count_in_the_numbers_of_rows(read, table):
    header, rows = table
    blank = [[], ["", ""]]
    assert len(read(header, blank + rows)) == len(rows)
    for column, cell, reason in (("JawOpen", "wide", "row 7, column"), ("Timecode", "later", "row 7: 'later'")):
        _, wrong = changed(3, column, cell)(header, [list(row) for row in rows])
        with pytest.raises(InputError, match=reason):
            read(header, [*wrong[:1], *blank, *wrong[1:]])
    with pytest.raises(InputError, match="row 5 has 62 cells"):
        read(header, [*rows[:1], *blank, rows[1][:-1]])


@pytest.mark.parametrize("name", BAD)
def test_tables_that_cannot_be_used(read, table, name):
    change, reason = BAD[name]
    header, rows = table
    with pytest.raises(InputError, match="curves.csv") as error:
        read(*change(header, [list(row) for row in rows]))
    assert reason in str(error.value)


@pytest.mark.parametrize("content", [b"\x89PNG\r\n\x1a\n\0\0\xff", b"\xff\xfe\0a", b"\n\n", b'"open', b"\0" * 40])
def test_files_that_are_no_tables(tmp_path, content):
    path = tmp_path / "curves.csv"
    path.write_bytes(content)
    with pytest.raises(InputError, match="curves.csv"):
        read_curves(path)
    with pytest.raises(InputError, match="no such file"):
        read_curves(tmp_path / "none.csv")


def test_every_name_is_a_column():
    assert {name.lower() for name in NAMES} < {name.lower() for name in HEADER}

"""Tables of a batch with the files that they name, and its report."""

import csv
import shutil


def write_table(folder, photo, audio, rows, header="photo,audio", name="m.csv"):
    """Write a manifest; each .png and .wav in `in/` that it names is made, from a photo and a recording."""
    (folder / "in").mkdir(exist_ok=True)
    for cell in (cell for row in rows for cell in row.split(",") if cell.startswith("in/") and "*" not in cell):
        source = photo if cell.endswith(".png") else audio if cell.endswith(".wav") else None
        if source and not (folder / cell).exists():
            shutil.copy(source, folder / cell)
    path = folder / name
    path.write_text("\n".join([header, *rows]) + "\n", encoding="utf-8")
    return path


def read_report(out):
    """The rows of report.csv by number."""
    with open(out / "report.csv", newline="", encoding="utf-8-sig") as file:
        return {row["row"]: row for row in csv.DictReader(file)}

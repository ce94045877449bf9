"""Reads CSV tables of spreadsheets and programs, in several encodings and delimiters."""

from __future__ import annotations

import codecs
import csv
import io
from dataclasses import dataclass

from shared.errors import InputError

DELIMITERS = ",;\t"
_UTF16 = (codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)
_SAVE = "save it as `CSV UTF-8`"


@dataclass(frozen=True)
class Table:
    """A header and its rows.

    Args:
        columns: in lower case, with `_` for `-` and spaces; without empty columns at the end.
        rows: (line number of the file from 1, cells) of each row; without empty rows.
    """

    columns: list[str]
    rows: list[tuple[int, list[str]]]


def read_table(path: str) -> Table:
    """Read a CSV file: UTF-8, or UTF-16 with a byte order mark; delimited by `,`, `;`, tab, or as a line `sep=;` says.

    Raises:
        InputError: the file cannot be read, is not text, or has no rows.
    """
    try:
        with open(path, "rb") as file:
            data = file.read()
        text = _text(data)
        lines = _lines(text)
    except OSError as error:
        raise InputError(f"cannot read {path}: {error.strerror}") from None
    except csv.Error as error:
        open_quote = "unexpected end" in str(error)
        raise InputError(f"cannot read {path}: {'a quotation mark is not closed' if open_quote else error}") from None
    except ValueError as error:
        raise InputError(f"cannot read {path}: {error}") from None
    if len(lines) < 2:
        raise InputError(f"{path}: no rows; a table with the columns photo and audio is needed")
    (_, header), *rows = lines
    used = max(index for _, cells in lines for index, cell in enumerate(cells, 1) if cell)
    columns = [cell.lower().replace("-", "_").replace(" ", "_") for cell in header[:used]]
    return Table(columns, [(line, cells[:used]) for line, cells in rows])


def _text(data: bytes) -> str:
    """Decode a file. Raises ValueError: with a message for the user."""
    if data.startswith(_UTF16):
        try:
            return data.decode("utf-16")
        except UnicodeDecodeError:
            raise ValueError(f"it is damaged UTF-16 text; {_SAVE}") from None
    if data.startswith(b"PK\3\4"):
        raise ValueError(f"it is not a table of text but a spreadsheet or an archive; {_SAVE}")
    try:
        return data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        if b"\0" in data:
            raise ValueError(f"it is not a table of text but a binary file; {_SAVE}") from None
        line = data.count(b"\n", 0, error.start) + 1
        raise ValueError(f"line {line} is not UTF-8; in the spreadsheet, {_SAVE}") from None


def _lines(text: str) -> list[tuple[int, list[str]]]:
    """(line number, cells) of the rows that are not empty. Raises csv.Error."""
    begin, delimiter = 1, ""
    first, _, rest = text.partition("\n")
    if first.strip().strip('"').lower().startswith("sep="):
        delimiter = first.strip("\r\n").strip().strip('"')[4:5] or "\t"
        begin, text = 2, rest
    if not delimiter:
        header = next((line for line in text.splitlines() if line.strip(DELIMITERS + " ")), "")
        delimiter = max(DELIMITERS, key=header.count)
    reader = csv.reader(io.StringIO(text, newline=""), delimiter=delimiter, strict=True)
    rows, line = [], begin
    for cells in reader:
        if any(stripped := [cell.strip() for cell in cells]):
            rows.append((line, stripped))
        line = begin + reader.line_num
    return rows

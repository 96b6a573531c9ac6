"""Pictures whose classes stand in a table: a CSV file with a row for each picture, as many competitions give it.

The columns are found by their usual names, or named. A picture is named by its path, by its file's name or by that
without the extension. Its split is that of the table's column of splits, where there is one, or of the folder it lies
in; else it is train.
"""

from __future__ import annotations

import csv
from collections import defaultdict
from collections.abc import Iterable
from pathlib import Path, PurePosixPath

from vision_baselines.data.picture_layout import SPLIT_NAMES, few, file_size, one_line, printable, split_of
from vision_baselines.data.picture_listing import (
    EXTENSIONS,
    Listing,
    Picture,
    class_name,
    files_below,
    natural_order,
    stated,
)
from vision_baselines.errors import DataError

_FILE_COLUMNS = ("filename", "file", "path", "filepath", "image", "imagename", "imageid", "imagepath", "id", "name")
_LABEL_COLUMNS = ("label", "class", "classname", "category", "target", "labels", "breed", "species", "diagnosis")
_SPLIT_COLUMNS = ("split", "subset", "set", "partition", "usage")
_MOST_BYTES = 1 << 28


def list_labelled(
    root: Path, labels: str | Path, *, file_column: str | None = None, label_column: str | None = None
) -> Listing:
    """List the pictures under a root that a table gives a class.

    Args:
        root: The folder of the pictures.
        labels: The table, relative to the root.
        file_column: Its column of pictures; None finds it.
        label_column: Its column of classes; None finds it.

    Raises:
        DataError: The table cannot be read, or has no such columns, or names fewer than two classes.
    """
    path = root / Path(labels).expanduser()
    rows, table_has_splits = _rows(path, file_column, label_column)
    names = tuple(sorted({class_name(label) for _, label, _ in rows}, key=natural_order))
    if len(names) < 2:
        raise DataError(f"{printable(str(path))} names {len(names)} classes; expected two or more (data.source.labels)")
    listing = Listing(names, {})
    linked: list[str] = []
    files = {file: entry for file, entry in files_below(root, "", linked) if entry.name.lower().endswith(EXTENSIONS)}
    places = _places(files)
    label_of = {name: index for index, name in enumerate(names)}
    seen: dict[str, int] = {}
    for wanted, label, split_word in rows:
        found = places.get(wanted.casefold().removeprefix("./"), ())
        if len(found) != 1:
            fault = "no such picture" if not found else f"could be {few(sorted(found))}"
            listing.faults.append(f"{printable(path.name)}: {printable(wanted)}: {fault}")
            continue
        (file,) = found
        picture = stated(file, files[file], label_of[class_name(label)])
        if not isinstance(picture, Picture):
            listing.faults.append(picture)
        elif file in seen:
            if seen[file] != picture.label:
                listing.faults.append(f"{printable(path.name)}: {printable(wanted)}: two rows of two classes")
        else:
            seen[file] = picture.label
            split = split_of(split_word) if table_has_splits else _split_of_folder(file)
            listing.pictures.setdefault(split or "train", []).append(picture)
    if not listing.pictures.get("train") and not listing.faults:
        raise DataError(f"{printable(str(path))} names no picture of train (data.source.labels)")
    ordered = {split: sorted(listing.pictures[split]) for split in SPLIT_NAMES if split in listing.pictures}
    listing.pictures.clear()
    listing.pictures.update(ordered)
    without = len(files) - len(seen)
    if without and not listing.faults:
        unnamed = [printable(file) for file in sorted(set(files) - set(seen))]
        listing.notes.append(
            f"{without:,} pictures that {printable(path.name)} does not name are left out: {few(unnamed)}"
        )
    return listing


def _rows(path: Path, file_column: str | None, label_column: str | None) -> tuple[list[tuple[str, str, str]], bool]:
    """File, class and split's word of each row; and whether the table states splits."""
    shown = printable(str(path))
    try:
        if file_size(path, "data.source.labels", "a table with a row for each picture") > _MOST_BYTES:
            raise DataError(f"{shown} is larger than {_MOST_BYTES >> 20:,} MiB; expected a table (data.source.labels)")
        with path.open(newline="", encoding="utf-8-sig") as file:
            first = file.readline()
            delimiter = max(",;\t", key=first.count)
            file.seek(0)
            table = csv.DictReader(file, delimiter=delimiter)
            header = [name for name in table.fieldnames or [] if name]
            file_key = _column(header, file_column, _FILE_COLUMNS, "pictures", "file_column", shown)
            label_key = _column(header, label_column, _LABEL_COLUMNS, "classes", "label_column", shown)
            split_key = next((name for name in header if _plain(name) in _SPLIT_COLUMNS), None)
            rows = [
                (
                    (row[file_key] or "").strip(),
                    (row[label_key] or "").strip(),
                    (row.get(split_key or "") or "").strip(),
                )
                for row in table
            ]
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise DataError(f"cannot read {shown}: {one_line(error)} (data.source.labels)") from error
    empty = [index for index, (file_name, label, _) in enumerate(rows, start=2) if not file_name or not label]
    if empty:
        raise DataError(f"{shown} has no picture or no class in row {empty[0]} (data.source.labels)")
    return rows, split_key is not None and all(split_of(word) for _, _, word in rows)


def _column(header: list[str], wanted: str | None, usual: Iterable[str], of: str, key: str, shown: str) -> str:
    if wanted is not None:
        if wanted in header:
            return wanted
        raise DataError(f"data.source.{key} is {wanted!r}; {shown} has {few(header)}")
    by_name = {_plain(name): name for name in reversed(header)}
    for name in usual:
        if name in by_name:
            return by_name[name]
    raise DataError(f"{shown} has the columns {few(header) or 'none'}; name that of the {of} with data.source.{key}=…")


def _plain(name: str) -> str:
    return name.casefold().translate(str.maketrans("", "", "_- ."))


def _places(files: Iterable[str]) -> dict[str, set[str]]:
    """The files that a word can stand for: whole paths first, then names, then names without extension."""
    places: dict[str, set[str]] = {}
    for form in (
        lambda path: str(path),
        lambda path: path.name,
        lambda path: str(path.with_suffix("")),
        lambda path: path.stem,
    ):
        found: dict[str, set[str]] = defaultdict(set)
        for file in files:
            found[form(PurePosixPath(file)).casefold()].add(file)
        for word, standing in found.items():
            places.setdefault(word, standing)
    return places


def _split_of_folder(file: str) -> str | None:
    return next((split for part in file.split("/")[:-1] if (split := split_of(part))), None)

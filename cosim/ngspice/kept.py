"""The decks of failed runs, kept where the user wants to look at them."""

from __future__ import annotations

import itertools
import os
import re
import shutil
from pathlib import Path

from compact_models.files import unwritable
from cosim.ngspice.deck import DECK_FILE, RAW_FILE
from cosim.ngspice.result import KEEP

# A study that fails throughout must not fill the disk: the first ones tell as much.
MOST_KEPT = 100


def kept_decks() -> set[Path]:
    """The decks of failed runs that `SPICELOOP_KEEP` has by now."""
    named = os.environ.get(KEEP)
    return set(Path(named).glob(f"*/{DECK_FILE}")) if named else set()


def keep_failed(ran_in: Path, folder: Path, name: str) -> str:
    """Copies deck, side files and log of a failed run, without its results.

    Args:
        ran_in: where it ran.
        folder: takes a folder of the deck's name, `<name>-2` and so on where that exists.
        name: the deck's name.

    Returns:
        The new folder, absolute; empty where `folder` has `MOST_KEPT` already.

    Raises:
        InputError: it cannot be written.
    """
    plain = re.sub(r"[^\w.-]+", "_", name).strip(".") or "deck"
    try:
        folder.mkdir(parents=True, exist_ok=True)
        for count in itertools.count(1):
            if sum(1 for _ in folder.iterdir()) >= MOST_KEPT:
                return ""
            place = folder.absolute() / (plain if count == 1 else f"{plain}-{count}")
            try:
                place.mkdir()
            except FileExistsError:  # of an earlier run, or of one beside this
                continue
            break
        for path in ran_in.iterdir():
            if path.is_file() and path.name != RAW_FILE:
                shutil.copyfile(path, place / path.name)
    except OSError as error:
        raise unwritable(folder, error, KEEP) from error
    return str(place)

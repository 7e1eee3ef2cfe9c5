"""From a sheet to a PDF/A-3 file, by Typst. The same sheet and the same fonts give the same bytes."""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from dataclasses import asdict
from functools import lru_cache
from pathlib import Path
from typing import Final

import typst
from fontTools.ttLib import TTFont

from infra.paper.sheet import Sheet

FONT_FILES: Final = ("BIZUDPGothic-Regular.ttf", "BIZUDPGothic-Bold.ttf")
"""BIZ UDPGothic, made to be read easily by many (OFL-1.1)."""
FALLBACK_FILES: Final = ("NotoSansCJK-Regular.ttc", "NotoSansCJK-Bold.ttc")
"""Noto Sans CJK, where it is installed, for names that the first cannot write, such as 𠮷野 (OFL-1.1)."""
FONT_FOLDERS: Final = (Path("/usr/share/fonts/truetype/bizud-gothic"), Path("/usr/share/fonts/opentype/noto"))
"""Where Debian's packages fonts-morisawa-bizud-gothic and fonts-noto-cjk put them."""
_LAYOUT: Final = Path(__file__).with_name("sheet.typ")
_STANDARD: Final = "a-3a"


class FontsMissing(Exception):
    """The fonts of our papers are not in the folders. The message says which, and how to get them."""


class GlyphsMissing(Exception):
    """No installed font can write these characters: the paper would show boxes in their place."""

    def __init__(self, characters: Sequence[str]) -> None:
        self.characters = tuple(characters)
        shown = ", ".join(f"{each} (U+{ord(each):04X})" for each in self.characters)
        super().__init__(f"no font writes {shown}")


def typeset(sheet: Sheet, *, font_folders: Sequence[Path] = FONT_FOLDERS) -> bytes:
    """The paper as PDF/A-3a: tagged, fonts inside, its attachments with it. It takes processor time, about 0.2 s.

    FontsMissing, GlyphsMissing.
    """
    values = asdict(sheet)
    made_at = values.pop("made_at")
    fonts = _font_files(tuple(font_folders))
    _require_glyphs(_texts(values), fonts)
    return bytes(
        typst.compile(
            str(_LAYOUT),
            root=str(_LAYOUT.parent),
            font_paths=sorted({str(file.parent) for file in fonts}),
            ignore_system_fonts=True,
            format="pdf",
            pdf_standards=_STANDARD,
            timestamp=int(made_at.timestamp()),
            sys_inputs={"sheet": json.dumps(values, ensure_ascii=False)},
        )
    )


@lru_cache
def _font_files(folders: tuple[Path, ...]) -> tuple[Path, ...]:
    found = {file.name: file for folder in folders for file in sorted(folder.glob("*.tt[fc]"))}
    missing = [name for name in FONT_FILES if name not in found]
    if missing:
        raise FontsMissing(
            f"{', '.join(missing)} not in {', '.join(map(str, folders))}: install fonts-morisawa-bizud-gothic "
            "and fonts-noto-cjk (Debian), or set KYOYO_FONT_FOLDERS"
        )
    return tuple(found[name] for name in (*FONT_FILES, *FALLBACK_FILES) if name in found)


def _texts(value: object) -> Iterable[str]:
    """Each text that is shown. What is attached is a file of its own and needs no font."""
    match value:
        case str():
            yield value
        case dict():
            for key, each in value.items():
                if key != "attachments":
                    yield from _texts(each)
        case list() | tuple():
            for each in value:
                yield from _texts(each)
        case _:
            return


def _require_glyphs(texts: Iterable[str], fonts: Iterable[Path]) -> None:
    used = {character for text in texts for character in text}
    for font in fonts:  # the fallback is large, and is looked into only where the first lacks something
        used -= _writes(font)
        if not used:
            return
    raise GlyphsMissing(sorted(used))


@lru_cache
def _writes(font: Path) -> frozenset[str]:
    with TTFont(font, fontNumber=0, lazy=True) as opened:  # the faces of a collection write the same characters
        return frozenset(map(chr, opened.getBestCmap()))

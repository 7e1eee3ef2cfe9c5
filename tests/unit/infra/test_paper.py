"""Papers: no box in place of a letter, the same bytes again, a file that archives accept."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, date, datetime
from pathlib import Path

import pypdfium2
import pytest

from infra.paper.dates import era_year, japanese_date, japanese_period
from infra.paper.sheet import Attachment, Column, Fact, Party, Row, Sheet, Table, Words
from infra.paper.typesetting import FONT_FOLDERS, FontsMissing, GlyphsMissing, typeset

NAME = "株式会社𠮷野髙﨑㈱研究所"
SHEET = Sheet(
    title=Words("請求書", "Invoice"),
    number="2026-000001",
    facts=(Fact(Words("発行日", "Date"), "2026年12月1日（令和8年）"),),
    receiver=Party(name=NAME, honorific="御中"),
    giver=Party(name="共用計算機構", lines=("〒100-0001",)),
    tables=(
        Table(
            title=Words("明細", "Lines"),
            columns=(Column(title=Words("内容", "Item"), share=1), Column(title=Words("金額", "Yen"), number=True)),
            rows=(Row(cells=("H200", "1,234")), Row(cells=(Words("合計", "Total"), "1,234"), total=True)),
        ),
    ),
    notes=(Words("備考です。", "Anote."),),
    attachments=(Attachment(name="annex.csv", media_type="text/csv", description="内訳", content="a,b\r\n1,😀\r\n"),),
    made_at=datetime(2026, 12, 1, tzinfo=UTC),
)


def text_of(pdf: bytes) -> str:
    """All text of a PDF, in order, without spaces: a gap between kanji and digits is told as one."""
    with pypdfium2.PdfDocument(pdf) as document:
        return "".join(page.get_textpage().get_text_range() for page in document).replace(" ", "")


@pytest.mark.fonts
def test_a_paper_is_the_same_bytes_again_can_be_read_and_is_made_for_archives() -> None:
    pdf = typeset(SHEET)
    assert typeset(SHEET) == pdf
    assert typeset(replace(SHEET, number="2026-000002")) != pdf
    text = text_of(pdf)
    for shown in (f"{NAME}　御中", "共用計算機構", "1,234", "合計", "備考です。", "Anote.", "令和8年"):
        assert shown in text, shown
    assert b"<pdfaid:part>3</pdfaid:part>" in pdf
    assert b"<pdfaid:conformance>A</pdfaid:conformance>" in pdf, "tagged, so that it can be read aloud"
    with pypdfium2.PdfDocument(pdf) as document:
        attached = document.get_attachment(0)
        assert (attached.get_name(), bytes(attached.get_data()).decode()) == ("annex.csv", "a,b\r\n1,😀\r\n")


@pytest.mark.fonts
def test_what_no_font_can_write_is_named_and_never_a_box() -> None:
    with pytest.raises(GlyphsMissing, match=r"😀 \(U\+1F600\)"):
        typeset(replace(SHEET, receiver=Party(name="絵文字😀株式会社")))
    with pytest.raises(GlyphsMissing, match=r"U\+E000"):
        typeset(replace(SHEET, notes=(Words("外字\ue000", "private use"),)))


@pytest.mark.fonts
def test_without_the_fallback_only_rare_names_are_refused() -> None:
    alone = (FONT_FOLDERS[0],)
    with pytest.raises(GlyphsMissing, match="𠮷"):
        typeset(SHEET, font_folders=alone)
    assert typeset(replace(SHEET, receiver=Party(name="株式会社髙﨑")), font_folders=alone)


def test_missing_fonts_are_named_with_what_to_install(tmp_path: Path) -> None:
    with pytest.raises(FontsMissing, match=r"BIZUDPGothic-Regular\.ttf.*fonts-morisawa-bizud-gothic"):
        typeset(SHEET, font_folders=(tmp_path,))


def test_a_row_has_as_many_cells_as_there_are_columns() -> None:
    with pytest.raises(ValueError, match="1 cells in 2 columns"):
        replace(SHEET.tables[0], rows=(Row(cells=("alone",)),))


@pytest.mark.parametrize(
    ("day", "shown"),
    [
        (date(2019, 4, 30), "平成31年"),
        (date(2019, 5, 1), "令和元年"),
        (date(2020, 1, 1), "令和2年"),
        (date(2026, 12, 31), "令和8年"),
        (date(1989, 1, 8), "平成元年"),
    ],
)
def test_the_year_of_the_era(day: date, shown: str) -> None:
    assert era_year(day) == shown
    assert japanese_date(day).endswith(f"（{shown}）")


def test_no_era_before_ours_and_periods_name_both_years_where_they_differ() -> None:
    with pytest.raises(ValueError, match="1989-01-07"):
        era_year(date(1989, 1, 7))
    assert japanese_period(date(2026, 11, 1), date(2026, 11, 30)) == "2026年11月1日～11月30日"
    assert japanese_period(date(2026, 12, 1), date(2027, 1, 31)) == "2026年12月1日～2027年1月31日"

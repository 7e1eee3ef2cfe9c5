"""The page around the charts: one file that needs nothing else, light and dark, on a desk and in a hand. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from html import escape

from scheduler.simulate.charts import hatchings
from scheduler.simulate.words import Words

_STYLE = """
:root { --ink:#1a1a1c; --faint:#5b5f66; --paper:#f5f6f8; --card:#fff; --line:#d8dbe0; --area:#dfe6f1; --edge:#7d8795;
  --good:#e3f5ea; --c0:#0050a0; --c1:#c03a00; --c2:#0b6e3a; --c3:#8e3a8a; --c4:#7a5200; --c5:#0a6b78;
  color-scheme: light dark; }
@media (prefers-color-scheme: dark) { :root { --ink:#eceef2; --faint:#a4abb6; --paper:#131519; --card:#1c1f25;
  --line:#3a3f49; --area:#2b3a52; --edge:#8b95a5; --good:#16301f; --c0:#8cc8ff; --c1:#ff9d6b; --c2:#7ed9a3;
  --c3:#e39ae0; --c4:#f2c063; --c5:#6fd6e2; } }
* { box-sizing: border-box; }
body { margin: 0 auto; max-width: 66rem; padding: 1.5rem 1rem 3rem; background: var(--paper); color: var(--ink);
  font: 1rem/1.65 "Noto Sans JP", "Noto Sans CJK JP", "Hiragino Sans", system-ui, sans-serif; }
h1 { font-size: 1.6rem; line-height: 1.3; margin: 0 0 .3rem; } h2 { font-size: 1.15rem; margin: 0 0 .2rem; }
p { margin: 0 0 .7rem; color: var(--faint); }
section { background: var(--card); border: 1px solid var(--line); border-radius: 12px; padding: 1.1rem 1.2rem;
  margin-top: 1.1rem; }
.scroll { overflow-x: auto; }
svg[role=img] { width: 100%; min-width: 40rem; height: auto; display: block; }
svg text { fill: var(--faint); font-size: 12.5px; font-variant-numeric: tabular-nums; }
svg text.strong { fill: var(--ink); font-weight: 700; }
.grid { stroke: var(--line); fill: none; } .line { fill: none; stroke-width: 2; stroke-linejoin: round; }
.area { fill: var(--area); } .edge { fill: none; stroke: var(--edge); } .mark { stroke: var(--card); }
.stair { stroke: var(--edge); fill: none; stroke-width: 1.5; stroke-dasharray: 4 4; }
.leader { stroke: var(--line); fill: none; }
.due { stroke: var(--ink); fill: none; stroke-width: 2; stroke-dasharray: 6 3; }
.blank { fill: var(--card); } .hatch { fill: none; stroke: var(--card); stroke-width: 2; stroke-linecap: round; }
.layer { stroke: var(--card); stroke-width: 1; } .hidden { position: absolute; }
.fill.c0 { fill: var(--c0); } .fill.c1 { fill: var(--c1); } .fill.c2 { fill: var(--c2); }
.fill.c3 { fill: var(--c3); } .fill.c4 { fill: var(--c4); } .fill.c5 { fill: var(--c5); } .fill { stroke: none; }
.c0 { stroke: var(--c0); } .c1 { stroke: var(--c1); } .c2 { stroke: var(--c2); }
.c3 { stroke: var(--c3); } .c4 { stroke: var(--c4); } .c5 { stroke: var(--c5); }
.mark.c0 { fill: var(--c0); } .mark.c1 { fill: var(--c1); } .mark.c2 { fill: var(--c2); }
.mark.c3 { fill: var(--c3); } .mark.c4 { fill: var(--c4); } .mark.c5 { fill: var(--c5); }
.legend { display: flex; flex-wrap: wrap; gap: .2rem 1.2rem; list-style: none; padding: 0; margin: 0 0 .6rem;
  font-size: .9rem; }
.key { vertical-align: -2px; overflow: visible; }
table { border-collapse: collapse; width: 100%; font-size: .9rem; }
th, td { padding: .35rem .7rem; border-top: 1px solid var(--line); text-align: end; white-space: nowrap;
  font-variant-numeric: tabular-nums; }
th:first-child { text-align: start; } thead th { color: var(--faint); border-top: 0; }
td.best { background: var(--good); font-weight: 700; }
summary { cursor: pointer; color: var(--c0); margin-top: .5rem; }
:focus-visible { outline: 3px solid #b78f00; outline-offset: 2px; }
@media print { body { background: #fff; max-width: none; } section { break-inside: avoid; } }
"""


def page(words: Words, *, lead: str, sections: Sequence[str]) -> str:
    """The whole document."""
    title = escape(words.text("title"))
    return (
        f'<!doctype html>\n<html lang="{words.language}"><head><meta charset="utf-8">'
        f'<meta name="viewport" content="width=device-width, initial-scale=1"><title>{title}</title>'
        f"<style>{_STYLE}</style></head>\n<body>{hatchings()}<main><h1>{title}</h1><p>{escape(lead)}</p>\n"
        + "\n".join(sections)
        + "\n</main></body></html>\n"
    )


def section(title: str, lead: str, *inside: str) -> str:
    """A card with a heading."""
    told = f"<p>{escape(lead)}</p>" if lead else ""
    return f"<section><h2>{escape(title)}</h2>{told}{''.join(inside)}</section>"


def scrolling(inside: str, label: str) -> str:
    """Wide things scroll by themselves; a keyboard gets there."""
    return f'<div class="scroll" tabindex="0" role="group" aria-label="{escape(label)}">{inside}</div>'


def table(head: Sequence[str], rows: Sequence[Sequence[str]], *, best: Sequence[int | None] = ()) -> str:
    """The first column names the row; best: which column of each row is marked as the best."""
    marks = best or [None] * len(rows)
    names = "".join(f'<th scope="col">{escape(name)}</th>' for name in head)
    body = "".join(
        f'<tr><th scope="row">{escape(row[0])}</th>'
        + "".join(
            f"<td{' class=best' if index == mark else ''}>{escape(cell)}</td>" for index, cell in enumerate(row[1:])
        )
        + "</tr>"
        for row, mark in zip(rows, marks, strict=True)
    )
    return f"<table><thead><tr>{names}</tr></thead><tbody>{body}</tbody></table>"


def folded(words: Words, inside: str) -> str:
    """The numbers of a chart, for those who cannot see it, and for those who want them."""
    return (
        f"<details><summary>{escape(words.text('table'))}</summary>{scrolling(inside, words.text('table'))}</details>"
    )

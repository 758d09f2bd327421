"""HTML of the demonstration and of the page to try the models: sections, pictures, tables, marked texts."""

from __future__ import annotations

import html
from collections.abc import Sequence
from typing import Any

Section = tuple[str, str, str]  # title, text (both plain), content in HTML


def picture(name: str, what: str) -> str:
    """An image next to the page; `what` is its alt text."""
    return f"<img src='{name}' alt='{html.escape(what, quote=True)}'>"


def page_html(sections: list[Section]) -> str:
    """The page with all sections."""
    body = "\n".join(
        f"<section><h2>{html.escape(title)}</h2><p>{html.escape(text)}</p>{content}</section>"
        for title, text, content in sections
    )
    return f"""<!doctype html>
<html lang="en"><head><meta charset="utf-8"><meta name="viewport" content="width=device-width">
<title>hf_kexue demonstration</title>
<style>
body {{ font: 16px/1.5 system-ui, sans-serif; max-width: 900px; margin: 2rem auto; padding: 0 1rem; color: #222 }}
h1 {{ font-size: 1.6rem }} h2 {{ font-size: 1.2rem; margin-top: 2.5rem }}
img {{ max-width: 100%; image-rendering: pixelated }} p {{ overflow-wrap: anywhere }}
blockquote {{ margin: .5rem 0; padding: .2rem .8rem; border-left: 3px solid #ccc }}
iframe {{ width: 100%; height: 48rem; border: 1px solid #ccc }}
mark {{ background: #ffe08a }} th, td {{ text-align: left; padding-right: 2rem }}
</style></head><body>
<h1>hf_kexue, from the articles to pictures and answers</h1>
{body}
</body></html>
"""


def table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """Rows of texts under a head."""
    cells = "".join(f'<th scope="col">{name}</th>' for name in head)
    body = "".join(f"<tr>{''.join(f'<td>{html.escape(cell)}</td>' for cell in row)}</tr>" for row in rows)
    return f'<table lang="zh"><thead><tr>{cells}</tr></thead><tbody>{body}</tbody></table>'


def mentions(text: str, triples: list[dict[str, Any]]) -> str:
    """The text with all mentions marked; of overlapping ones the outer one."""
    spans = sorted({(t[role]["start"], -t[role]["end"]) for t in triples for role in ("subject", "object")})
    parts, reached = [], 0
    for start, end in spans:
        if start >= reached:
            parts.append(html.escape(text[reached:start]) + f"<mark>{html.escape(text[start:-end])}</mark>")
            reached = -end
    return "".join(parts) + html.escape(text[reached:])

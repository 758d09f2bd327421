"""The page of the demonstration: sections with a title, a text and content."""

from __future__ import annotations

import html

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

"""The report of `check_images` as one self-contained HTML page with thumbnails."""

from __future__ import annotations

from base64 import b64encode
from html import escape

from .check import ImageReport, Thumbnails

PAGE = """<!doctype html>
<html lang="en"><meta charset="utf-8"><meta name="viewport" content="width=device-width, initial-scale=1">
<title>{title}</title>
<style>
body {{ font: 15px/1.5 system-ui, sans-serif; margin: 2rem auto; max-width: 76rem; padding: 0 1rem; }}
pre {{ overflow-x: auto; background: #f4f4f2; padding: 1rem; }}
div {{ display: flex; flex-wrap: wrap; gap: 6px; }}
figure {{ margin: 0; width: 96px; }} figcaption {{ font-size: 11px; overflow-wrap: anywhere; }}
img {{ width: 96px; height: 96px; }}
h2 {{ font-size: 1.05rem; margin: 1.4rem 0 .4rem; }}
</style>
<h1>{title}</h1>
<pre>{table}</pre>
{sections}
</html>
"""


def check_page(report: ImageReport, thumbnails: Thumbnails, title: str) -> str:
    """The page as text.

    Args:
        report, thumbnails: of `check_images`.
        title: of the page.
    """
    sections = [
        _section(f"{report.findings[name][0].format(**report.settings)}: {report.counts[name]}", shown)
        for name, shown in thumbnails.findings.items()
    ]
    for name in sorted(thumbnails.classes):
        heading = f"{name}: {report.classes[name]}" if name else "Without a class" if report.classes else "Pictures"
        sections.append(_section(heading, [("", picture) for picture in thumbnails.classes[name]]))
    return PAGE.format(title=escape(title), table=escape(str(report)), sections="\n".join(sections))


def _section(heading: str, shown: list[tuple[str, bytes]]) -> str:
    figures = [
        f'<figure><img alt="{escape(name)}" src="data:image/jpeg;base64,{b64encode(picture).decode()}">'
        f"<figcaption>{escape(name)}</figcaption></figure>"
        for name, picture in shown
    ]
    return f"<h2>{escape(heading)}</h2>\n<div>{''.join(figures)}</div>"

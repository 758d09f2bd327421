"""Triples in the demonstration: three sentences as graphs and with their mentions marked."""

from __future__ import annotations

import time
from pathlib import Path

from ..inference import kinds
from ..inference.saved_models import load_pipeline
from .graph import triples_svg
from .html import Section

TRIPLES = Path("model_cards") / kinds.TRIPLES.published
SENTENCES = [
    "《城南旧事》是林海音创作的小说，1983年由吴贻弓导演拍成同名电影，沈洁主演。",
    "《月亮代表我的心》由孙仪作词，翁清溪作曲，邓丽君演唱。",
    "杨绛出生于北京，毕业于东吴大学，丈夫是作家钱锺书。",
]


def three_sentences(repository: Path, output: Path) -> Section:
    """Extract triples with the published model."""
    started = time.perf_counter()
    extract = load_pipeline(str(repository / TRIPLES), kinds.TRIPLES)
    triples = extract(SENTENCES)
    (output / "triples.html").write_text(extract.to_html(SENTENCES, triples), encoding="utf-8")
    graphs = "".join(f"<p>{triples_svg(each)}</p>" for each in triples)
    return (
        "Triples of three sentences",
        f"Subject, predicate and object, of {len(extract.model.schema)} predicates: "
        f"{sum(map(len, triples))} extracted by {extract.model.num_parameters() / 1e6:.1f}M parameters, loaded and "
        f"run here in {time.perf_counter() - started:.1f} s. As graphs, and below in their sentences.",
        f"<div lang='zh'>{graphs}</div><iframe src='triples.html' title='the sentences with their triples'></iframe>",
    )

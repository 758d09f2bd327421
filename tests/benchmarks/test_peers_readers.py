"""The readers that are trained side by side: of one size, and each learns from and answers the same questions."""

import pytest

from hf_kexue import DGCNNTokenizer
from hf_kexue.data.questions.reading import QAExample
from hf_kexue.data.questions.samples import ReadingCollator, ReadingDataset

pytest.importorskip("rjieba", reason="rjieba is not installed")
pytest.importorskip("nltk", reason="the extra hf-kexue[metrics] is not installed")
peers = pytest.importorskip("peers_readers", reason="benchmarks/ belongs to the repository, not to the package")

TEXT = "赵州桥由隋代工匠李春主持修建，位于河北省赵县。"
EXAMPLES = [
    QAExample("1", "谁修建了赵州桥？", [TEXT], [["李春"]], [[TEXT.index("李春")]]),
    QAExample("2", "赵州桥在哪里？", [TEXT], [["河北省赵县"]], [[TEXT.index("河北省")]]),
]


@pytest.fixture(scope="module")
def tokenizer():
    texts = [TEXT, *(example.question for example in EXAMPLES)]
    return DGCNNTokenizer.from_texts(texts, min_count=1, segmenter="rjieba", match_features=True)


@pytest.fixture(scope="module")
def contestants(tokenizer):
    return {name: make(tokenizer) for name, make in peers.CONTESTANTS.items()}


def test_all_are_of_one_size(contestants):
    counts = {name: peers.sizes(contestant.network) for name, contestant in contestants.items()}
    outside = {name: parameters - tables for name, (parameters, tables) in counts.items()}
    ours = outside["hf_kexue reader"]
    assert all(abs(count - ours) < 0.05 * ours for count in outside.values()), outside


@pytest.mark.parametrize("name", list(peers.CONTESTANTS))
def test_each_learns_and_answers(name, contestants, tokenizer):
    contestant = contestants[name]
    batch = ReadingCollator(tokenizer)([ReadingDataset(EXAMPLES)[index] for index in range(2)])
    loss = contestant.loss(batch)
    loss.backward()
    assert loss.ndim == 0
    assert loss.item() > 0
    contestant.network.eval()
    scores = contestant.score(EXAMPLES)
    assert 0 <= scores["exact_match"] <= scores["f1"] <= 100

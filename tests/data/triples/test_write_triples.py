"""Sentences written as JSON lines are read again as they were."""

from hf_kexue.data.triples.clean import write_triples
from hf_kexue.data.triples.reading import Triple, TripleExample, read_triples


def test_sentences_survive_their_file(tmp_path):
    examples = [
        TripleExample("a", "鲁迅写了《呐喊》。", [Triple("呐喊", "作者", "鲁迅", "图书作品", "人物")]),
        TripleExample("b", "昨天下雨。", []),
    ]
    path = tmp_path / "new" / "sentences.jsonl"
    write_triples(path, examples)
    assert [(one.text, one.triples) for one in read_triples(str(path))] == [
        (one.text, one.triples) for one in examples
    ]
    assert [file.name for file in path.parent.iterdir()] == ["sentences.jsonl"]

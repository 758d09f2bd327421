#!/usr/bin/env bash
# bm25s: documents with equal scores come in an order that depends on k, and a question of unknown words gets answers.
#
# Guess: equal scores keep the order of the corpus, the first k of a longer list are the list of k, and a document that
#        shares no word with the question is not returned.
# Seen:  bm25s 0.3.16: of four equal documents 0 to 3, k=2 gives 2, 3 and k=4 gives 2, 3, 1, 0; of ten equal ones k=3
#        gives 9, 8, 7. A question whose words occur nowhere gets k documents with score 0, the last ones of the
#        corpus; where fewer than k match, documents with score 0 fill up.
# Use:   get_scores, drop what is 0, and sort by (-score, index).
#
# Ends with 0 while that is so.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/env"
"$folder/env/bin/python" -m pip install -q --disable-pip-version-check bm25s==0.3.16 numpy==2.4.6 scipy==1.17.1
"$folder/env/bin/python" -W ignore - <<'PYTHON'
import bm25s


def found(corpus, question, k):
    index = bm25s.BM25()
    index.index(corpus, show_progress=False)
    numbers, scores = index.retrieve([question], k=k, show_progress=False)
    return numbers[0].tolist(), scores[0].tolist()


print("bm25s", bm25s.__version__)
corpus = [["赵", "甲"], ["赵", "乙"], ["赵", "丙"], ["赵", "丁"], ["钱"], ["孙"]]
seen = {}
for k in (2, 4, 6):
    seen[k], scores = found(corpus, ["赵"], k)
    print(f"four equal of six, k={k}: {seen[k]}, scores", [round(score, 3) for score in scores])
    assert len(set(scores[:4])) == 1 and scores[4:] == [0.0] * max(0, k - 4)
assert seen == {2: [2, 3], 4: [2, 3, 1, 0], 6: [2, 3, 1, 0, 4, 5]}
equal, _ = found([["赵"]] * 10, ["赵"], 3)
unknown, scores = found(corpus, ["李"], 3)
print("ten equal, k=3:", equal, "- a word that is nowhere, k=3:", unknown, scores)
assert equal == [9, 8, 7]
assert unknown == [5, 4, 3] and scores == [0.0] * 3
PYTHON
echo "as described"

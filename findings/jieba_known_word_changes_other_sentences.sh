#!/usr/bin/env bash
# jieba: adding a word that its dictionary already has cuts other sentences anew, in which that word does not occur.
#
# Guess: add_word("了") changes nothing: 了 is the most frequent word of the dictionary, and no sentence without it can notice.
# Seen:  jieba 0.42.1 raises the frequency by 1, from 883634 to 883635, and adds all of it to the total a second time,
#        60101967 to 60985602. Every word becomes less probable, so cuts with fewer words win: 不能|太|差 becomes
#        不能|太差, 把|年|号|改为 becomes 把|年号|改为. Adding it again goes on: the total grows by 883636. rjieba 0.2.2
#        with the same dictionary cuts as before.
# Use:   add unknown words only, or give the frequency that suggest_freq or the dictionary has and set `total` back.
#
# Ends with 0 while that is so.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/env"
"$folder/env/bin/python" -m pip install -q --disable-pip-version-check jieba==0.42.1 rjieba==0.2.2 setuptools==80.9.0
"$folder/env/bin/python" -W ignore - <<'PYTHON'
import logging

import jieba
import rjieba

jieba.setLogLevel(logging.WARNING)
SENTENCES = {
    "不能太差": (["不能", "太", "差"], ["不能", "太差"]),
    "把年号改为开元": (["把", "年", "号", "改为", "开元"], ["把", "年号", "改为", "开元"]),
}
print("jieba", jieba.__version__)
before, after = jieba.Tokenizer(), jieba.Tokenizer()
before.initialize()
after.add_word("了")
print("了:", before.FREQ["了"], "to", after.FREQ["了"], "- total:", before.total, "to", after.total)
assert (before.FREQ["了"], after.FREQ["了"]) == (883634, 883635)
assert after.total - before.total == 883635
theirs = rjieba.Jieba()
theirs.add_word("了", None, None)
for sentence, cuts in SENTENCES.items():
    seen = before.lcut(sentence, HMM=False), after.lcut(sentence, HMM=False)
    print(sentence, "becomes".join(f" {'|'.join(cut)} " for cut in seen))
    assert seen == cuts
    assert theirs.cut(sentence, False) == cuts[0]
after.add_word("了")
assert after.total - before.total == 883635 + 883636
after.total = before.total
assert all(after.lcut(sentence, HMM=False) == cuts[0] for sentence, cuts in SENTENCES.items())
PYTHON
echo "as described"

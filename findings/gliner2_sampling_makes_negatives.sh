#!/usr/bin/env bash
# gliner2: what its training draws at random turns right answers into negatives, for relations and for structures.
#
# Guess: remove_relations_prob (0.2 by default) leaves a relation of a sample out with all its facts, as
#        remove_json_structure_prob leaves out a structure with all its records: what is still asked for is labelled in
#        full. Structures were the control, and have a surprise of their own.
# Seen:  gliner2 2.1.0: relations are drawn fact by fact. Where a sentence has two facts of one relation, in 31 % of the
#        draws one of them is gone and the relation is still asked for: its spans are labelled as no answer. Structures
#        are dropped whole, but where their fields get made-up names, "field 1" (synthetic_entity_label_prob, 0.2), the
#        values are looked up by these names and not found: a structure that is there is labelled as absent, in 15 % of
#        all draws. Entities with made-up names keep their labels.
# Use:   processor.sampling_config.remove_relations_prob = 0 where sentences have several facts of a relation, and
#        synthetic_entity_label_prob = 0 for structures.
#
# Ends with 0 while that is so.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/env"
"$folder/env/bin/python" -m pip install -q --disable-pip-version-check torch==2.13.0
"$folder/env/bin/python" -m pip install -q --disable-pip-version-check gliner2==2.1.0 transformers==5.23.0 numpy==2.4.6
"$folder/env/bin/python" -W ignore - <<'PYTHON'
import random
from collections import Counter
from importlib.metadata import version

from gliner2.processor import SamplingConfig, SchemaTransformer
from tokenizers import Tokenizer, models, pre_tokenizers
from transformers import PreTrainedTokenizerFast

print("gliner2", version("gliner2"))
TEXT = "ada wrote notes and grace wrote code ."
words = dict.fromkeys(["[PAD]", "[UNK]", "(", ")", ",", "|", "head", "tail", *TEXT.split()])
core = Tokenizer(models.WordLevel({word: number for number, word in enumerate(words)}, unk_token="[UNK]"))
core.pre_tokenizer = pre_tokenizers.WhitespaceSplit()
tokenizer = PreTrainedTokenizerFast(tokenizer_object=core, pad_token="[PAD]", unk_token="[UNK]")
processor = SchemaTransformer(tokenizer=tokenizer)
drawn = SamplingConfig()
print("chances:", drawn.remove_relations_prob, drawn.remove_json_structure_prob, drawn.synthetic_entity_label_prob)
facts = [{"head": "ada", "tail": "notes"}, {"head": "grace", "tail": "code"}]
random.seed(0)
found = {}
for kind in ("relations", "json_structures"):
    counts = Counter()
    for _ in range(2000):
        batch = processor.collate_fn_train([(TEXT, {kind: [{"wrote": dict(fact)} for fact in facts]})])
        labels, names = batch.structure_labels[0], batch.schema_tokens_list[0]
        made_up = bool(names) and any(token.startswith("field ") for token in names[0])
        counts[(f"{labels[0][0]} of 2" if labels else "not asked for") + (", made-up names" if made_up else "")] += 1
    found[kind] = {key: round(count / 2000, 3) for key, count in counts.most_common()}
    print(f"{kind}: share of the draws by labelled facts: {found[kind]}")
assert 0.28 < found["relations"]["1 of 2"] < 0.36
assert set(found["json_structures"]) == {"2 of 2", "not asked for", "0 of 2, made-up names"}
assert 0.12 < found["json_structures"]["0 of 2, made-up names"] < 0.19

names = Counter()
for _ in range(500):
    batch = processor.collate_fn_train([(TEXT, {"entities": {"person": ["ada", "grace"], "text": ["notes", "code"]}})])
    assert batch.structure_labels[0] == [[1, [[[(0, 0), (4, 4)], [(2, 2), (6, 6)]]]]]
    names[batch.schema_tokens_list[0][0][5]] += 1
print("entities are labelled in full under all names:", dict(names))
assert set(names) == {"person", "entity 1"}
PYTHON
echo "as described"

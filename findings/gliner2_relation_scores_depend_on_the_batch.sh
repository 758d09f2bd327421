#!/usr/bin/env bash
# gliner2: the boundary network scores the relations of a text by the length of the longest text that runs beside it.
#
# Guess: padding is masked: what is found in a text, and its confidence, is the same alone and in a batch, up to rounding.
# Seen:  gliner2 2.1.0: for entities that is so. For relations it is not: the distance of head and tail, an input of the
#        scorer, is divided by the padded length of the batch, not by that of the text. With random weights the
#        confidence moves by 0.001, ten thousand times the rounding, and with a threshold between the two values a
#        relation is found alone and lost beside a longer text.
# Use:   batches of texts of one length, or batch_size=1, where runs have to be comparable.
#
# Ends with 0 while that is so.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/env"
"$folder/env/bin/python" -m pip install -q --disable-pip-version-check torch==2.13.0
"$folder/env/bin/python" -m pip install -q --disable-pip-version-check gliner2==2.1.0 transformers==5.23.0 numpy==2.4.6
"$folder/env/bin/python" -W ignore - <<'PYTHON'
from importlib.metadata import version

import torch
from gliner2 import BoundaryExtractor, ExtractorConfig
from gliner2.processor import SchemaTransformer
from tokenizers import Tokenizer, models, pre_tokenizers
from transformers import BertConfig, PreTrainedTokenizerFast

print("gliner2", version("gliner2"), "torch", torch.__version__)
SHORT = "ada wrote notes and grace wrote code ."
LONG = SHORT + " they met in london and talked about engines , looms and cards for a long time ." * 6
words = dict.fromkeys(["[PAD]", "[UNK]", "(", ")", ",", "|", "head", "tail", "wrote", "person", "entities", *LONG.split()])
core = Tokenizer(models.WordLevel({word: number for number, word in enumerate(words)}, unk_token="[UNK]"))
core.pre_tokenizer = pre_tokenizers.WhitespaceSplit()
tokenizer = PreTrainedTokenizerFast(tokenizer_object=core, pad_token="[PAD]", unk_token="[UNK]")
SchemaTransformer(tokenizer=tokenizer)  # adds its marks
torch.manual_seed(0)
encoder = BertConfig(vocab_size=len(tokenizer), hidden_size=64, num_hidden_layers=2, num_attention_heads=2,
                     intermediate_size=128, pad_token_id=0)
model = BoundaryExtractor(ExtractorConfig(model_name="none", architecture="boundary"), encoder_config=encoder,
                          tokenizer=tokenizer).eval()


def entities(texts):
    out = model.batch_extract_entities(texts, ["person"], threshold=0.0, include_confidence=True, include_spans=True)[0]
    return {(e["start"], e["end"]): e["confidence"] for e in out["entities"]["person"]}


def relations(texts, threshold=0.0):
    out = model.batch_extract_relations(texts, ["wrote"], threshold=threshold, include_confidence=True,
                                        include_spans=True)[0]["relation_extraction"]["wrote"]
    return {tuple(r[side][key] for side in ("head", "tail") for key in ("start", "end")): r["confidence"] for r in out}


def moved(find):
    alone, beside = find([SHORT]), find([SHORT, LONG])
    both = alone.keys() & beside.keys()
    assert both
    return {key: abs(alone[key] - beside[key]) for key in both}, alone, beside


with torch.no_grad():
    steps, _, _ = moved(entities)
    print(f"{len(steps)} entities: the confidence moves by {max(steps.values()):.1e} at most")
    assert max(steps.values()) < 1e-5
    steps, alone, beside = moved(relations)
    key = max(steps, key=steps.get)
    print(f"{len(steps)} relations: by {steps[key]:.1e}, from {alone[key]:.5f} to {beside[key]:.5f}")
    assert steps[key] > 1e-4
    threshold = (alone[key] + beside[key]) / 2
    found = [len(relations(texts, threshold)) for texts in ([SHORT], [SHORT, LONG])]
    print(f"with the threshold {threshold:.5f}: {found[0]} relations alone, {found[1]} beside a longer text")
    assert found[0] != found[1]
PYTHON
echo "as described"

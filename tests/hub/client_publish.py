"""Publish one model of each kind and save the expected outputs: `client_publish.py FOLDER`."""

import json
import sys
from pathlib import Path

import torch
from datasets import ClassLabel, Dataset, Features, Image, Value
from hub_clients import CONTEXT, QUESTION, Checks, drawn, logits, tiny_gan, tiny_images, tiny_reader, tiny_triples
from safetensors.torch import save_file

from hf_kexue import DGCNNConfig, DGCNNForMaskedLM
from hf_kexue.hub import export_repository, publish

folder, check = Path(sys.argv[1]), Checks()
images, gan, reader, triples = tiny_images(), tiny_gan(), tiny_reader(), tiny_triples()
other = tiny_images(seed=1)

for name, source in {"images": images, "gan": gan, "reader": reader, "triples": triples}.items():
    with check(f"export and publish {name}"):
        address = publish(export_repository(source, folder / name), f"owner/{name}")
        assert f"/owner/{name}/commit/" in address
with check("publish a branch"):
    publish(export_repository(other, folder / "other"), "owner/images", revision="experiment")
with check("publish a private one"):
    publish(folder / "reader", "owner/secret", private=True)
    publish(folder / "images", "owner/secret-images", private=True)
with check("publish under the name of the token's user"):
    publish(folder / "gan", "short")
with check("push_to_hub of a network, a scheduler and a pipeline of diffusers"):
    images.unet.push_to_hub("owner/unet")
    images.scheduler.push_to_hub("owner/scheduler")
    images.push_to_hub("owner/pushed-images")
with check("push_to_hub of a model, its tokenizer and a pipeline of transformers"):
    reader.model.push_to_hub("owner/pushed-reader")
    reader.tokenizer.push_to_hub("owner/pushed-reader")
    reader.push_to_hub("owner/pushed-pipeline")
    DGCNNForMaskedLM(DGCNNConfig(vocab_size=9, hidden_size=4)).push_to_hub("owner/lm", private=True)
with check("push_to_hub of data sets"):
    answer = {"text": ["居里夫妇"], "answer_start": [CONTEXT.index("居里夫妇")]}
    rows = [{"id": str(n), "question": QUESTION, "context": CONTEXT, "answers": answer} for n in range(6)]
    Dataset.from_list(rows).push_to_hub("owner/questions", split="train")
    triple = {"subject": "居里夫妇", "predicate": "发现", "object": "镭", "subject_type": "人物", "object_type": ""}
    Dataset.from_list([{"text": CONTEXT, "spo_list": [triple]}] * 4).push_to_hub("owner/sentences", split="train")
    pictures = gan(4, generator=torch.Generator().manual_seed(0)).images
    features = Features({"image": Image(), "label": ClassLabel(names=["dress", "hat"]), "number": Value("int64")})
    columns = {"image": pictures, "label": [0, 1, 0, 1], "number": [0, 1, 2, 3]}
    Dataset.from_dict(columns, features=features).push_to_hub("owner/pictures", split="train")

tensors = {"images": drawn(images), "experiment": drawn(other), "gan": drawn(gan)}
save_file(tensors | {"reader": logits(reader.model, reader.tokenizer)}, folder / "expected.safetensors")
texts = {
    "answers": reader(question=QUESTION, context=CONTEXT, top_k=3),
    "triples": triples(CONTEXT),
    "ids": reader.tokenizer(QUESTION, CONTEXT)["word_input_ids"],
}
assert texts["answers"]
assert texts["triples"]
(folder / "expected.json").write_text(json.dumps(texts), encoding="utf-8")
check.report()

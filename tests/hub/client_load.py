"""Load everything with the package: `client_load.py FOLDER`; FOLDER holds the expected outputs."""

import json
import sys
from pathlib import Path

from datasets import load_dataset
from hub_clients import CONTEXT, QUESTION, Checks, close, drawn, logits, refused, same
from safetensors.torch import load_file
from transformers import AutoConfig, AutoModelForMaskedLM, AutoModelForQuestionAnswering, AutoTokenizer, pipeline

from hf_kexue import (
    DGCNNForQuestionAnswering,
    DGCNNTokenizer,
    ReadingComprehensionPipeline,
    RSGANGenerator,
    RSGANPipeline,
    ShiftedCosineScheduler,
    SimpleDiffusionPipeline,
    SimpleDiffusionUViT2DModel,
    TripleExtractionPipeline,
)
from hf_kexue.data.images import load_images
from hf_kexue.data.questions.reading import read_qa
from hf_kexue.data.triples.reading import read_triples

SECRET = "owner/secret-images"
folder, check = Path(sys.argv[1]), Checks()
tensors = load_file(folder / "expected.safetensors")
texts = json.loads((folder / "expected.json").read_text(encoding="utf-8"))

with check("SimpleDiffusionPipeline"):
    pipe = SimpleDiffusionPipeline.from_pretrained("owner/images")
    assert (type(pipe.unet), pipe.class_names) == (SimpleDiffusionUViT2DModel, ["dress", "hat"])
    same(drawn(pipe), tensors["images"])
    same(drawn(SimpleDiffusionPipeline.from_pretrained("owner/pushed-images")), tensors["images"])
with check("RSGANPipeline"):
    same(drawn(RSGANPipeline.from_pretrained("owner/gan")), tensors["gan"])
    same(drawn(RSGANPipeline.from_pretrained("owner/short")), tensors["gan"])
with check("revision of a pipeline"):
    same(drawn(SimpleDiffusionPipeline.from_pretrained("owner/images", revision="experiment")), tensors["experiment"])
with check("one component by subfolder"):
    unet = SimpleDiffusionUViT2DModel.from_pretrained("owner/images", subfolder="unet")
    scheduler = ShiftedCosineScheduler.from_pretrained("owner/images", subfolder="scheduler")
    same(drawn(SimpleDiffusionPipeline(unet, scheduler)), tensors["images"])
    RSGANGenerator.from_pretrained("owner/gan", subfolder="generator")
with check("a network and a scheduler alone"):
    unet, scheduler = SimpleDiffusionUViT2DModel.from_pretrained("owner/unet"), pipe.scheduler
    assert ShiftedCosineScheduler.from_pretrained("owner/scheduler").config == scheduler.config
    same(drawn(SimpleDiffusionPipeline(unet, scheduler)), tensors["images"])
with check("Auto classes"):
    for name in ("owner/reader", "owner/pushed-reader", "owner/pushed-pipeline"):
        tokenizer = AutoTokenizer.from_pretrained(name)
        model = AutoModelForQuestionAnswering.from_pretrained(name)
        assert (type(model), type(tokenizer)) == (DGCNNForQuestionAnswering, DGCNNTokenizer)
        close(logits(model, tokenizer), tensors["reader"])
        assert tokenizer(QUESTION, CONTEXT)["word_input_ids"] == texts["ids"]
with check("own classes"):
    model, tokenizer = (own.from_pretrained("owner/reader") for own in (DGCNNForQuestionAnswering, DGCNNTokenizer))
    close(logits(model, tokenizer), tensors["reader"])
with check("kexue-question-answering"):
    reader = pipeline("kexue-question-answering", model="owner/reader", device="cpu")
    assert type(reader) is ReadingComprehensionPipeline
    assert reader(question=QUESTION, context=CONTEXT, top_k=3) == texts["answers"]
with check("kexue-triple-extraction"):
    extract = pipeline("kexue-triple-extraction", model="owner/triples", device="cpu")
    assert type(extract) is TripleExtractionPipeline
    assert extract(CONTEXT) == texts["triples"]
with check("private with a token, and not without"):
    refused(OSError, "owner/secret", lambda: AutoConfig.from_pretrained("owner/secret", token="hf_nobody"))
    refused(OSError, "owner/secret-images", lambda: SimpleDiffusionPipeline.from_pretrained(SECRET, token=False))
    close(logits(AutoModelForQuestionAnswering.from_pretrained("owner/secret"), tokenizer), tensors["reader"])
    same(drawn(SimpleDiffusionPipeline.from_pretrained(SECRET, token="hf_owner")), tensors["images"])
    AutoModelForMaskedLM.from_pretrained("owner/lm")
with check("load_dataset"):
    assert load_dataset("owner/questions", split="train").num_rows == 6
    assert [row["number"] for row in load_dataset("owner/pictures", split="train")] == [0, 1, 2, 3]
with check("load_dataset, streaming"):
    assert [row["id"] for row in load_dataset("owner/questions", split="train", streaming=True)] == list("012345")
    assert len([row["image"].size for row in load_dataset("owner/pictures", split="train", streaming=True)]) == 4
with check("the package's readers of data sets"):
    assert [example.answers for example in read_qa("owner/questions", split="train")] == [[["居里夫妇"]]] * 6
    assert [example.triples[0].object for example in read_triples("owner/sentences", split="train")] == ["镭"] * 4
    assert load_images("owner/pictures", split="train", label_column="auto").label_names == ["dress", "hat"]
    assert len(list(load_images("owner/pictures", split="train", streaming=True).rows)) == 4
with check("bad names"):
    refused(ValueError, "neither a folder nor the id", lambda: RSGANPipeline.from_pretrained("no/such/folder"))
    refused(OSError, "owner/nothing", lambda: RSGANPipeline.from_pretrained("owner/nothing"))
    refused(OSError, "holds no model_index.json", lambda: RSGANPipeline.from_pretrained("owner/unet"))
with check("pickled weights from the Hub"):
    refused(OSError, "pickled", lambda: SimpleDiffusionPipeline.from_pretrained("owner/bad-pickled"))
    unet = SimpleDiffusionUViT2DModel
    refused(OSError, "pickled", lambda: unet.from_pretrained("owner/bad-pickled", subfolder="unet"))
    refused(OSError, "pickled", lambda: DGCNNForQuestionAnswering.from_pretrained("owner/bad-pickled-reader"))
with check("truncated weights from the Hub"):
    refused(ValueError, "cut off or damaged", lambda: SimpleDiffusionPipeline.from_pretrained("owner/bad-truncated"))
    refused(
        ValueError, "cut off or damaged", lambda: pipeline("kexue-question-answering", "owner/bad-truncated-reader")
    )
with check("a path out of the repository"):
    refused(ValueError, "path", lambda: SimpleDiffusionPipeline.from_pretrained("owner/bad-path"))
    assert not list(Path(sys.argv[2]).rglob("outside.json"))
check.report()

"""Load everything where hf_kexue cannot be imported: `client_without_package.py FOLDER`."""

import json
import sys
from pathlib import Path

sys.modules["hf_kexue"] = None  # before anything imports it

from diffusers import DiffusionPipeline  # noqa: E402
from hub_clients import CONTEXT, QUESTION, Checks, close, drawn, logits, refused, same  # noqa: E402
from huggingface_hub import is_offline_mode, snapshot_download  # noqa: E402
from safetensors.torch import load_file  # noqa: E402
from transformers import AutoConfig, AutoModelForQuestionAnswering, AutoTokenizer, pipeline  # noqa: E402

folder, check = Path(sys.argv[1]), Checks()
tensors = load_file(folder / "expected.safetensors")
texts = json.loads((folder / "expected.json").read_text(encoding="utf-8"))
trust = {"trust_remote_code": True}
KINDS = ["*.json", "*.py", "*.safetensors"]

revision = {} if is_offline_mode() else {"revision": "experiment"}


def place(name, **options):
    """Offline, diffusers loads code from the cached folder only, not by repository id."""
    return snapshot_download(name, allow_patterns=KINDS, **options) if is_offline_mode() else name


for name in ("images", "gan"):
    with check(f"DiffusionPipeline of {name}"):
        pipe = DiffusionPipeline.from_pretrained(place(f"owner/{name}"), **trust)
        assert type(pipe).__module__.startswith("diffusers_modules.")
        same(drawn(pipe), tensors[name])
with check("its revision"):
    pipe = DiffusionPipeline.from_pretrained(place("owner/images", revision="experiment"), **revision, **trust)
    same(drawn(pipe), tensors["experiment"])
    assert pipe.class_names == ["dress", "hat"]
with check("Auto classes"):
    model = AutoModelForQuestionAnswering.from_pretrained("owner/reader", **trust)
    tokenizer = AutoTokenizer.from_pretrained("owner/reader", **trust)
    assert AutoConfig.from_pretrained("owner/reader", **trust).model_type == "dgcnn"
    assert {type(part).__module__.split(".")[0] for part in (model, tokenizer)} == {"transformers_modules"}
    close(logits(model, tokenizer), tensors["reader"])
    assert tokenizer(QUESTION, CONTEXT)["word_input_ids"] == texts["ids"]
with check("question-answering"):
    reader = pipeline("question-answering", model="owner/reader", device="cpu", **trust)
    assert reader(question=QUESTION, context=CONTEXT, top_k=3) == texts["answers"]
with check("triple-extraction"):
    assert pipeline("triple-extraction", model="owner/triples", device="cpu", **trust)(CONTEXT) == texts["triples"]
with check("no code runs unless it is trusted"):
    refused(ValueError, "trust_remote_code", lambda: DiffusionPipeline.from_pretrained(place("owner/images")))
    refused(
        ValueError, "trust_remote_code", lambda: AutoConfig.from_pretrained("owner/reader", trust_remote_code=False)
    )
del sys.modules["hf_kexue"]
from hf_kexue import DGCNNForQuestionAnswering, RSGANPipeline, SimpleDiffusionPipeline  # noqa: E402

with check("then with the package"):
    same(drawn(SimpleDiffusionPipeline.from_pretrained("owner/images")), tensors["images"])
    same(drawn(RSGANPipeline.from_pretrained("owner/gan", token=False)), tensors["gan"])
    DGCNNForQuestionAnswering.from_pretrained("owner/secret", token="hf_owner")
check.report()

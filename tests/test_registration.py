"""`import hf_kexue` costs nothing, and whatever is imported in whatever order, transformers knows the models.

What is imported cannot be unimported, so each order has a process of its own, and there are few of them.
"""

import subprocess
import sys

import pytest

from hf_kexue import DGCNNConfig, DGCNNForQuestionAnswering, DGCNNForTripleExtraction, DGCNNTokenizer

ANSWERS = """
from transformers import (
    AutoConfig, AutoModel, AutoModelForMaskedLM, AutoModelForQuestionAnswering, AutoModelForTokenClassification,
    AutoTokenizer, pipeline,
)
names = [type(auto.from_pretrained(FOLDER)).__name__ for auto in (
    AutoConfig, AutoTokenizer, AutoModel, AutoModelForMaskedLM, AutoModelForQuestionAnswering,
)]
assert names == [
    "DGCNNConfig", "DGCNNTokenizer", "DGCNNModel", "DGCNNForMaskedLM", "DGCNNForQuestionAnswering",
], names
qa = pipeline("kexue-question-answering", model=FOLDER)
assert type(qa).__name__ == "ReadingComprehensionPipeline", qa
assert qa(question="谁？", context="居里夫妇")["answer"] in "居里夫妇"
model = AutoModelForTokenClassification.from_pretrained(FOLDER + "/triples")
assert type(model).__name__ == "DGCNNForTripleExtraction", model
extract = pipeline("kexue-triple-extraction", model=model, tokenizer=FOLDER)
assert type(extract).__name__ == "TripleExtractionPipeline", extract
assert isinstance(extract("居里夫妇"), list)
"""

FIRST = {
    "all of theirs": """
import transformers.pipelines, transformers.models.auto.modeling_auto, transformers.models.auto.tokenization_auto
import hf_kexue
""",
    "one of theirs, then all of ours": """
from transformers import AutoConfig
from hf_kexue import ReadingComprehensionPipeline, DGCNNForQuestionAnswering, DGCNNTokenizer, DGCNNConfig
""",
    "our model, then their pipelines": """
from hf_kexue.dgcnn.modeling_dgcnn import DGCNNModel
import transformers.pipelines
""",
    "ours, and a look for all of them, which loads none": """
import importlib.util, hf_kexue
for name in ("models.auto.configuration_auto", "models.auto.modeling_auto", "pipelines"):
    assert importlib.util.find_spec("transformers." + name)
assert importlib.util.find_spec("hf_kexue.dgcnn.modeling_dgcnn")
""",
    # The third module of ours is stopped, and with it theirs that had it imported; then one of ours that succeeds, and
    # one that is stopped again.
    "after imports that failed": """
import sys, hf_kexue
class Stop:
    left = 3
    def find_spec(self, name, path, target=None):
        self.left -= name.startswith("hf_kexue.dgcnn.")
        if not self.left:
            self.left = 99
            raise KeyboardInterrupt
stop = Stop()
sys.meta_path.insert(1, stop)
try:
    import transformers.pipelines
    raise SystemExit("nothing was stopped")
except KeyboardInterrupt:
    assert "transformers.pipelines" not in sys.modules
import hf_kexue.dgcnn.checks_dgcnn
try:
    stop.left = 1
    from hf_kexue.dgcnn import modeling_dgcnn
    raise SystemExit("nothing was stopped")
except KeyboardInterrupt:
    sys.meta_path.remove(stop)
""",
}


def run(code, folder=None):
    done = subprocess.run(
        [sys.executable, "-c", f"FOLDER = {str(folder)!r}\n{code}"], capture_output=True, text=True, timeout=600
    )
    assert done.returncode == 0, done.stderr
    return done


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """A saved reader of nothing but characters, and beside it a model for triples."""
    folder = tmp_path_factory.mktemp("reader")
    tokenizer = DGCNNTokenizer.from_texts(["居里夫妇，谁？"], min_count=1, segmenter="none")
    config = DGCNNConfig(vocab_size=len(tokenizer), hidden_size=8, dilations=[1], question_dilations=[1])
    DGCNNForQuestionAnswering(config).save_pretrained(folder)
    config.triple_schema = [{"predicate": "别名", "subject_types": [], "object_types": []}]
    DGCNNForTripleExtraction(config).save_pretrained(folder / "triples")
    tokenizer.save_pretrained(folder)
    return folder


@pytest.mark.parametrize("order", FIRST)
def test_transformers_knows_the_models(folder, order):
    run(FIRST[order] + ANSWERS, folder)


def test_the_package_alone_imports_neither_torch_nor_transformers():
    code = (
        "import sys, hf_kexue\nprint(sorted({'torch', 'transformers', 'numpy', 'hf_kexue.dgcnn'} & set(sys.modules)))"
    )
    done = run(code)
    assert (done.stdout, done.stderr) == ("[]\n", "")

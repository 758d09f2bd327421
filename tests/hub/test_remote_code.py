"""The remote code of saved models: generated, added to a folder, built into a copy."""

import shutil
import subprocess
from pathlib import Path

import pytest
from hub_clients import tiny_gan, tiny_images, tiny_reader, tiny_triples

pytest.importorskip("rjieba", reason="the extra hf-kexue[chinese] is not installed")

from hf_kexue.dgcnn import DGCNNConfig, DGCNNForMaskedLM
from hf_kexue.hub import export_repository
from hf_kexue.hub.__main__ import main
from hf_kexue.hub.checks import check_repository
from hf_kexue.hub.remote_code import code_of, missing_code, refresh_code
from hf_kexue.hub.repository import build_repository, card_on_the_hub

ROOT = Path(__file__).resolve().parents[2]
CARDS = sorted(path.parent for path in ROOT.glob("model_cards/*/README.md"))
SOURCES = {
    "images": tiny_images,
    "gan": tiny_gan,
    "reader": tiny_reader,
    "triples": tiny_triples,
    "model alone": lambda: DGCNNForMaskedLM(DGCNNConfig(vocab_size=9, hidden_size=4)),
}


def held(folder):
    return {path.relative_to(folder): path.read_bytes() for path in sorted(folder.rglob("*")) if path.is_file()}


@pytest.fixture(scope="module", params=SOURCES)
def both(request, tmp_path_factory):
    """The same model exported with its code and without."""
    root, source = tmp_path_factory.mktemp("hub"), SOURCES[request.param]()
    return export_repository(source, root / "full"), export_repository(source, root / "bare", with_code=False)


def test_the_generated_code_is_what_an_export_leaves(both):
    """For transformers that code was collected by transformers itself."""
    full, bare = both
    code = {path: data for path, data in held(full).items() if path.suffix == ".py"}
    assert code
    assert {path: source.encode() for path, source in code_of(bare).items()} == code
    assert missing_code(bare) == code_of(bare)
    assert missing_code(full) == {}


def test_building_gives_what_an_export_leaves(both, tmp_path):
    full, bare = both
    before = held(bare)
    assert not [path for path in before if path.suffix == ".py"]
    assert held(build_repository(bare, tmp_path / "built")) == held(full)
    assert held(bare) == before
    assert check_repository(bare) == list(before)


def test_code_in_the_folder_stays_until_it_is_refreshed(tmp_path):
    folder = export_repository(tiny_gan(), tmp_path / "gan")
    changed = folder / "generator" / "modeling_rsgan.py"
    current = changed.read_text()
    changed.write_text("# mine\n")
    (folder / "pipeline_rsgan.py").unlink()
    assert set(missing_code(folder)) == {Path("pipeline_rsgan.py")}
    assert set(refresh_code(folder)) == {changed, folder / "pipeline_rsgan.py"}
    assert changed.read_text() == current


def rename(path, old, new):
    path.write_text(path.read_text().replace(old, new))


@pytest.mark.parametrize(
    ("source", "file", "old", "new", "named"),
    [
        ("reader", "config.json", "modeling_dgcnn.DGCNN", "modeling_mine.DGCNN", "'modeling_mine.py'"),
        ("reader", "config.json", "modeling_dgcnn.DGCNN", "modeling_dgcnn.Mine", "'modeling_dgcnn.py'"),
        ("reader", "config.json", "pipeline_dgcnn_qa.Reading", "pipeline_dgcnn_qa.My", "'pipeline_dgcnn_qa.py'"),
        ("reader", "tokenizer_config.json", "tokenization_dgcnn.", "../tokenization.", "'.py'"),
        ("gan", "model_index.json", "pipeline_rsgan", "pipeline_mine", "'pipeline_mine.py'"),
        ("gan", "model_index.json", "RSGANPipeline", "MyPipeline", "'pipeline_rsgan.py'"),
        ("gan", "model_index.json", "modeling_rsgan", "modeling_mine", "'generator/modeling_mine.py'"),
        ("gan", "model_index.json", "RSGANGenerator", "MyGenerator", "'generator/modeling_rsgan.py'"),
    ],
)
def test_code_that_the_package_does_not_have_is_missing(tmp_path, source, file, old, new, named):
    folder = export_repository(SOURCES[source](), tmp_path / "model", with_code=False)
    rename(folder / file, old, new)
    with pytest.raises(ValueError, match=named):
        check_repository(folder)


def test_bad_outputs_are_refused(tmp_path):
    folder = export_repository(tiny_gan(), tmp_path / "gan", with_code=False)
    (tmp_path / "notes").mkdir()
    (tmp_path / "notes" / "x.txt").write_text("mine")
    for output in (folder, folder / "copy", tmp_path, tmp_path / "notes"):
        with pytest.raises(ValueError, match=str(output)):
            build_repository(folder, output)
    assert (tmp_path / "notes" / "x.txt").read_text() == "mine"
    (tmp_path / "empty").mkdir()
    assert build_repository(folder, tmp_path / "empty").is_dir()
    (tmp_path / "empty" / "old.py").write_text("")
    build_repository(folder, tmp_path / "empty")
    assert not (tmp_path / "empty" / "old.py").exists()


def test_the_command(tmp_path, capsys):
    export_repository(tiny_gan(), tmp_path / "cards" / "gan", with_code=False)
    (tmp_path / "cards" / "texts").mkdir()
    folders = [str(path) for path in sorted((tmp_path / "cards").iterdir())]
    assert main([*folders, "--output", str(tmp_path / "built")]) == 0
    shown = capsys.readouterr()
    assert shown.out.splitlines() == [str(tmp_path / "built" / "gan")]
    assert "texts" in shown.err
    assert main([str(tmp_path / "cards" / "gan")]) == 0
    assert held(tmp_path / "cards" / "gan") == held(tmp_path / "built" / "gan")
    assert main([str(tmp_path / "nothing")]) == 2
    (tmp_path / "cards" / "gan" / "x.pt").write_bytes(b"")
    assert main([str(tmp_path / "cards" / "gan"), "--output", str(tmp_path / "built")]) == 2


def test_a_card_names_its_own_model_only():
    card = (
        "model_cards/reader, outputs/models/reader. model_cards/reader-wide ../model_cards/reader (model_cards/reader)"
    )
    expected = "you/x, you/x. model_cards/reader-wide ../model_cards/reader (you/x)"
    assert card_on_the_hub(card, "reader", "you/x") == expected


# ---- the models of the checkout


def test_no_code_is_tracked_beside_the_weights():
    if not (ROOT / ".git").exists() or shutil.which("git") is None:
        pytest.skip("this is no checkout of git")
    tracked = subprocess.run(
        ["git", "ls-files", "model_cards/*.py"], cwd=ROOT, capture_output=True, text=True, check=True
    )
    assert tracked.stdout == ""


@pytest.mark.skipif(not CARDS, reason="model_cards/ is part of the repository, not of the package")
@pytest.mark.parametrize("folder", CARDS, ids=lambda folder: folder.name)
def test_a_published_model_becomes_complete(folder, tmp_path):
    """Every class that its configurations name is in a file beside them."""
    built = build_repository(folder, tmp_path / folder.name)
    assert {path for path in held(built) if path.suffix == ".py"} == set(code_of(folder))
    named = [
        line for path in built.rglob("*.json") if path.stat().st_size < 1e6 for line in path.read_text().split('"')
    ]
    modules = {word.split(".")[0] for word in named if word.startswith(("modeling_", "pipeline_", "tokenization_"))}
    assert modules <= {path.stem for path in code_of(folder)}

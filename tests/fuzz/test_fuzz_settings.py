"""Configurations, schemas, schedulers and cards of any values: right, or a clear error."""

import json

import pytest
import torch
from fuzzing import FUZZ, JSON, NUMBERS, TEXTS, changed, check_reason
from huggingface_hub import ModelCard
from huggingface_hub.errors import StrictDataclassError
from hypothesis import given
from hypothesis import strategies as st
from tiny_models import save_extractor, save_gan, save_pipeline, save_reader

from hf_kexue import DGCNNConfig, DGCNNForTripleExtraction, ShiftedCosineScheduler, ShiftedFlowScheduler
from hf_kexue.hub.cards import card_metadata
from hf_kexue.inference.saved_models import load_pipeline

pytestmark = [pytest.mark.fuzz, pytest.mark.filterwarnings("ignore")]
torch.set_num_threads(1)
WRONG = (ValueError, TypeError, StrictDataclassError)  # out of range, of another type, and either in a configuration
ENTRY = {"predicate": "发现", "subject_types": ["人"], "object_types": ["物"]}


@FUZZ
@given(data=st.data())
def test_a_schema_of_anything(data):
    schema = changed([ENTRY, {**ENTRY, "predicate": "别名"}], data.draw)
    try:
        config = DGCNNConfig(vocab_size=8, hidden_size=4, dilations=[1], triple_schema=schema)
        model = DGCNNForTripleExtraction(config)
    except WRONG as error:
        check_reason(error)
        return
    assert [entry["predicate"] for entry in config.triple_schema] == [entry["predicate"] for entry in schema]
    assert len({entry["predicate"] for entry in schema}) == len(schema)
    assert DGCNNConfig.from_dict(config.to_dict()).triple_schema == config.triple_schema
    assert sum(parameter.numel() for parameter in model.parameters()) > 0


FIELDS = sorted(set(DGCNNConfig(vocab_size=8).to_dict()) & set(DGCNNConfig.__annotations__))


@FUZZ
@given(values=st.dictionaries(st.sampled_from(FIELDS), st.one_of(st.integers(-2, 9), NUMBERS, JSON), max_size=3))
def test_a_configuration_of_anything(values):
    if isinstance(values.get("vocab_size"), int) and values["vocab_size"] > 10**4:
        return  # nothing is built here, but let it stay small
    try:
        config = DGCNNConfig(**{"vocab_size": 8, "hidden_size": 4, **values})
    except WRONG as error:
        check_reason(error)
        return
    for name, value in values.items():
        assert getattr(config, name) == value or value != value
    json.dumps(config.to_dict())


@FUZZ
@given(
    count=st.integers(-1, 60), size=st.sampled_from([0, -1, 8, 32.5, 64, 512, 1e9, float("nan"), float("inf")]),
    base=st.sampled_from([0, 32, 64, 64.0, (32, 256), [256, 32], (1,), (0, 64), float("nan")]),
    lowest=st.floats(-30, 30), highest=st.floats(-30, 30), gamma=st.floats(-0.5, 1.5), steps=st.integers(-1, 70),
    spacing=st.sampled_from(["trailing", "leading", "linspace", "other"]), eta=st.sampled_from([0.0, 1.0]),
    zero=st.booleans(),
)  # fmt: skip
def test_schedules_fall_and_end_at_the_image(
    count, size, base, lowest, highest, gamma, steps, spacing, eta, zero
):  # fmt: skip
    """With the network that knows the one clean image the sampler ends there, whatever the schedule is."""
    try:
        scheduler = ShiftedCosineScheduler(
            num_train_timesteps=count, sample_size=size, base_size=base, logsnr_min=lowest, logsnr_max=highest,
            variance_gamma=gamma, timestep_spacing=spacing, rescale_betas_zero_snr=zero, clip_sample=False,
        )  # fmt: skip
        scheduler.set_timesteps(steps)
    except WRONG as error:
        check_reason(error)
        return
    times = scheduler.timesteps.tolist()
    assert len(times) == steps
    assert times == sorted(set(times), reverse=True)
    assert 0 <= times[-1] <= times[0] < count
    abar = scheduler.alphas_cumprod.double()
    assert bool((abar >= 0).all() and (abar <= 1).all() and (abar.diff() <= 0).all())
    assert ShiftedCosineScheduler.from_config(scheduler.config).alphas_cumprod.equal(scheduler.alphas_cumprod)
    clean, generator = torch.full((1, 1, 2, 2), 0.25, dtype=torch.float64), torch.Generator().manual_seed(0)
    x = torch.randn(clean.shape, generator=generator, dtype=torch.float64)
    for t in times:
        alpha, sigma = abar[t].sqrt(), (1 - abar[t]).sqrt()
        noise = (x - alpha * clean) / sigma if sigma > 0 else torch.zeros_like(x)
        x = scheduler.step(alpha * noise - sigma * clean, t, x, eta=eta, generator=generator).prev_sample
        assert bool(x.isfinite().all())
    assert abar[times[-1]] in (0.0, 1.0) or float((x - clean).abs().max()) < 1e-3


@FUZZ
@given(
    count=st.integers(-1, 2000), size=st.sampled_from([0, 8, 32.5, 64, 1024, float("nan")]), lowest=st.floats(-40, 20),
    solver=st.sampled_from(["euler", "heun", "ancestral", "other"]), gamma=st.floats(-0.5, 1.5),
    steps=st.integers(-1, 40),
)  # fmt: skip
def test_flows_end_at_the_image(count, size, lowest, solver, gamma, steps):
    try:
        scheduler = ShiftedFlowScheduler(
            num_train_timesteps=count, sample_size=size, logsnr_min=lowest, solver=solver, variance_gamma=gamma,
            clip_sample=False,
        )  # fmt: skip
        scheduler.set_timesteps(steps)
    except WRONG as error:
        check_reason(error)
        return
    times = scheduler.timesteps
    assert bool((times.diff() <= 0).all())
    assert 0 < float(times[-1]) <= float(times[0]) <= count
    clean, generator = torch.full((1, 1, 2, 2), 0.25, dtype=torch.float64), torch.Generator().manual_seed(0)
    x = torch.randn(clean.shape, generator=generator, dtype=torch.float64)
    for t in times:
        x = scheduler.step((x - clean) / (t.double() / count), t, x, generator=generator).prev_sample
        assert bool(x.isfinite().all())
    assert float((x - clean).abs().max()) < 1e-3


SAVED = {"reader": save_reader, "triples": save_extractor, "gan": save_gan, "diffusion": save_pipeline}


@pytest.fixture(scope="module")
def saved(tmp_path_factory):
    """Folder of each kind of model, and the JSON files in it."""
    folders = {}
    for kind, save in SAVED.items():
        folder = tmp_path_factory.mktemp(kind)
        save(folder)
        folders[kind] = (folder, {path: path.read_bytes() for path in sorted(folder.rglob("*.json"))})
    return folders


@pytest.mark.parametrize("kind", SAVED)
@FUZZ
@given(data=st.data())
def test_a_saved_model_with_a_changed_file(saved, kind, data):
    """It loads, or the error is one that a command prints on a line."""
    folder, files = saved[kind]
    path = data.draw(st.sampled_from(sorted(files)))
    content = files[path]
    if data.draw(st.integers(0, 3)) == 0:
        path.write_bytes(content[: data.draw(st.integers(0, len(content)))])
    else:
        path.write_text(json.dumps(changed(json.loads(content), data.draw)), encoding="utf-8")
    try:
        load_pipeline(str(folder), device="cpu")
    except (*WRONG, OSError, ImportError) as error:
        check_reason(error)
    finally:
        path.write_bytes(content)


@FUZZ
@given(
    title=TEXTS, tag=TEXTS, tags=st.lists(TEXTS, max_size=3),
    rows=st.lists(st.fixed_dictionaries({"metric": TEXTS, "value": NUMBERS, "dataset": TEXTS}), max_size=3),
)  # fmt: skip
def test_the_head_of_a_card_is_read_back(title, tag, tags, rows):
    """What the Hub reads of a card is what was measured."""
    try:
        head = card_metadata(title, {"pipeline_tag": tag, "tags": tags}, rows).to_yaml()
        head.encode()
    except (*WRONG, UnicodeEncodeError) as error:
        check_reason(error)
        return
    read = ModelCard(f"---\n{head}\n---\n\ntext", ignore_metadata_errors=False).data
    assert (read.pipeline_tag or "") == tag or tag.strip() != tag or "\x85" in tag  # YAML takes that for a line feed
    assert len(read.eval_results or ()) == len(rows)

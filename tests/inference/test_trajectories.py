"""Recorded paths of a guided teacher: what they hold, and that their targets are the guidance written out by hand."""

import pytest
import torch
from torch.testing import assert_close

from hf_kexue import ShiftedCosineScheduler, SimpleDiffusionPipeline, SimpleDiffusionUViT2DModel
from hf_kexue.inference.trajectories import PathSettings, load_shards, path_logsnr, record_paths, record_shards
from hf_kexue.simple_diffusion.guidance_simple_diffusion import predict_sample
from hf_kexue.simple_diffusion.samplers import with_sampler

SHARE = 0.2


def network(seed, classes=3):
    torch.manual_seed(seed)
    unet = SimpleDiffusionUViT2DModel(
        sample_size=16, block_out_channels=(8,), layers_per_block=1, hidden_size=16, num_transformer_layers=1,
        num_attention_heads=2, num_class_embeds=classes,
    )  # fmt: skip
    with torch.no_grad():
        for parameter in unet.parameters():
            parameter.add_(0.05 * torch.randn(parameter.shape))
    return unet


@pytest.fixture(scope="module")
def teacher():
    return SimpleDiffusionPipeline(
        network(0), ShiftedCosineScheduler(sample_size=16), guidance_unet=network(1), guidance_scale=4.0,
        guidance_unet_share=SHARE,
    )  # fmt: skip


def labels_of(count, seed):
    return [(seed + number) % 3 for number in range(count)]


def test_the_first_target_is_the_guided_prediction(teacher):
    """The first step of DPM-Solver++ is of first order: with as many steps its target is the prediction itself."""
    settings = PathSettings(2, 2, (4.0,), shard_size=3)
    paths, logsnr = record_paths(teacher, settings, 0, labels_of), path_logsnr(teacher, settings)
    rows, marks = torch.arange(3), torch.zeros(3, dtype=torch.int64)
    x_t, x_0, times, scales, labels = paths.targets(logsnr, rows, marks)
    with torch.no_grad():
        conditional = teacher.unet(x_t, times, labels).sample
        without = teacher.unet(x_t, times, torch.full_like(labels, 3)).sample
        weaker = teacher.guidance_unet(x_t, times, labels).sample
    negative = (1 - SHARE) * without + SHARE * weaker
    guided = predict_sample(negative + 4.0 * (conditional - negative), x_t, times, "v_prediction")
    assert_close(x_0, guided, rtol=0, atol=0.02)  # states are kept in float16, and the target divides by 0.4
    assert float((x_0 - predict_sample(conditional, x_t, times, "v_prediction")).abs().max()) > 0.05
    assert scales.tolist() == [4.0] * 3


def test_states_are_those_of_the_sampler(teacher):
    settings = PathSettings(4, 2, (1.0, 3.0), shard_size=2)
    paths = record_paths(teacher, settings, 1, labels_of)
    assert paths.states.shape == (2, 3, 3, 16, 16)
    assert paths.guidance_scales.tolist() == [3.0, 3.0]
    solver, _ = with_sampler(teacher, "dpm")
    images = solver(
        class_labels=paths.class_labels, latents=paths.states[:, 0].float(), guidance_scale=3.0,
        num_inference_steps=4, output_type="pt",
    ).images  # fmt: skip
    assert_close(paths.states[:, -1].float() / 2 + 0.5, images, rtol=0, atol=0.01)
    logsnr = path_logsnr(teacher, settings)
    expected = [float(teacher.scheduler.logsnr(u)) for u in (1.0, 0.5)]
    assert_close(logsnr, torch.tensor([*expected, torch.inf]), rtol=1e-3, atol=1e-3)


def test_mirrored_steps_have_mirrored_targets(teacher):
    settings = PathSettings(2, 2, (1.0,), shard_size=2)
    paths, logsnr = record_paths(teacher, settings, 0, labels_of), path_logsnr(teacher, settings)
    rows, marks = torch.arange(2), torch.ones(2, dtype=torch.int64)
    plain = paths.targets(logsnr, rows, marks)
    flipped = paths.targets(logsnr, rows, marks, torch.tensor([True, False]))
    for before, after in zip(plain[:2], flipped[:2]):
        assert torch.equal(after[0], before[0].flip(-1))
        assert torch.equal(after[1], before[1])


def test_recording_goes_on_and_keeps_to_its_settings(teacher, tmp_path):
    settings = PathSettings(2, 1, (2.0,), shard_size=2, seed=5)
    record_shards(teacher, settings, [0, 2], tmp_path, labels_of)
    before = (tmp_path / "00002.safetensors").stat().st_mtime_ns
    record_shards(teacher, settings, range(3), tmp_path, labels_of)
    assert (tmp_path / "00002.safetensors").stat().st_mtime_ns == before
    paths = load_shards(tmp_path, settings, range(3))
    assert len(paths) == 6
    assert torch.equal(paths.states[4:], record_paths(teacher, settings, 2, labels_of).states)
    assert load_shards(tmp_path, settings, [0], scales=False).guidance_scales is None
    other = PathSettings(2, 1, (3.0,), shard_size=2, seed=5)
    for read in (load_shards, lambda *args: record_shards(teacher, args[1], args[2], args[0], labels_of)):
        with pytest.raises(ValueError, match="guidance_scales"):
            read(tmp_path, other, range(3))


@pytest.mark.parametrize("options", [(6, 4), (4, 0), (0, 4)])
def test_steps_that_do_not_divide(options):
    with pytest.raises(ValueError, match="student_steps"):
        PathSettings(*options)
    with pytest.raises(ValueError, match="guidance_scales"):
        PathSettings(4, 4, ())


def test_a_teacher_without_classes(tmp_path):
    plain = SimpleDiffusionPipeline(network(0, None), ShiftedCosineScheduler(sample_size=16))
    settings = PathSettings(2, 2, shard_size=2)
    record_shards(plain, settings, [0], tmp_path, None)
    paths = load_shards(tmp_path, settings, [0])
    assert paths.class_labels is None
    assert paths.targets(path_logsnr(plain, settings), torch.arange(2), torch.arange(2))[-1] is None

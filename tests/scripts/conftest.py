"""Each file here tests the script of its name."""

import pytest


@pytest.fixture(scope="module")
def script(request):
    """`train_x` for `test_train_x.py`."""
    from whole_runs import load_script

    return load_script(request.path.stem.removeprefix("test_"))


@pytest.fixture(autouse=True)
def fresh_state():
    from whole_runs import reset

    reset()
    yield
    reset()


@pytest.fixture(scope="module")
def own_cache(tmp_path_factory):
    """Arrow files of the tests' pictures do not outlive them."""
    import datasets

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(datasets.config, "HF_DATASETS_CACHE", str(tmp_path_factory.mktemp("cache")))
        yield

"""The examples that need nothing but matplotlib run and leave a picture."""

import importlib.util
from pathlib import Path

import pytest

EXAMPLES = Path(__file__).resolve().parents[2] / "examples"


@pytest.mark.parametrize("name", ["asymptotic_series", "parallel_transport"])
def test_example_writes_its_picture(name, tmp_path):
    pytest.importorskip("matplotlib")
    specification = importlib.util.spec_from_file_location(name, EXAMPLES / f"{name}.py")
    module = importlib.util.module_from_spec(specification)
    specification.loader.exec_module(module)
    module.main(["--output", str(tmp_path / "pictures" / "one.png")])
    assert (tmp_path / "pictures" / "one.png").stat().st_size > 20_000

"""An `Accelerator` for each test of a run's state."""

import pytest


@pytest.fixture
def accelerator(tmp_path):
    """A fresh one: Accelerate keeps its state in singletons."""
    pytest.importorskip("accelerate", reason="the extra hf-kexue[train] is not installed")
    from accelerate import Accelerator
    from whole_runs import reset

    reset()
    yield Accelerator(cpu=True, project_dir=str(tmp_path))
    reset()

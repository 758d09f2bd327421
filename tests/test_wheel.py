"""The wheel works without the checkout: built here, installed alone in a fresh environment, used from elsewhere.

The environment sees the libraries of this one through a .pth file, which makes their folder importable and does not
read the .pth files in it: an editable installation of the package stays out of sight.
"""

import json
import os
import shutil
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

pytest.importorskip("hatchling", reason="the extra hf-kexue[test] is not installed")
pytest.importorskip("rjieba", reason="the extra hf-kexue[chinese] is not installed")

import hf_kexue
from hf_kexue.inference.saved_models import load_pipeline

ROOT = Path(__file__).resolve().parents[1]
READER = ROOT / "model_cards" / "dgcnn-qa-zh"
if not ((ROOT / "pyproject.toml").is_file() and READER.is_dir()):
    pytest.skip("the wheel is built from a checkout", allow_module_level=True)

pytestmark = pytest.mark.slow

QUESTION, CONTEXT = "赵州桥是谁主持修建的？", "赵州桥由隋代工匠李春主持修建。"


def run(*command, cwd, code=0):
    """What a command prints, in an environment without traces of the checkout."""
    environment = {key: value for key, value in os.environ.items() if not key.startswith("PYTHON")}
    environment |= {"HF_HUB_OFFLINE": "1", "PIP_NO_INDEX": "1", "PIP_DISABLE_PIP_VERSION_CHECK": "1"}
    done = subprocess.run(
        [str(word) for word in command], cwd=cwd, env=environment, capture_output=True, text=True, check=False,
        stdin=subprocess.DEVNULL,
    )  # fmt: skip
    assert done.returncode == code, done.stdout + done.stderr
    return done


@pytest.fixture(scope="module")
def wheel(tmp_path_factory):
    folder = tmp_path_factory.mktemp("wheel")
    run(sys.executable, "-m", "pip", "wheel", "--no-build-isolation", "--no-deps", "-w", folder, ROOT, cwd=folder)
    (built,) = folder.glob("*.whl")
    return built


@pytest.fixture(scope="module")
def installed(wheel, tmp_path_factory):
    """The `bin` folder of an environment that has the wheel."""
    folder = tmp_path_factory.mktemp("environment")
    run(sys.executable, "-m", "venv", "--without-pip", folder / "env", cwd=folder)
    python = folder / "env" / "bin" / "python"
    run(sys.executable, "-m", "pip", "--python", python, "install", "--no-deps", wheel, cwd=folder)
    (packages,) = (folder / "env" / "lib").glob("python*/site-packages")
    libraries = [path for path in sys.path if Path(path).name in ("site-packages", "dist-packages")]
    (packages / "libraries.pth").write_text("\n".join(libraries) + "\n", encoding="utf-8")
    return python.parent


def test_what_the_wheel_holds(wheel):
    names = zipfile.ZipFile(wheel).namelist()
    assert wheel.name == f"hf_kexue-{hf_kexue.__version__}-py3-none-any.whl"
    assert "hf_kexue/py.typed" in names
    package = {path.relative_to(ROOT / "src").as_posix() for path in (ROOT / "src" / "hf_kexue").rglob("*.py")}
    assert {name for name in names if name.endswith(".py")} == package
    assert {name.partition("/")[0] for name in names} == {"hf_kexue", f"hf_kexue-{hf_kexue.__version__}.dist-info"}


def test_it_is_what_the_environment_imports(installed, tmp_path):
    code = "import hf_kexue, importlib.metadata as m; print(hf_kexue.__file__); print(m.version('hf-kexue'))"
    place, version = run(installed / "python", "-c", code, cwd=tmp_path).stdout.splitlines()
    assert Path(place).is_relative_to(installed.parent)
    assert version == hf_kexue.__version__


def test_it_asks_a_copied_model(installed, tmp_path):
    shutil.copytree(READER, tmp_path / "reader", ignore=shutil.ignore_patterns("*.py"))
    words = ("--question", QUESTION, "--context", CONTEXT, "--json")
    answer = json.loads(run(installed / "hf-kexue", "ask", "reader", *words, cwd=tmp_path).stdout)
    answer = answer[0] if isinstance(answer, list) else answer
    expected = load_pipeline(str(READER))(question=QUESTION, context=CONTEXT)
    assert (answer["answer"], answer["start"], answer["end"]) == ("李春", expected["start"], expected["end"])
    assert answer["score"] == pytest.approx(expected["score"], rel=1e-4)


def test_it_completes_a_model_with_its_code(installed, tmp_path):
    run(installed / "python", "-m", "hf_kexue.hub", READER, "--output", tmp_path / "built", cwd=tmp_path)
    code = (tmp_path / "built" / READER.name / "modeling_dgcnn.py").read_text(encoding="utf-8")
    assert code == (ROOT / "src/hf_kexue/dgcnn/modeling_dgcnn.py").read_text(encoding="utf-8")


def test_what_needs_a_checkout_says_so(installed, tmp_path):
    done = run(installed / "hf-kexue", "demo", cwd=tmp_path, code=2)
    assert "--repository" in done.stderr
    assert "Traceback" not in done.stderr
    assert not list(tmp_path.iterdir())

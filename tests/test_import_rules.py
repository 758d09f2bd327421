"""Who may import whom: the rules of CONTRIBUTING.md, read off the syntax trees.

Only the last test imports the package, in a process of its own, and looks at what that leaves behind.
"""

import ast
import importlib.util
import json
import re
import subprocess
import sys
import tomllib
from dataclasses import dataclass
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
PACKAGE = ROOT / "src" / "hf_kexue"
FAMILIES = {"simple_diffusion", "dgcnn", "rsgan"}
# The only folders that know families from outside; "" is the root of the package.
APPLICATIONS = {"", "inference", "demo", "collections", "onnx"}
APPLICATION_FILES = {
    *("training/overfit_triples.py", "training/diffusion_setup.py", "training/text_conditioning.py"),
}
# What a folder of the package may import beside itself: arrows run one way, from the command line down to the leaves.
BELOW = {
    **{leaf: set() for leaf in [*FAMILIES, "numerics", "metrics", "data"]},
    "collections": {"dgcnn"},
    "inference": {"data", "metrics", "collections", *FAMILIES},
    "serve": {"inference", "collections"},
    "hub": {"inference", "data"},
    "training": {"inference", "hub", "data", "metrics", *FAMILIES},
    "demo": {"inference", "data", *FAMILIES},
    "onnx": {"inference", *FAMILIES},
    "ray": {"inference", "data"},
    "cli": {"demo", "hub", "training", "inference", "data", "collections", "serve", "onnx"},
}
EXPORTABLE = ("configuration_", "modeling_", "tokenization_", "scheduling_", "pipeline_")
LEAVES = {"scheduling", "losses", "guidance", "features", "decoding"}
# A file with the role on the left reaches no file with a role on the right, not even through a third one.
UNREACHABLE = {
    "configuration": {*LEAVES, "modeling", "tokenization", "pipeline"},
    "modeling": {*LEAVES - {"features", "losses"}, "tokenization", "pipeline"},
    "tokenization": {"modeling", "pipeline"},
    **{leaf: {"modeling", "pipeline"} for leaf in LEAVES},
}
# diffusers and transformers look for one of these names in the module that defines a component they load.
BASE_NAMES = {
    "configuration_": {"PreTrainedConfig", "PretrainedConfig"},
    "modeling_": {"ModelMixin", "PreTrainedModel"},
    "tokenization_": {"PreTrainedTokenizer", "PreTrainedTokenizerFast", "PythonBackend", "TokenizersBackend"},
    "scheduling_": {"SchedulerMixin"},
    "pipeline_": {"DiffusionPipeline", "Pipeline", "ChunkPipeline"},
}
DISTRIBUTION_OF = {"PIL": "pillow", "yaml": "pyyaml", "sklearn": "scikit-learn", "mpl_toolkits": "matplotlib"}


@dataclass
class Import:
    """One imported module. `module` is absolute; `names` are what `from module import names` takes, else empty."""

    file: Path
    line: int
    module: str
    names: tuple[str, ...]
    level: int
    at_top: bool

    @property
    def top(self) -> str:
        return self.module.partition(".")[0]

    @property
    def is_ours(self) -> bool:
        return self.top == "hf_kexue"

    @property
    def parts(self) -> tuple[str, ...]:
        """Below hf_kexue, down to the file where that is known."""
        parts = tuple(self.module.split(".")[1:])
        if len(self.names) == 1 and (PACKAGE.joinpath(*parts) / f"{self.names[0]}.py").is_file():
            parts += self.names
        return parts

    def is_from(self, distributions: list[str]) -> bool:
        """From the standard library, the package itself, or one of these."""
        distribution = DISTRIBUTION_OF.get(self.top, self.top.replace("_", "-"))
        return self.is_ours or self.top in sys.stdlib_module_names or distribution in distributions

    def __str__(self) -> str:
        return f"{self.file.relative_to(ROOT)}:{self.line} imports {self.module}"


def module_of(file: Path) -> tuple[str, ...]:
    """src/hf_kexue/a/b.py -> ("hf_kexue", "a", "b"); a package counts as its `__init__`."""
    return ("hf_kexue", *file.relative_to(PACKAGE).with_suffix("").parts)


def imports_of(file: Path) -> list[Import]:
    tree = ast.parse(file.read_text(encoding="utf-8"))
    inside = {id(node) for scope in ast.walk(tree) if is_scope(scope) for node in ast.walk(scope) if node is not scope}
    found = []
    for node in ast.walk(tree):
        at_top = id(node) not in inside
        if isinstance(node, ast.Import):
            found += [Import(file, node.lineno, alias.name, (), 0, at_top) for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            module = node.module or ""
            if node.level:
                module = ".".join(filter(None, [*module_of(file)[: -node.level], module]))
            found.append(Import(file, node.lineno, module, tuple(a.name for a in node.names), node.level, at_top))
    return found


def is_scope(node: ast.AST) -> bool:
    """Functions, and the branch that only type checkers enter: what they import does not happen on import."""
    typing_only = isinstance(node, ast.If) and "TYPE_CHECKING" in ast.unparse(node.test)
    return typing_only or isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)


SOURCES = sorted(PACKAGE.rglob("*.py"))
IMPORTS = [found for file in SOURCES for found in imports_of(file)]
SCRIPTS = [file for folder in ("training", "benchmarks", "examples") for file in sorted((ROOT / folder).rglob("*.py"))]
OUTSIDE = [found for file in SCRIPTS for found in imports_of(file)]


def folder_of(file: Path) -> str:
    """The folder below hf_kexue that a source file lies in, "" for the package itself."""
    return file.relative_to(PACKAGE).parts[0] if file.parent != PACKAGE else ""


def role_of(name: str) -> str:
    return name.partition("_")[0]


def refuse(broken: list[str], rule: str) -> None:
    assert not broken, f"{rule}\n  " + "\n  ".join(broken)


def test_a_family_imports_nothing_of_the_package_but_itself():
    of_families = [i for i in IMPORTS if folder_of(i.file) in FAMILIES and i.is_ours]
    broken = [str(i) for i in of_families if i.parts[:1] != (folder_of(i.file),)]
    refuse(broken, "A family imports its own files and libraries, nothing else of hf_kexue.")


@pytest.mark.parametrize("folder", sorted(BELOW))
def test_a_folder_imports_what_lies_below_it(folder):
    """By path and not by name alone: `from .. import x` counts as x. Only the version stands at the root."""
    broken = []
    for i in IMPORTS:
        if i.is_ours and folder_of(i.file) == folder:
            targets = {i.parts[0]} if i.parts else {*i.names} - {"__version__"}
            broken += [str(i) for target in sorted(targets - BELOW[folder] - {folder})]
    refuse(broken, f"hf_kexue.{folder} imports itself and {sorted(BELOW[folder]) or 'nothing else of the package'}.")


def test_the_table_of_kinds_imports_nothing_of_the_package():
    """Commands look kinds up before anything heavy is loaded; rows name their functions as strings."""
    mine = [i for i in IMPORTS if i.file == PACKAGE / "inference" / "kinds.py"]
    refuse([str(i) for i in mine if i.is_ours or (i.at_top and i.top not in sys.stdlib_module_names)], "See above.")


def test_only_applications_know_families():
    broken = []
    for i in IMPORTS:
        known = FAMILIES & {*i.parts[:1], *(i.names if not i.parts else ())}
        application = folder_of(i.file) in APPLICATIONS or i.file.relative_to(PACKAGE).as_posix() in APPLICATION_FILES
        if i.is_ours and known and not application and folder_of(i.file) not in FAMILIES:
            broken.append(str(i))
    allowed = sorted(APPLICATIONS - {""} | APPLICATION_FILES)
    refuse(broken, f"Only the root and {allowed} may import a family from outside it.")


@pytest.mark.parametrize("family", sorted(FAMILIES))
def test_roles_within_a_family(family):
    siblings = {
        file.stem: {i.parts[-1] for i in IMPORTS if i.file == file and i.is_ours and i.parts[:1] == (family,)}
        for file in SOURCES
        if folder_of(file) == family
    }
    broken = []
    for name in siblings:
        reached, waiting = set(), set(siblings[name])
        while waiting:
            sibling = waiting.pop()
            reached.add(sibling)
            waiting |= siblings.get(sibling, set()) - reached
        wrong = sorted(s for s in reached if role_of(s) in UNREACHABLE.get(role_of(name), set()))
        broken += [f"{family}/{name}.py reaches {sibling}.py" for sibling in wrong]
    refuse(broken, "configuration <- modeling <- pipeline; scheduling, losses, guidance, ... know no model.")


def exportable_files() -> list[Path]:
    """Files that a Hub repository with remote code holds, and the siblings that they need."""
    files = [f for f in SOURCES if folder_of(f) in FAMILIES and f.name.startswith(EXPORTABLE)]
    for file in files:  # grows while it is walked
        for i in imports_of(file):
            sibling = file.parent / f"{i.module.rpartition('.')[2]}.py"
            if i.level == 1 and sibling.is_file() and sibling not in files:
                files.append(sibling)
    return files


def test_exportable_files_import_only_siblings_and_libraries():
    core = declared_dependencies()[""]
    broken = []
    for file in exportable_files():
        for i in imports_of(file):
            sibling = i.level == 1 and i.module.count(".") == 2 and (file.parent / f"{i.parts[-1]}.py").is_file()
            if i.is_ours and not sibling:
                broken.append(f"{i}, and is no `from .sibling import name`")
            elif not i.is_ours and not i.is_from(core):
                broken.append(f"{i}, and is no core dependency")
    refuse(broken, "A file that travels to the Hub imports `.sibling` files and core dependencies.")


@pytest.mark.parametrize(("folder", "libraries"), [("numerics", {"numpy", "torch"}), ("metrics", {"numpy", "torch"})])
def test_mathematics_needs_only_numpy_and_torch(folder, libraries):
    allowed = sys.stdlib_module_names | libraries
    mine = [i for i in IMPORTS if folder_of(i.file) == folder]
    broken = [str(i) for i in mine if i.is_ours and i.parts[:1] != (folder,)]
    broken += [str(i) for i in mine if not i.is_ours and i.at_top and i.top not in allowed]
    refuse(broken, f"Importing hf_kexue.{folder} imports the standard library, numpy and torch, nothing else.")


def test_data_knows_no_model():
    model_libraries = {"diffusers", "transformers", "accelerate"}
    mine = [i for i in IMPORTS if folder_of(i.file) == "data"]
    broken = [str(i) for i in mine if i.top in model_libraries or (i.is_ours and i.parts[:1] != ("data",))]
    refuse(broken, "hf_kexue.data imports its own files, and no library of models.")


def test_who_touches_the_hub():
    def may(i: Import) -> bool:
        types = i.file.name.startswith("configuration_") and i.module == "huggingface_hub.dataclasses"
        return types or folder_of(i.file) == "hub" or i.file.name.startswith("pipeline_")

    broken = [str(i) for i in IMPORTS if i.top == "huggingface_hub" and not may(i)]
    refuse(broken, "Only hub/ and pipelines import huggingface_hub.")


def test_the_package_does_not_know_what_stands_around_it():
    around = {"training", "benchmarks", "tests", "examples"}
    around |= {file.stem for file in SCRIPTS}
    refuse([str(i) for i in IMPORTS if i.top in around], "Nothing in src imports what stands around it.")


def test_scripts_use_what_is_public():
    broken = []
    for i in OUTSIDE:
        target = PACKAGE.joinpath(*i.parts)
        if i.is_ours and any(part.startswith("_") for part in (*i.parts, *i.names)):
            broken.append(f"{i} ({', '.join(i.names)}), which is private")
        elif i.is_ours and not (target / "__init__.py").is_file() and not target.with_suffix(".py").is_file():
            broken.append(f"{i}, which does not exist")
    refuse(broken, "training/, benchmarks/ and examples/ import public names that exist.")


# Benchmarks that run in another environment: one that they make, and that of `make page`, with Gradio and its client.
ELSEWHERE = {"gliner2_triples.py": ["gliner2"], "page_load.py": ["gradio-client"]}


def test_libraries_are_declared():
    """At the top of the package's modules stand core dependencies, in functions those of the extras."""
    declared = declared_dependencies()
    core, named = declared[""], ("", "train", "lora", "emoji", "metrics", "collections", "serve", "onnx", "ray")
    extras = [name for extra in named for name in declared[extra]]
    broken = [str(i) for i in IMPORTS if not i.is_from(core if i.at_top else extras)]
    local = {file.stem for file in SCRIPTS}
    for i in OUTSIDE:
        allowed = extras if i.file.is_relative_to(ROOT / "training") else extras + declared["test"]
        if i.file.parent.name == "peers":  # runs in an environment of its own, with the peer of its name
            allowed = [*allowed, i.file.stem.partition("_")[2]]
        allowed = [*allowed, *ELSEWHERE.get(i.file.name, ())]
        if i.top not in local and not i.is_from(allowed):
            broken.append(str(i))
    refuse(broken, "What is imported is declared in pyproject.toml, as a dependency or in an extra.")


def test_the_page_needs_its_extra_alone():
    """app.py imports the package, its own extra and the standard library; nothing of the package imports Gradio."""
    allowed = declared_dependencies()["demo"]
    mine = imports_of(ROOT / "app.py")
    assert any(i.top == "gradio" for i in mine)
    refuse([str(i) for i in mine if not i.is_from(allowed)], "app.py imports hf_kexue, and what the extra demo has.")
    refuse([str(i) for i in IMPORTS if i.top == "gradio"], "Only app.py knows Gradio.")


def test_the_root_of_the_package_holds_folders():
    """Whatever is no entry of the package lies in the folder of its idea."""
    files = {path.name for path in PACKAGE.iterdir() if path.is_file()}
    assert files == {"__init__.py", "__main__.py", "py.typed", "registration.py"}


def test_torchvision_is_never_imported():
    refuse([str(i) for i in [*IMPORTS, *OUTSIDE] if i.top == "torchvision"], "Image transforms are PIL and torch.")


def declared_dependencies() -> dict[str, list[str]]:
    """Names of the distributions in pyproject.toml: core under "", then by extra."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    groups = {"": project["dependencies"], **project["optional-dependencies"]}
    names = {key: [re.match(r"[\w.-]+", line)[0] for line in lines] for key, lines in groups.items()}
    return {key: [name.lower().replace("_", "-") for name in group] for key, group in names.items()}


def test_no_folder_of_a_component_is_named_like_a_diffusers_pipeline():
    """diffusers takes such a folder in a module path for its own pipeline and looks for the class there."""
    spec = importlib.util.find_spec("diffusers")
    theirs = {path.name for path in (Path(spec.origin).parent / "pipelines").iterdir() if path.is_dir()}
    assert "ddpm" in theirs
    mine = {part for file in SOURCES for part in module_of(file)[:-1]}
    refuse(sorted(mine & theirs), "Folders with these names belong to diffusers.pipelines.")


def test_component_modules_hold_their_base_names():
    broken = []
    for file in SOURCES:
        prefix = next((p for p in BASE_NAMES if file.name.startswith(p)), None)
        if folder_of(file) in FAMILIES and prefix:
            names = {name for i in imports_of(file) if i.at_top for name in i.names}
            if not names & BASE_NAMES[prefix]:
                broken.append(f"{file.relative_to(ROOT)} imports none of {sorted(BASE_NAMES[prefix])}")
    refuse(broken, "diffusers loads a component only where its module holds the name of its base class.")


LOOK_AFTER_IMPORT = """
import json, os, sys
connections = []
sys.addaudithook(lambda event, args: connections.append(str(args)) if event == "socket.connect" else None)
before = dict(os.environ)
import hf_kexue
light = {
    "environment": dict(os.environ) != before,
    "heavy": sorted({"torch", "transformers", "diffusers", "numpy", "huggingface_hub"} & sys.modules.keys()),
}
import diffusers, torch, transformers
from diffusers import DiffusionPipeline, ModelMixin, SchedulerMixin
before, handlers = dict(os.environ), len(__import__("logging").getLogger().handlers)
def state_of_torch():
    return [str(torch.get_default_dtype()), torch.get_num_threads(), torch.is_grad_enabled(), torch.initial_seed()]
state = state_of_torch()
import importlib, pkgutil
modules = [m.name for m in pkgutil.walk_packages(hf_kexue.__path__, "hf_kexue.")]
for name in modules:
    importlib.import_module(name)
full = {
    "environment": sorted(set(os.environ.items()) ^ set(before.items())),
    "handlers": len(__import__("logging").getLogger().handlers) - handlers,
    "torch": state != state_of_torch(),
    "unnamed": [name for name in hf_kexue.__all__ if not hasattr(hf_kexue, name)],
}
json.dump({"light": light, "full": full, "modules": modules, "connections": connections}, open(sys.argv[1], "w"))
"""


def test_importing_leaves_no_trace(tmp_path):
    """`import hf_kexue` costs nothing; importing all of it prints nothing, changes nothing and asks nobody."""
    report = tmp_path / "report.json"
    finished = subprocess.run(
        [sys.executable, "-W", "error::DeprecationWarning:hf_kexue", "-c", LOOK_AFTER_IMPORT, str(report)],
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert finished.returncode == 0, finished.stderr
    assert finished.stdout == ""
    assert finished.stderr == ""
    found = json.loads(report.read_text())
    assert found["light"] == {"environment": False, "heavy": []}
    assert found["full"] == {"environment": [], "handlers": 0, "torch": False, "unnamed": []}
    assert found["connections"] == []
    assert "hf_kexue.simple_diffusion.modeling_uvit" in found["modules"]

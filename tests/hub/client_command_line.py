"""Publish by the command line, and use what was published: `client_command_line.py FOLDER`."""

import contextlib
import io
import json
import sys
from pathlib import Path

import huggingface_hub
from hub_clients import CONTEXT, QUESTION, Checks, refused, tiny_gan, tiny_images, tiny_reader, tiny_triples
from typer.testing import CliRunner

from hf_kexue.cli.main import app, main
from hf_kexue.demo.page import Page
from hf_kexue.hub import export_repository

folder, check = Path(sys.argv[1]), Checks()


def call(*words):
    """Standard output of a command; its errors are raised."""
    result = CliRunner().invoke(app, [str(word) for word in words], catch_exceptions=False)
    assert result.exit_code == 0, result.output
    return result.stdout


names = {"images": tiny_images(), "gan": tiny_gan(), "reader": tiny_reader(), "triples": tiny_triples()}
for name, source in names.items():
    export_repository(source, folder / name)
    with check(f"publish {name}"):
        assert f"/owner/cli-{name}/commit/" in call("publish", folder / name, f"owner/cli-{name}")
with check("publish a branch, and one that is private"):
    call("publish", folder / "reader", "owner/cli-reader", "--revision", "second")
    call("publish", folder / "reader", "owner/cli-secret", "--private")
for name in names:
    with check(f"info of {name}"):
        here, there = (json.loads(call("info", at, "--json")) for at in (folder / name, f"owner/cli-{name}"))
        assert there | {"model": name} == here
for name, options in (("images", ["--steps", 2]), ("gan", ["--to-seed", 1])):
    with check(f"generate by {name}"):
        drawn = []
        for at in (folder / name, f"owner/cli-{name}"):
            call("generate", at, "--output", folder / "drawn.png", *options)
            drawn.append((folder / "drawn.png").read_bytes())
        assert drawn[0] == drawn[1]
with check("ask"):
    words = ("--question", QUESTION, "--context", CONTEXT, "--json")
    assert call("ask", "owner/cli-secret", *words) == call("ask", folder / "reader", *words)
with check("extract"):
    words = (CONTEXT, "--output", "json")
    found = call("extract", "--model", "owner/cli-triples", *words)
    assert found == call("extract", "--model", folder / "triples", *words)
    assert json.loads(found)
with check("evaluate"):
    record = {"question": QUESTION, "context": CONTEXT, "answers": {"text": ["居里夫妇"], "answer_start": [9]}}
    record["answers"]["answer_start"] = [CONTEXT.index("居里夫妇")]
    (folder / "validation.jsonl").write_text(json.dumps(record), encoding="utf-8")
    assert json.loads(call("evaluate", "owner/cli-reader", folder / "validation.jsonl", "--json"))["questions"] == 1
with check("the page, by names of repositories"):
    shown = [Page(names={"triples": at}).triples(CONTEXT) for at in (str(folder / "triples"), "owner/cli-triples")]
    assert "<svg" in shown[0]
    assert shown[0] == shown[1]
with check("errors"):
    refused(ValueError, "owner/nothing.*model_index.json", lambda: call("info", "owner/nothing"))
    refused(
        ValueError, "owner/cli-reader.*DGCNNForQuestionAnswering",
        lambda: call("extract", "--model", "owner/cli-reader", CONTEXT),
    )  # fmt: skip
    refused(ValueError, "nowhere", lambda: call("publish", "nowhere", "owner/x"))
    refused(ValueError, "model_index.json", lambda: call("publish", folder, "owner/x"))
    (folder / "gan" / "generator" / "weights.bin").write_bytes(b"pickle")
    refused(ValueError, r"weights\.bin", lambda: call("publish", folder / "gan", "owner/x"))
with check("a Hub that does not answer"):
    huggingface_hub.constants.ENDPOINT = "http://127.0.0.1:9"  # nothing listens there
    sys.argv = ["hf-kexue", "publish", str(folder / "reader"), "owner/x"]
    errors = io.StringIO()
    with contextlib.redirect_stderr(errors), contextlib.suppress(SystemExit):
        main()
        raise AssertionError("It should have ended.")
    assert "Error: The Hub cannot be reached: " in errors.getvalue()
    assert "Traceback" not in errors.getvalue()
check.report()

"""The service over real HTTP: results of the pipelines, batches, limits, and bad input as 4xx."""

import asyncio
import io
import json
import threading
import time
import urllib.error
import urllib.request
from concurrent.futures import ThreadPoolExecutor

import pytest
import torch
from PIL import Image
from tiny_models import RADIUM, save_extractor, save_gan, save_reader

pytest.importorskip("uvicorn", reason="the extra hf-kexue[serve] is not installed")
pytest.importorskip("fastapi", reason="the extra hf-kexue[serve] is not installed")
pytest.importorskip("bm25s", reason="the extra hf-kexue[collections] is not installed")

import uvicorn

from hf_kexue import PassageCollection
from hf_kexue.inference.saved_models import load_pipeline
from hf_kexue.serve import Batcher, Busy, Limits, create_app

PASSAGES = [("a", "镭由居里夫人发现。"), ("b", "今天天气不错。"), ("c", "居里夫妇发现了镭。")]
WHO = "谁发现了镭？"


class Service:
    """An app behind uvicorn at a free port, in a thread."""

    def __init__(self, app):
        self.server = uvicorn.Server(uvicorn.Config(app, port=0, log_level="warning"))
        self.thread = threading.Thread(target=self.server.run)
        self.thread.start()
        while not self.server.started:
            assert self.thread.is_alive()
            time.sleep(0.01)
        port = self.server.servers[0].sockets[0].getsockname()[1]
        self.address = f"http://127.0.0.1:{port}"

    def __call__(self, path, body=None, **headers):
        """Status, and the JSON or bytes of the answer."""
        data = body if body is None or isinstance(body, bytes) else json.dumps(body).encode()
        head = {"Content-Type": "application/json", **headers}
        request = urllib.request.Request(self.address + path, data, head)
        try:
            with urllib.request.urlopen(request, timeout=60) as answer:
                content = answer.read()
                is_json = answer.headers["Content-Type"] == "application/json"
                return answer.status, json.loads(content) if is_json else content
        except urllib.error.HTTPError as error:
            content = error.read()
            return error.code, json.loads(content) if content[:1] == b"{" else {"detail": content}

    def stop(self):
        self.server.should_exit = True
        self.thread.join()


@pytest.fixture(scope="module")
def models(tmp_path_factory):
    folders = {name: tmp_path_factory.mktemp(name) for name in ("reader", "triples", "images")}
    save_reader(folders["reader"])
    save_extractor(folders["triples"])
    save_gan(folders["images"], ["Dress", "Hat"])
    return {name: load_pipeline(str(folder)) for name, folder in folders.items()}


@pytest.fixture(scope="module")
def collection():
    return PassageCollection(PASSAGES)


@pytest.fixture(scope="module")
def service(models, collection):
    limits = Limits(body=20_000, characters=2_000, texts=8, images=4)
    service = Service(create_app(models, collection, limits))
    yield service
    service.stop()


def close(found, expected):
    """Equal but for the rounding of scores, which a batch changes."""
    scores = [[answer.pop("score") for answer in answers] for answers in (found, expected)]
    assert scores[0] == pytest.approx(scores[1], abs=1e-5)
    assert found == expected


def as_answers(found):
    """With every field of an answer of the service."""
    return [{"passage": None, "probability": None, **answer} for answer in found]


def test_health_and_documentation(service):
    status, found = service("/health")
    assert status == 200
    assert found == {
        "status": "ok", "passages": 3, "waiting": {"/ask": 0, "/extract": 0, "/generate": 0},
        "routes": {"/ask": "DGCNNForQuestionAnswering", "/extract": "DGCNNForTripleExtraction",
                   "/generate": "RSGANPipeline"},
    }  # fmt: skip
    assert {"/ask", "/extract", "/generate", "/health"} == service("/openapi.json")[1]["paths"].keys()
    assert service("/docs")[0] == 200


def test_answers_are_those_of_the_pipeline(service, models, collection):
    reader = models["reader"]
    status, found = service("/ask", {"question": WHO, "context": RADIUM, "top_k": 2})
    assert status == 200
    close(found, as_answers(reader(question=WHO, context=RADIUM, top_k=2)))
    texts = [text for _, text in PASSAGES]
    _, found = service("/ask", {"question": WHO, "passages": texts, "top_k": 3, "impossible": True})
    close(found, as_answers(reader(question=WHO, passages=texts, top_k=3, handle_impossible_answer=True)))
    for impossible in (False, True):
        _, found = service("/ask", {"question": WHO, "top_k": 2, "impossible": impossible})
        close(found, as_answers(collection.ask(reader, WHO, top_k=2, handle_impossible_answer=impossible)))


def test_triples_are_those_of_the_pipeline(service, models):
    _, found = service("/extract", {"texts": [RADIUM, "镭"]})
    for triples, expected in zip(found, models["triples"]([RADIUM, "镭"]), strict=True):
        for triple in triples:
            for role in ("subject", "object"):
                assert triple[role].pop("type") is None
        close(triples, expected)
    _, found = service("/extract", {"texts": [RADIUM], "predicates": ["发现"]})
    assert {triple["predicate"] for triple in found[0]} <= {"发现"}


def test_pictures_are_those_of_the_pipeline(service, models):
    body = {"classes": ["Hat"], "per_class": 2, "seed": 3, "options": {"truncation": 0.5}}
    status, content = service("/generate", body)
    assert status == 200
    generator = torch.Generator().manual_seed(3)
    expected = models["images"].grid(1, 2, ["Hat"], truncation=0.5, generator=generator)
    assert Image.open(io.BytesIO(content)).tobytes() == expected.tobytes()


BAD = {
    "no JSON": ("/ask", b"{", 422),
    "not UTF-8": ("/ask", b'{"question": "\xff"}', 400),
    "NaN": ("/ask", b'{"question": "x", "context": "x", "top_k": NaN}', 422),
    "infinity": ("/generate", b'{"options": {"truncation": Infinity}}', 422),
    "half a surrogate pair": ("/ask", b'{"question": "\\ud800", "context": "x"}', 422),
    "half a pair as a name": ("/ask", b'{"\\ud800": 1}', 422),
    "half a pair as a predicate": ("/extract", b'{"texts": ["x"], "predicates": ["\\ud800"]}', 422),
    "a list": ("/ask", [], 422),
    "an unknown field": ("/ask", {"question": WHO, "context": "x", "topk": 3}, 422),
    "no question": ("/ask", {"context": "x"}, 422),
    "a number for a text": ("/ask", {"question": WHO, "context": 3}, 422),
    "blank": ("/ask", {"question": " ", "context": "x"}, 422),
    "two texts": ("/ask", {"question": WHO, "context": "x", "passages": ["x"]}, 422),
    "no passages": ("/ask", {"question": WHO, "passages": []}, 422),
    "too many answers": ("/ask", {"question": WHO, "context": "x", "top_k": 1000}, 422),
    "too many texts": ("/extract", {"texts": ["x"] * 100}, 422),
    "no texts": ("/extract", {"texts": []}, 422),
    "too many characters": ("/extract", {"texts": ["镭" * 2001]}, 422),
    "too many bytes": ("/extract", {"texts": ["x" * 21_000]}, 413),
    "an unknown predicate": ("/extract", {"texts": ["x"], "predicates": ["别号"]}, 422),
    "an unknown class": ("/generate", {"classes": ["Sock"]}, 422),
    "too many images": ("/generate", {"per_class": 3}, 422),
    "truncation out of range": ("/generate", {"options": {"truncation": 2.0}}, 422),
    "an option of another type": ("/generate", {"options": {"truncation": "much"}}, 422),
    "an option of another model": ("/generate", {"options": {"steps": 5}}, 422),
    "a seed too large": ("/generate", {"seed": 2**63}, 422),
    "another path": ("/answer", {}, 404),
    "another method": ("/health", {}, 405),
}


@pytest.mark.parametrize("name", BAD)
def test_bad_input_is_4xx_with_a_reason(service, name):
    path, body, expected = BAD[name]
    status, found = service(path, body)
    assert status == expected
    assert found["detail"]
    assert service("/health")[0] == 200


def test_clients_at_once_get_their_own_answers(service, models):
    """Four clients, good and bad requests mixed: no answer is lost or goes to another client."""
    texts = [f"居里夫妇{'发现了' * (number % 7)}镭{'，镭' * (number % 5)}。" for number in range(60)]
    expected = [models["reader"](question=WHO, context=text) for text in texts]

    def ask(number):
        if number % 6 == 0:
            assert service("/ask", {"question": WHO, "context": " "})[0] == 422
        return service("/ask", {"question": WHO, "context": texts[number]})

    with ThreadPoolExecutor(4) as clients:
        found = list(clients.map(ask, range(60)))
    for (status, answers), one in zip(found, expected):
        assert status == 200
        close(answers, as_answers([one]))


def test_busy_and_slow_services_say_so(models):
    """One request is computed, one waits, a third is refused; all end in time."""
    reader = models["reader"]
    started, release = threading.Event(), threading.Event()

    class Slow:
        model = reader.model

        def __call__(self, records, **settings):
            started.set()
            release.wait(30)
            return reader(records, **settings)

    service = Service(create_app({"reader": Slow()}, limits=Limits(seconds=0.5, waiting=1)))
    body = {"question": WHO, "context": RADIUM}
    try:
        with ThreadPoolExecutor(3) as clients:
            first = clients.submit(service, "/ask", body)
            assert started.wait(30)
            second = clients.submit(service, "/ask", body)
            while service("/health")[1]["waiting"]["/ask"] == 0:
                time.sleep(0.01)
            assert service("/ask", body)[0] == 503
            assert [first.result()[0], second.result()[0]] == [504, 504]
        release.set()
        assert service("/ask", body)[0] == 200  # what was given up is dropped
    finally:
        release.set()
        service.stop()


def test_batches():
    """What arrives during a batch makes the next; settings and sizes part batches; a failure is alone."""
    seen = []

    def compute(items, settings):
        seen.append((settings, list(items)))
        time.sleep(0.05)
        if "bad" in items:
            raise ValueError("bad")
        return [f"{item}!" for item in items]

    async def run():
        batcher = Batcher(compute, executor, max_items=3, max_size=10, max_waiting=7)
        calls = [batcher.submit(*arguments) for arguments in (
            ("a", 1), ("b", 2), ("c", 1), ("bad", 1), ("d", 1), ("large", 1, 20), ("e", 2),
        )]  # fmt: skip
        tasks = [asyncio.create_task(call) for call in calls]
        await asyncio.sleep(0)
        with pytest.raises(Busy):
            await batcher.submit("f")
        return await asyncio.gather(*tasks, return_exceptions=True)

    with ThreadPoolExecutor(1) as executor:
        results = asyncio.run(run())
    assert [str(result) for result in results] == ["a!", "b!", "c!", "bad", "d!", "large!", "e!"]
    assert isinstance(results[3], ValueError)
    batches = [batch for batch in seen if len(batch[1]) > 1 or "large" in batch[1]]
    assert batches == [(1, ["a", "c", "bad"]), (1, ["c", "bad"]), (2, ["b", "e"]), (1, ["large"])]


@pytest.mark.parametrize("given", [{}, {"poet": None}])
def test_services_of_nothing(given):
    with pytest.raises(ValueError, match="reader"):
        create_app(given)


def test_limits_check_themselves():
    with pytest.raises(ValueError, match="seconds"):
        Limits(seconds=0)

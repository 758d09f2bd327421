"""A Hub on this machine: enough of the protocol for huggingface_hub to publish to it and to load from it.

    hub = LoopbackHub()                       # listens at hub.url until hub.close()
    subprocess.run(command, env={**os.environ, **hub.environment(home)})

    python examples/loopback_hub.py --port 8000     # standalone; prints the variables that a client needs

Everything lies in memory. Clients must be started with the variables of `environment`: huggingface_hub reads them when
it is imported. The token `hf_owner` may write and sees private repositories; without it only public ones are seen.
Not supported: Xet (the variables turn it off), pull requests, gated repositories, pages of long listings.

Longer than its siblings, since a protocol has many endpoints.
"""

from __future__ import annotations

import argparse
import base64
import hashlib
import json
import re
import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, unquote, urlsplit

OWNER, TOKEN = "owner", "hf_owner"
LARGE = re.compile(r"\.(safetensors|bin|pt|pth|ckpt|pkl|parquet|arrow|gz|zip|tar|png|jpe?g)$")
DATE = "2026-01-01T00:00:00.000Z"
Answer = tuple[int, Any, dict[str, str]]


@dataclass
class File:
    """One file of a commit. A large one is known by the hash of its content, as Git LFS has it."""

    data: bytes
    large: bool

    @property
    def sha256(self) -> str:
        return hashlib.sha256(self.data).hexdigest()

    @property
    def oid(self) -> str:
        """The git hash: for a large file, that of its LFS pointer."""
        pointer = f"version https://git-lfs.github.com/spec/v1\noid sha256:{self.sha256}\nsize {len(self.data)}\n"
        content = pointer.encode() if self.large else self.data
        return hashlib.sha1(b"blob %d\0" % len(content) + content).hexdigest()

    def entry(self, path: str) -> dict[str, Any]:
        """The entry of a listing."""
        found: dict[str, Any] = {"type": "file", "path": path, "size": len(self.data), "oid": self.oid}
        if self.large:
            found["lfs"] = {"oid": self.sha256, "size": len(self.data), "pointerSize": 134}
        return found


@dataclass
class Repository:
    """Commits by id, and the branches and tags that name them."""

    private: bool = False
    commits: dict[str, dict[str, File]] = field(default_factory=dict)
    names: dict[str, str] = field(default_factory=dict)

    def commit(self, branch: str, files: dict[str, File]) -> str:
        seed = f"{len(self.commits)} {self.names.get(branch)} {[(path, file.oid) for path, file in files.items()]}"
        oid = hashlib.sha1(seed.encode()).hexdigest()
        self.commits[oid], self.names[branch] = files, oid
        return oid

    def find(self, revision: str) -> str | None:
        return self.names.get(revision) or (revision if revision in self.commits else None)


class LoopbackHub:
    """The server, in a thread of its own.

    Args:
        port: 0 takes any that is free.

    `requests` lists (method, path) of every request. `before_upload` and `before_commit`, where set, are called before
    a large file or a commit is taken: a test may wait there, or raise `Refusal`.
    """

    def __init__(self, port: int = 0) -> None:
        self.repositories: dict[tuple[str, str], Repository] = {}
        self.large: dict[str, bytes] = {}
        self.requests: list[tuple[str, str]] = []
        self.before_upload: Callable[[], None] | None = None
        self.before_commit: Callable[[], None] | None = None
        hub = self

        class Handler(_Handler):
            def answer(self, *request: Any) -> Answer:
                return hub.answer(*request)

        self.server = ThreadingHTTPServer(("127.0.0.1", port), Handler)
        self.server.daemon_threads = True
        self.url = f"http://127.0.0.1:{self.server.server_address[1]}"
        threading.Thread(target=self.server.serve_forever, daemon=True).start()

    def close(self) -> None:
        self.server.shutdown()
        self.server.server_close()

    def environment(self, home: str | Path, token: str | None = TOKEN) -> dict[str, str]:
        """Variables for a client: this server, a cache in `home`, no Xet."""
        found = {"HF_ENDPOINT": self.url, "HF_HOME": str(home), "HF_MODULES_CACHE": str(Path(home, "modules"))}
        found |= {"HF_HUB_DISABLE_XET": "1", "HF_HUB_DISABLE_TELEMETRY": "1", "HF_HUB_OFFLINE": "0"}
        found |= {"HF_DATASETS_CACHE": str(Path(home, "datasets")), "DISABLE_SAFETENSORS_CONVERSION": "1"}
        return found | ({"HF_TOKEN": token} if token else {"HF_TOKEN": "", "HF_HUB_DISABLE_IMPLICIT_TOKEN": "1"})

    def files(self, repo_id: str, revision: str = "main", repo_type: str = "model") -> dict[str, bytes]:
        """The files of a repository by path."""
        repository = self.repositories[repo_type, repo_id]
        return {path: file.data for path, file in repository.commits[repository.names[revision]].items()}

    def put(self, repo_id: str, files: Mapping[str, bytes], repo_type: str = "model", branch: str = "main") -> None:
        """Replace the files of a repository by a commit, without a token."""
        repository = self.repositories.setdefault((repo_type, repo_id), Repository())
        repository.commit(branch, {path: File(data, bool(LARGE.search(path))) for path, data in files.items()})

    # ---- the protocol

    def answer(self, method: str, address: str, user: str | None, body: bytes) -> Answer:
        """(status, body, headers) for one request."""
        split = urlsplit(address)
        path, query = split.path, parse_qs(split.query)
        self.requests.append((method, path))
        if path == "/api/whoami-v2":
            if user is None:
                raise Refusal(401, "Unauthorized", "Invalid username or password.")
            token = {"accessToken": {"displayName": "loopback", "role": "write"}}
            return 200, {"type": "user", "name": user, "fullname": user, "orgs": [], "auth": token}, {}
        if path == "/api/validate-yaml":
            return 200, {"errors": [], "warnings": []}, {}
        if user is None and method not in ("GET", "HEAD") and not re.match(r"/large/|.*/paths-info/", path):
            raise Refusal(401, "Unauthorized", "Invalid username or password.")
        if path == "/api/repos/create":
            return self.create(json.loads(body), user or "")
        if match := re.fullmatch(r"/large/([0-9a-f]{64})", path):
            if self.before_upload:
                self.before_upload()
            if hashlib.sha256(body).hexdigest() != match[1]:
                raise Refusal(400, "BadRequest", "The content has another hash.")
            self.large[match[1]] = body
            return 200, {}, {}
        if match := re.fullmatch(r"/(?:(datasets)/)?([^/]+/[^/]+)\.git/info/lfs/objects/batch", path):
            return self.offer(json.loads(body))
        if match := re.fullmatch(r"/api/(model|dataset)s/([^/]+/[^/]+)((?:/.*)?)", path):
            repository = self.visible(match[1], match[2], user)
            verb, *rest = unquote(match[3].strip("/")).split("/")
            return getattr(self, f"_{verb.replace('-', '_') or 'revision'}")(repository, match[2], rest, query, body)
        if match := re.fullmatch(r"/(?:(dataset)s/)?([^/]+/[^/]+)/resolve/([^/]+)/(.+)", path):
            repository = self.visible(match[1] or "model", match[2], user)
            return self.resolve(repository, unquote(match[3]), unquote(match[4]))
        raise Refusal(404, "NotFound", f"There is no {path} here.")

    def visible(self, repo_type: str, repo_id: str, user: str | None) -> Repository:
        repository = self.repositories.get((repo_type, repo_id))
        if repository is None or (repository.private and user is None):
            raise Refusal(404 if user else 401, "RepoNotFound", "Repository not found")
        return repository

    def create(self, request: dict[str, Any], user: str) -> Answer:
        repo_type = request.get("type") or "model"
        repo_id = f"{request.get('organization') or user}/{request['name']}"
        url = f"{self.url}/{'datasets/' if repo_type == 'dataset' else ''}{repo_id}"
        if (repo_type, repo_id) in self.repositories:
            return 409, {"error": "You already created this repo", "url": url}, {}
        private = bool(request.get("private")) or request.get("visibility") == "private"
        repository = self.repositories[repo_type, repo_id] = Repository(private)
        repository.commit("main", {".gitattributes": File(b"*.safetensors filter=lfs diff=lfs merge=lfs\n", False)})
        return 200, {"url": url, "name": repo_id, "id": repo_id}, {}

    def offer(self, request: dict[str, Any]) -> Answer:
        """Upload addresses of large files that are not stored yet."""
        objects = []
        for wanted in request["objects"]:
            actions = {"upload": {"href": f"{self.url}/large/{wanted['oid']}", "header": {}}}
            objects.append(wanted if wanted["oid"] in self.large else {**wanted, "actions": actions})
        return 200, {"transfer": "basic", "objects": objects}, {"Content-Type": "application/vnd.git-lfs+json"}

    def resolve(self, repository: Repository, revision: str, path: str) -> Answer:
        """A file's content. Large ones come from here too: a client that is sent elsewhere misses X-Repo-Commit."""
        oid, files = self._files(repository, revision)
        if path not in files:
            raise Refusal(404, "EntryNotFound", "Entry not found", {"X-Repo-Commit": oid})
        file = files[path]
        headers = {"X-Repo-Commit": oid, "ETag": f'"{file.oid}"', "Accept-Ranges": "bytes"}
        if file.large:
            headers |= {"X-Linked-Etag": f'"{file.sha256}"', "X-Linked-Size": str(len(file.data))}
        return 200, file.data, headers

    @staticmethod
    def _files(repository: Repository, revision: str) -> tuple[str, dict[str, File]]:
        oid = repository.find(revision)
        if oid is None:
            raise Refusal(404, "RevisionNotFound", f"Invalid rev id: {revision}")
        return oid, repository.commits[oid]

    def _revision(self, repository: Repository, repo_id: str, rest: list[str], query: Any, body: bytes) -> Answer:
        oid, files = self._files(repository, "/".join(rest) or "main")
        listed = [{"rfilename": path, "size": len(file.data)} for path, file in files.items()]
        found = {"_id": "0" * 24, "id": repo_id, "modelId": repo_id, "sha": oid, "private": repository.private,
                 "tags": [], "gated": False, "disabled": False, "downloads": 0, "likes": 0, "siblings": listed,
                 "lastModified": DATE, "createdAt": DATE}  # fmt: skip
        return 200, found | _card(files.get("README.md")), {}

    def _tree(self, repository: Repository, repo_id: str, rest: list[str], query: Any, body: bytes) -> Answer:
        _, files = self._files(repository, rest[0])
        below = "/".join(rest[1:]) + "/" if rest[1:] else ""
        deep = query.get("recursive", ["false"])[0].lower() in ("1", "true")
        found, folders = [], {}
        for path, file in files.items():
            if path.startswith(below):
                *parents, _ = path[len(below) :].split("/")
                for depth in range(1, 1 + (len(parents) if deep else min(1, len(parents)))):
                    folders[below + "/".join(parents[:depth])] = {"type": "directory", "size": 0, "oid": "0" * 40}
                found += [file.entry(path)] if deep or not parents else []
        if below and not found and not folders:
            raise Refusal(404, "EntryNotFound", "Entry not found")
        return 200, [{**entry, "path": path} for path, entry in folders.items()] + found, {}

    def _paths_info(self, repository: Repository, repo_id: str, rest: list[str], query: Any, body: bytes) -> Answer:
        _, files = self._files(repository, rest[0])
        paths = json.loads(body)["paths"] if body.startswith(b"{") else parse_qs(body.decode()).get("paths", [])
        found = [files[path].entry(path) for path in paths if path in files]
        folders = [path for path in paths if any(file.startswith(f"{path.rstrip('/')}/") for file in files)]
        return 200, found + [{"type": "directory", "path": path, "size": 0, "oid": "0" * 40} for path in folders], {}

    def _refs(self, repository: Repository, repo_id: str, rest: list[str], query: Any, body: bytes) -> Answer:
        branches = [{"name": n, "ref": f"refs/heads/{n}", "targetCommit": c} for n, c in repository.names.items()]
        return 200, {"branches": branches, "converts": [], "tags": []}, {}

    def _branch(self, repository: Repository, repo_id: str, rest: list[str], query: Any, body: bytes) -> Answer:
        name = "/".join(rest)
        if name in repository.names:
            raise Refusal(409, "Conflict", "Reference already exists")
        start = json.loads(body or b"{}").get("startingPoint") or "main"
        repository.names[name], _ = self._files(repository, start)
        return 200, {}, {}

    def _preupload(self, repository: Repository, repo_id: str, rest: list[str], query: Any, body: bytes) -> Answer:
        """Decide which files are large."""
        _, files = self._files(repository, "/".join(rest))
        found = []
        for file in json.loads(body)["files"]:
            mode = "lfs" if LARGE.search(file["path"]) else "regular"
            known = {"oid": files[file["path"]].oid} if file["path"] in files else {}
            found.append({"path": file["path"], "uploadMode": mode, "shouldIgnore": False, **known})
        return 200, {"files": found}, {}

    def _commit(self, repository: Repository, repo_id: str, rest: list[str], query: Any, body: bytes) -> Answer:
        if self.before_commit:
            self.before_commit()
        branch = "/".join(rest)
        oid, before = self._files(repository, branch)
        files = dict(before)
        for line in body.splitlines():
            what = json.loads(line)
            key, value = what["key"], what["value"]
            if key == "header" and value.get("parentCommit") not in (None, oid):
                raise Refusal(412, "PreconditionFailed", "A commit has happened since.")
            elif key == "file":
                files[value["path"]] = File(base64.b64decode(value["content"]), False)
            elif key == "lfsFile":
                if value["oid"] not in self.large:
                    raise Refusal(400, "BadRequest", f"Large file {value['oid']} was never sent.")
                files[value["path"]] = File(self.large[value["oid"]], True)
            elif key == "deletedFile":
                files.pop(value["path"], None)
        new = repository.commit(branch, files)
        url = f"{self.url}/{repo_id}/commit/{new}"
        return 200, {"success": True, "commitOid": new, "commitUrl": url, "hookOutput": "", "pullRequestUrl": None}, {}


class Refusal(Exception):
    """An error of the protocol: status, code and message."""

    def __init__(self, status: int, code: str, message: str, headers: dict[str, str] | None = None) -> None:
        super().__init__(message)
        self.status = status
        self.headers = {"X-Error-Code": code, "X-Error-Message": message, **(headers or {})}


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def answer(self, *request: Any) -> Answer:
        raise NotImplementedError

    def handle_request(self) -> None:
        body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        user = OWNER if self.headers.get("Authorization") == f"Bearer {TOKEN}" else None
        try:
            status, content, headers = self.answer(self.command, self.path, user, body)
        except Refusal as refusal:
            status, content, headers = refusal.status, {"error": str(refusal)}, refusal.headers
        if not isinstance(content, bytes):
            content, headers = json.dumps(content).encode(), {"Content-Type": "application/json", **headers}
        if part := re.fullmatch(r"bytes=(\d+)-(\d*)", self.headers.get("Range") or ""):
            first, last = int(part[1]), int(part[2] or len(content) - 1)
            headers = {**headers, "Content-Range": f"bytes {first}-{min(last, len(content) - 1)}/{len(content)}"}
            status, content = 206, content[first : last + 1]
        self.send_response(status)
        for name, value in {"Content-Type": "application/octet-stream", **headers}.items():
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(content)

    do_GET = do_HEAD = do_POST = do_PUT = do_DELETE = handle_request

    def log_message(self, *args: Any) -> None:
        """Silent."""


def _card(readme: File | None) -> dict[str, Any]:
    """The metadata of a card."""
    import yaml

    parts = readme.data.decode().split("---\n") if readme else []
    data = yaml.safe_load(parts[1]) if len(parts) > 2 and not parts[0] else {}
    shown = {key: data[key] for key in ("pipeline_tag", "library_name", "tags") if key in data}
    return {"cardData": data, **shown} if data else {}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--port", type=int, default=8000)
    parser.add_argument("--home", default="loopback-home", help="folder for the caches of clients")
    args = parser.parse_args()
    hub = LoopbackHub(args.port)
    print("\n".join(f"export {key}={value}" for key, value in hub.environment(args.home).items()), flush=True)
    threading.Event().wait()


if __name__ == "__main__":
    main()

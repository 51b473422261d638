"""Reads a mixture: the manifest, and its parts, which lie beside it."""

import hashlib
import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from ratchet_trl.errors import BadMixture, NoInput

VERSION = 1


@dataclass(frozen=True)
class Part:
    path: Path
    size: int
    sha256: str
    examples: int
    improve: int


@dataclass(frozen=True)
class Example:
    prompt: str
    completion: str
    improve: int


def read_manifest(path: Path) -> list[Part]:
    """The parts, each of which is what the manifest says it is."""
    try:
        manifest = json.loads(path.read_bytes())
    except OSError as err:
        raise NoInput(f"read manifest: {err}") from err
    except ValueError as err:
        raise BadMixture(f"{path}: expected JSON: {err}") from err
    if not isinstance(manifest, dict) or manifest.get("version") != VERSION:
        raise BadMixture(f"{path}: expected a manifest of version {VERSION}")
    if not manifest.get("examples"):
        raise BadMixture(f"{path}: the mixture has no examples; {manifest.get('reason', 'no reason given')}")
    try:
        parts = [_part(path.parent, p) for p in manifest["parts"]]
    except (KeyError, TypeError) as err:
        raise BadMixture(f"{path}: a part lacks {err}; expected key, size, sha256, examples") from err
    for part in parts:
        _verify(part)
    return parts


def _part(folder: Path, p: dict) -> Part:
    return Part(folder / Path(p["key"]).name, p["size"], p["sha256"], p["examples"], p.get("improve", 1))


def _verify(part: Part) -> None:
    try:
        with part.path.open("rb") as file:
            sha = hashlib.file_digest(file, "sha256").hexdigest()
    except OSError as err:
        raise NoInput(f"read part: {err}") from err
    if sha != part.sha256:
        raise BadMixture(f"{part.path}: its SHA-256 is {sha}, the manifest says {part.sha256}")


def read_examples(parts: list[Part]) -> Iterator[Example]:
    """The examples, improve step by improve step, in the order of the parts."""
    for part in sorted(parts, key=lambda p: p.improve):
        count = 0
        with part.path.open("rb") as file:
            for number, line in enumerate(file, 1):
                yield _example(part, number, line)
                count += 1
        if count != part.examples:
            raise BadMixture(f"{part.path} has {count} examples, the manifest says {part.examples}")


def _example(part: Part, number: int, line: bytes) -> Example:
    try:
        fields = json.loads(line)
        prompt, completion = fields["prompt"], fields["completion"]
    except (ValueError, KeyError, TypeError) as err:
        raise BadMixture(f"{part.path}:{number}: expected JSON with prompt and completion: {err!r}") from err
    if not (isinstance(prompt, str) and isinstance(completion, str) and completion):
        raise BadMixture(f"{part.path}:{number}: prompt and completion must be strings, completion not empty")
    return Example(prompt, completion, part.improve)

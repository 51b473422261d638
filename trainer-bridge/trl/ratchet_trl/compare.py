"""Holds the answers of one llama-server against another's: is a converted model still the same?

The reference answers greedily. The other is asked, before each token of that answer, how likely it finds the token. Both
see the same tokens, so that one different choice does not make all that follows different.
"""

import argparse
import itertools
import json
import urllib.request

from ratchet_trl import mixture
from ratchet_trl.errors import JobError

PROMPTS = [
    "The capital of France is",
    "Water boils at a temperature of",
    "def fibonacci(n):\n",
    "Question: Who wrote the novel Moby-Dick?\nAnswer:",
]
SHOWN = 20  # most likely tokens that a server is asked for


def run(args: argparse.Namespace) -> int:
    differences, same, missing = [], 0, 0
    for prompt in _prompts(args.manifest):
        tokens = _post(args.reference, "/tokenize", {"content": prompt, "add_special": True})["tokens"]
        expected = _complete(args.reference, tokens, args.tokens)
        for i, entry in enumerate(expected):
            other = _complete(args.other, tokens + [e["id"] for e in expected[:i]], 1)[0]
            same += other["id"] == entry["id"]
            found = next((e["logprob"] for e in other["top_logprobs"] if e["id"] == entry["id"]), None)
            if found is None:
                missing += 1
            else:
                differences.append(abs(found - entry["logprob"]))
    count = len(differences) + missing
    mean = sum(differences) / max(len(differences), 1)
    print(
        f"{count} tokens: the same first choice {same} ({100 * same / count:.1f} %), log-probability differs by {mean:.4f} in the mean, "
        f"{max(differences, default=0):.4f} at most; {missing} not among the other's first {SHOWN}"
    )
    return 0 if mean <= args.most and not missing else 1


def _prompts(manifest) -> list[str]:
    if not manifest:
        return PROMPTS
    examples = mixture.read_examples(mixture.read_manifest(manifest))
    return PROMPTS + [e.prompt for e in itertools.islice(examples, 8)]


def _complete(url: str, tokens: list[int], count: int) -> list[dict]:
    body = {"prompt": tokens, "n_predict": count, "temperature": 0, "n_probs": SHOWN, "cache_prompt": True, "top_k": 1}
    return _post(url, "/completion", body)["completion_probabilities"]


def _post(url: str, path: str, body: dict) -> dict:
    data = json.dumps(body).encode()
    request = urllib.request.Request(url.rstrip("/") + path, data, {"Content-Type": "application/json"})
    try:
        with urllib.request.urlopen(request, timeout=300) as reply:
            return json.load(reply)
    except OSError as err:
        raise JobError(f"{url}{path}: {err}; want a llama-server of llama.cpp") from err

#!/usr/bin/env python3
"""A judge for an experiment whose only model is too small to judge: an OpenAI-compatible server for Ratchet's two judging prompts.

    hack/smollm-judge.py PORT MODEL-ENDPOINT

Verdicts are a rule, no model: True if the reference answer's words stand in the answer, in a row (SQuAD's normalization); a yes
or no must be the answer's first word. SmolLM2-135M as a judge says True to nearly everything, or nothing that can be read.

Rankings are the model's own choice: the prompt goes on to MODEL-ENDPOINT (a llama-server) with a grammar of the three lines that
a ranking must have; without, it does not write them.
"""

import json
import re
import string
import sys
import urllib.error
import urllib.request
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

QUOTED = r"'((?:[^'\\]|\\.)*)'"
LAST = re.compile(rf"^ANSWER: str = {QUOTED}\nREF_ANSWER: str = {QUOTED}$", re.M)
OUTPUT = re.compile(r"^Model Output #(\d+):$", re.M)
NAME = "rule"


def verdict(prompt: str) -> str:
    answer, reference = (normalize(text) for text in LAST.findall(prompt)[-1])
    if reference in ("yes", "no"):
        right = answer.split()[:1] == [reference]
    else:
        right = bool(reference) and f" {reference} " in f" {answer} "
    return f"# A rule, no model.\nCheck_Answer(ORIGINAL_QUESTION, ANSWER, REF_ANSWER) = {right}"


def normalize(text: str) -> str:
    text = re.sub(r"\\(.)", r"\1", re.sub(r"\[link_id=[^]]*\]", " ", text)).lower()
    words = "".join(c for c in text if c not in string.punctuation).split()
    return " ".join(w for w in words if w not in ("a", "an", "the"))


def ranking_grammar(prompt: str) -> str:
    slots = " | ".join(f'"#{n}"' for n in sorted(set(OUTPUT.findall(prompt)), key=int))
    return f'root ::= "Explanation: " [^\\n]{{10,160}} "\\nAnswer: " slot\nslot ::= {slots}\n'


def rank(endpoint: str, request: dict) -> dict:
    body = request | {"grammar": ranking_grammar(request["messages"][-1]["content"])}
    call = urllib.request.Request(f"{endpoint}/chat/completions", json.dumps(body).encode(), {"Content-Type": "application/json"})
    with urllib.request.urlopen(call, timeout=600) as reply:
        return json.load(reply)


class Judge(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_GET(self):
        self.answer(200, {"object": "list", "data": [{"id": NAME, "object": "model"}]})

    def do_POST(self):
        request = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        prompt = request["messages"][-1]["content"]
        try:
            if "REF_ANSWER" not in prompt:
                return self.answer(200, rank(self.server.endpoint, request))
            message = {"role": "assistant", "content": verdict(prompt)}
            self.answer(200, {
                "object": "chat.completion", "model": NAME, "choices": [{"index": 0, "message": message, "finish_reason": "stop"}],
                "usage": {"prompt_tokens": 0, "completion_tokens": 0, "total_tokens": 0},
            })
        except urllib.error.HTTPError as err:
            self.answer(err.code, json.load(err))
        except (OSError, IndexError) as err:
            self.answer(503, {"error": {"message": repr(err), "type": "unavailable", "code": 503}})

    def answer(self, status: int, body: dict) -> None:
        data = json.dumps(body).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)

    def log_message(self, *args):
        pass


def main() -> None:
    server = ThreadingHTTPServer(("127.0.0.1", int(sys.argv[1])), Judge)
    server.endpoint = sys.argv[2].rstrip("/")
    server.serve_forever()


if __name__ == "__main__":
    main()

"""Turns examples into tokens, and sees to it that no target is lost on the way.

Prompt and completion are tokenised apart, because that is how the policy will be asked: the server tokenises the
prompt, and the model goes on from there. (TRL tokenises them together, and a token across the border would train
on a prompt that is never asked.)
"""

from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field

from ratchet_trl.errors import BadMixture
from ratchet_trl.mixture import Example

IGNORED = -100  # a label that the loss passes over


@dataclass
class Tally:
    """What became of the examples."""

    kept: int = 0
    overlong: int = 0  # longer than max_length, whatever was done with them
    longest: int = 0
    tokens: int = 0
    targets: int = 0  # tokens that the loss counts
    by_improve: Counter = field(default_factory=Counter)


def encode(tokenizer, example: Example) -> tuple[list[int], list[int]]:
    """The prompt's tokens and the target's, the end of the sequence at its end."""
    prompt = tokenizer(example.prompt)["input_ids"]
    if prompt and prompt[-1] == tokenizer.eos_token_id:
        prompt = prompt[:-1]  # some tokenizers end every text; this one goes on
    target = tokenizer(example.completion, add_special_tokens=False)["input_ids"]
    if tokenizer.eos_token_id is not None and target[-1:] != [tokenizer.eos_token_id]:
        target = [*target, tokenizer.eos_token_id]
    return prompt, target


def rows(tokenizer, examples: Iterable[Example], max_length: int, overflow: str, tally: Tally) -> Iterator[dict]:
    """The rows that TRL trains on. overflow says what becomes of an example longer than max_length (0: no limit):
    drop leaves it out, cut takes the beginning of its prompt away, error counts it for check."""
    for example in examples:
        prompt, target = encode(tokenizer, example)
        length = len(prompt) + len(target)
        tally.longest = max(tally.longest, length)
        if max_length and length > max_length:
            tally.overlong += 1
            room = max_length - len(target)
            if overflow != "cut" or room < 1:
                continue
            prompt = prompt[-room:]
        tally.kept += 1
        tally.tokens += len(prompt) + len(target)
        tally.targets += len(target)
        tally.by_improve[example.improve] += 1
        yield {"input_ids": prompt + target, "labels": [IGNORED] * len(prompt) + target}


def check(tally: Tally, max_length: int, overflow: str) -> None:
    """Refuses what must not be trained on."""
    if tally.overlong and overflow == "error":
        raise BadMixture(
            f"{tally.overlong} of {tally.kept + tally.overlong} examples are longer than --max-length {max_length} "
            f"(the longest has {tally.longest} tokens); raise it, or say --overflow drop (leaves them out) or cut "
            "(takes the beginning of their prompts away)"
        )
    if not tally.kept:
        raise BadMixture(f"no example is left: all {tally.overlong} are longer than --max-length {max_length}")

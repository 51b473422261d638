"""
Step 5 of a search agent: check that ANSWER is grounded in the selected links in PAST_ACTIONS.

The comments hold every claim of the answer against the link that it cites. If all are supported, the answer passes; else
it is revised to what the links say.
"""
from dataclasses import dataclass
from typing import List


class Command:
    pass


@dataclass
class Check_Answer(Command):
    passed: bool


@dataclass
class Revise_Answer(Command):
    revised_answer: str  # with citations



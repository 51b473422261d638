"""
Step 4 of a search agent: check that ANSWER addresses ORIGINAL_QUESTION.

The comments say what the question asks for and whether the answer gives it. If it does, the answer passes; else it is
revised, from the selected links in PAST_ACTIONS.
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



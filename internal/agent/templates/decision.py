"""
Step 1 of a search agent: decide what to do next.

The agent answers ORIGINAL_QUESTION with facts that it finds by searching, and with as few searches as possible.
It looks at PAST_ACTIONS and decides whether something is still missing. If so, it searches for one missing fact;
else, or when REMAINING_SEARCHES is 0, it terminates. The thoughts say why.
"""
from dataclasses import dataclass
from typing import List


class Action:
    pass


@dataclass
class ActionWrapper:
    thoughts: str  # what is known, what is missing
    action: Action


@dataclass
class Search(Action):
    query: str  # short, for a search engine


@dataclass
class Terminate(Action):
    """Everything needed is known, or no search is left."""



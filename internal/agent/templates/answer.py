"""
Step 3 of a search agent: answer ORIGINAL_QUESTION from what was collected in PAST_ACTIONS.

The answer is complete and to the point, uses only what the selected links say, and cites them as [link_id=N].
If the links do not hold the answer, it says so.
"""
from dataclasses import dataclass
from typing import List


@dataclass
class Answer:
    thoughts: str  # how the facts are put together
    answer: str  # with citations



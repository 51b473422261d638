"""
Step 2 of a search agent: choose among the search results and summarize what they say.

The agent selects the links in CURRENT_SEARCH_RESULTS that help to answer ORIGINAL_QUESTION, and says in a comment why
it does not select the others. The summary tells only what the selected links say, and cites them as [link_id=N].
If no link helps, it selects none.
"""
from dataclasses import dataclass
from typing import List


@dataclass
class ResultItem:
    link_text: str
    snippet: str
    link_id: int  # unique


@dataclass
class LinkSelection:
    grounded_summarization: str  # with citations
    thoughts: str  # what is known now, what is still missing
    selected_link_ids: List[int]



"""hack/smollm-judge.py: the rule, and the grammar of a ranking."""

import importlib.util
from pathlib import Path

import pytest

SCRIPT = Path(__file__).parents[3] / "hack" / "smollm-judge.py"


@pytest.fixture(scope="module")
def judge():
    spec = importlib.util.spec_from_file_location("smollm_judge", SCRIPT)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.mark.parametrize(("answer", "reference", "right"), [
    ("The author is Herman Melville [link_id=2].", "Herman Melville", True),
    (r"It\'s O\'Brien.", r"O\'Brien", True),
    ("Herman wrote it, says Melville", "Herman Melville", False),
    ("The Beatles", "the beatles", True),
    ("Yes, both are.", "yes", True),
    ("It is no film, yes.", "yes", False),
    ("There were no others.", "no", False),
    ("", "Paris", False),
    ("Comparison", "Paris", False),
])
def test_verdicts(judge, answer, reference, right):
    exemplar = "ORIGINAL_QUESTION: str = 'q'\nANSWER: str = 'Paris'\nREF_ANSWER: str = 'Paris'\n\nCheck_Answer(...) = True  # [END]\n"
    asked = f"{exemplar}ORIGINAL_QUESTION: str = 'q'\nANSWER: str = '{answer}'\nREF_ANSWER: str = '{reference}'\n\n"
    assert judge.verdict(asked).endswith(f"REF_ANSWER) = {right}")


def test_a_ranking_names_the_outputs_that_there_are(judge):
    grammar = judge.ranking_grammar("Model Can See:\nx\n\nModel Output #1:\na\n\nModel Output #2:\nb\n")
    assert 'slot ::= "#1" | "#2"\n' in grammar

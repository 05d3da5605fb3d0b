"""Questions have many wordings, and a good part of them is kept out of training."""

import re
from random import Random

import pytest

from training.questions.ask import casual, mistyped
from training.questions.forms import worded
from training.questions.intents import INTENTS, SYNONYMS

SLOTS = {
    "ref": "the {one}", "noun": "red {objects}", "where": "on the left", "word": "first", "at": "4",
    "what": "{appears}", "stem": "{appear}", "later": "{appear later}", "laters": "{appears later}", "hue": "red",
    "way": "left", "side": "above", "other": "the star",
}  # fmt: skip


def _wordings(intent: str, *, held_out: bool) -> set[str]:
    rng = Random(1)
    return {worded(rng, intent, SLOTS, held_out=held_out) for _ in range(300)}


@pytest.mark.parametrize("intent", INTENTS)
def test_a_wording_of_the_evaluation_never_occurs_in_training(intent):
    usual, new = _wordings(intent, held_out=False), _wordings(intent, held_out=True)
    assert not any("{" in text for text in usual | new)
    assert len(usual) > 6
    assert len(new) > 6
    assert not usual & new


def test_more_than_a_quarter_of_forms_and_a_fifth_of_synonyms_is_kept_out_of_training():
    usual = [text for i in INTENTS.values() for part in (i.asked, i.clauses, i.phrases) for text in part]
    new = [
        text
        for i in INTENTS.values()
        for part in (i.new_asked, i.new_clauses, i.new_phrases)
        for text in part
    ]
    assert 0.27 < len(new) / len(usual + new) < 0.4
    known, unknown = (sum(len(set(words[side])) for words in SYNONYMS.values()) for side in (0, 1))
    assert 0.2 < unknown / (known + unknown) < 0.4


def test_a_typing_error_changes_one_word_and_nothing_else():
    rng = Random(2)
    for _ in range(200):
        before = "How many circles are there in the clip?"
        after = mistyped(rng, before)
        changed = [a != b for a, b in zip(before.split(), after.split(), strict=True)]
        assert sum(changed) <= 1
        assert all(len(word.strip("?")) > 3 for word, new in zip(before.split(), changed, strict=True) if new)


def test_people_also_write_in_lower_case_without_a_question_mark_and_with_errors():
    rng = Random(3)
    texts = {casual(rng, "What colour is the star?") for _ in range(300)}
    assert any(text == text.lower() for text in texts)
    assert any(not text.endswith(("?", ".", "!")) for text in texts)
    assert any(not re.search("colour", text, re.IGNORECASE) for text in texts)

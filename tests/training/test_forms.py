"""Questions have many wordings, and a good part of them is kept out of training."""

import re
from random import Random

import pytest

from training.questions.ask import casual, mistyped
from training.questions.forms import worded
from training.questions.intents import (
    CLAUSE_FRAMES,
    INTENTS,
    NEW_CLAUSE_FRAMES,
    NEW_PHRASE_FRAMES,
    PHRASE_FRAMES,
    SYNONYMS,
)
from training.questions.strange import FAMILIAR

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


def test_about_a_third_of_forms_and_synonyms_is_kept_out_of_training():
    usual = [text for i in INTENTS.values() for part in (i.asked, i.clauses, i.phrases) for text in part]
    new = [
        text
        for i in INTENTS.values()
        for part in (i.new_asked, i.new_clauses, i.new_phrases)
        for text in part
    ]
    assert 0.3 < len(new) / len(usual + new) < 0.4
    known, unknown = (sum(len(set(words[side])) for words in SYNONYMS.values()) for side in (0, 1))
    assert 0.3 < unknown / (known + unknown) < 0.4


@pytest.mark.parametrize("intent", INTENTS)
def test_no_form_in_its_frame_is_both_used_in_training_and_kept_out_of_it(intent):
    forms = INTENTS[intent]

    def framed(frames, texts):
        return {frame.replace("{0}", text).lower() for frame in frames for text in texts}

    usual = {text.lower() for text in forms.asked}
    usual |= framed(CLAUSE_FRAMES, forms.clauses) | framed(PHRASE_FRAMES, forms.phrases)
    new = {text.lower() for text in forms.new_asked}
    new |= framed(NEW_CLAUSE_FRAMES, forms.clauses) | framed(CLAUSE_FRAMES, forms.new_clauses)
    new |= framed(NEW_PHRASE_FRAMES, forms.phrases) | framed(PHRASE_FRAMES, forms.new_phrases)
    assert not usual & new


def test_no_synonym_is_both_used_in_training_and_kept_out_of_it():
    assert not any(set(usual) & set(new) for usual, new in SYNONYMS.values())


# For each intent, slots without synonyms, so that every word of them can be found again.
NAMED = SLOTS | {
    "ref": "the red star", "noun": "green circles", "what": "appears", "stem": "appear", "later": "appear later",
    "laters": "appears later", "other": "the blue square",
}  # fmt: skip
VERBS = ("stir", "stirs", "in motion")


@pytest.mark.parametrize("intent", INTENTS)
def test_strange_words_stand_only_where_they_do_not_matter(intent):
    rng = Random(4)
    deciding = {word for slot in VERBS for text in SYNONYMS[slot][0] for word in text.split()}
    deciding |= {"moved", "movement", "movers", "motion", "leave"}
    for _ in range(300):
        text = worded(rng, intent, NAMED, strange=1.0).lower()
        words = re.findall(r"[a-z]+", text)
        assert set(words) - FAMILIAR, text
        for slot in ("ref", "noun", "where", "word", "hue", "way", "side", "other", "at"):
            if any("{" + slot + "}" in form for form in INTENTS[intent].asked):
                assert NAMED[slot] in text, text
        if intent in ("count movers", "movers", "stirs"):
            assert deciding & set(words), text
        if intent in ("comings", "second", "whether it comes"):
            assert "appear" in text, text


def test_the_verb_does_not_matter_where_a_question_asks_which_way_a_named_thing_goes():
    rng = Random(5)
    texts = [worded(rng, "direction", NAMED, strange=1.0) for _ in range(600)]
    found = [
        t
        for t in texts
        if (m := re.match(r"Which way does the red star (\w+)\?", t)) and m[1] not in FAMILIAR
    ]
    assert found
    assert not any(
        set(re.findall(r"[a-z]+", text.lower())) - FAMILIAR
        for text in texts
        if re.fullmatch(r"Where does the red star \w+\?", text)
    )


def test_evaluation_has_no_strange_words_and_none_occur_without_their_share():
    rng = Random(6)
    for intent in INTENTS:
        for text in (worded(rng, intent, SLOTS, strange=0.0), worded(rng, intent, SLOTS, held_out=True)):
            assert set(re.findall(r"[a-z]+", text.lower())) <= FAMILIAR, text


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
    texts = {casual(rng, "What colour is the star?") for _ in range(1000)}
    assert any(text == text.upper() for text in texts)
    assert any(text == text.lower() for text in texts)
    assert any(not text.endswith(("?", ".", "!")) for text in texts)
    assert any(not re.search("colour", text, re.IGNORECASE) for text in texts)

"""How the demo checkpoint is made: scenes, questions, dense tower training, question training, evaluation.

Reading order: scenes.py (the world), paint.py and degrade.py (its pixels), questions/ (what is asked and answered),
vocabulary.py (its words are in tokenizer.json), recipe.py (the sizes), loop.py and precision.py (a step), dense.py
(what patches are asked), tower.py, watch.py and story.py (what is asked beside questions), talk_batch.py, talker.py,
start.py, talk.py, evaluate.py.
Imports omnireel like any user.
"""

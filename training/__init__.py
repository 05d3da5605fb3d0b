"""How the demo checkpoint is made: scenes, questions, dense tower training, question training, evaluation.

Reading order: scenes.py (the world), paint.py (its pixels), questions.py (what is asked and answered),
vocabulary.py, recipe.py (the sizes), tower.py, talk.py, watch.py and story.py (what is asked beside questions),
evaluate.py.
Imports omnireel like any user.
"""

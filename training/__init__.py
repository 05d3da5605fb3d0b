"""How the demo checkpoint is made: scenes, questions, dense tower training, question training, evaluation.

Reading order: scenes.py (what clips contain), paint.py and degrade.py (their pixels), questions/ (questions, their
wordings and true answers), pictures/ (clips that are no simple scene), vocabulary.py (the tokenizer; its words are in
tokenizer.json), recipe.py (the sizes), loop.py and precision.py (a training step), dense.py (targets of patches),
tower.py (the first stage), watch.py and story.py (auxiliary targets of the second stage), talk_batch.py,
model_with_heads.py, start.py, talk.py (the second stage), evaluate.py (the whole path), answers.py and exams.py (many
questions about each clip of a held-out set).
It uses omnireel like any other program.
"""

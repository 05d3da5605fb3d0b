"""Questions about a scene, with their true answers.

Each builder takes a view and returns a question, or None if the scene gives no definite answer. The wording of a
question is one of many paraphrases; the wording of an answer is fixed.
"""

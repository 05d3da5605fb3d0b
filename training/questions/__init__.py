"""What people ask about a scene, and the true answer.

Each builder looks at a view and returns a question, or None when the scene does not decide the answer. Wording is
drawn from many paraphrases; the answer is always worded the same way.
"""

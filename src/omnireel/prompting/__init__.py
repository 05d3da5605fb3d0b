"""From a clip and a question to the tokens that the model reads."""

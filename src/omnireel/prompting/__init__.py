"""From a task and its clip to the prompt that the model reads: token counts, layout, encoding."""

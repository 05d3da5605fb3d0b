"""A model server that speaks the OpenAI protocol answers the tasks; clips are read and limited here."""

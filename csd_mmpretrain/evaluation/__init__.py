"""What the predictions of a model are worth."""

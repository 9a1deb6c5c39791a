"""Small words and types that all rooms use."""

"""Checkpoints: files, what fits a model, pretrained weights."""

"""Figures that know no method."""

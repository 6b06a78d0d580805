"""Fixtures that every folder shares."""

"""Fixtures that every part of the suite may use; what concerns one part stands beside its tests."""

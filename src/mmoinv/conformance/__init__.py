"""Tests that implementations of our interfaces can be put to, ours and others'."""

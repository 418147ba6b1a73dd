"""Keeps the rules of data: what is past its term goes, or no longer tells of a person."""

"""The citizen's health space: its rules, without any input or output.

Measures of apps (what each is, units, identity, times), and the life of a space.
"""

"""Models. One module is one option of the group `model=`, with a constant `MODEL`, a `LanguageModel`."""

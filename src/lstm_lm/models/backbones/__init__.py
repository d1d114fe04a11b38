"""The folder is the registry: `model=NAME` is the module NAME here, with a constant `MODEL`, a `LanguageModel`."""

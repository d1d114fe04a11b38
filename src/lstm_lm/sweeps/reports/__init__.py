"""One report per study, named as its `study.name`: its constant is `REPORT`, a `interface.StudyReport`."""

"""What a command that is refused takes away again: never anything of a run that another process is at."""

from pathlib import Path

from held import held
from omegaconf import OmegaConf
from run_folders import make_run

from lstm_lm.cli.hydra_hooks import RefuseEarly
from lstm_lm.runs.footprint import Footprint


def test_a_second_command_that_is_refused_takes_nothing_from_the_run_that_goes_on(tmp_path: Path) -> None:
    run = make_run(tmp_path / "run", metrics={1: {"train/loss": 2.0}})
    hook = RefuseEarly()
    hook._footprint = Footprint(run)
    with held(run.path):
        grown = run.metrics.read_text() + "2,1.5\n"
        run.metrics.write_text(grown)
        events = run.tensorboard / "events.out.tfevents.1"
        events.write_bytes(b"of the run that goes on")
        hook.on_run_end(OmegaConf.create())
    assert run.metrics.read_text() == grown
    assert events.exists()
    hook.on_run_end(OmegaConf.create())
    assert run.metrics.read_text() != grown, "nobody is at it: what a refused run had left is taken back"

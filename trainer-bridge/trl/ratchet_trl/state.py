"""What a job keeps in {out}/.job between its starts, and how the model gets out of there.

    data/            the tokens, made anew at each start
    checkpoint-N/    weights, optimiser, schedule and random state after step N; complete if the file `complete` is there
    model.tmp/       a model being written
    model/           the finished model: all that is left is to move its files to {out}
"""

import os
import shutil
from pathlib import Path

MARK = "complete"


class JobFolder:
    def __init__(self, out: Path) -> None:
        self.out = out
        self.path = out / ".job"
        self.path.mkdir(parents=True, exist_ok=True)

    def fresh(self, name: str) -> Path:
        """An empty folder."""
        folder = self.path / name
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir()
        return folder

    def last_checkpoint(self) -> Path | None:
        """The newest complete checkpoint. Half-written ones, of a job that was killed while saving, are removed."""
        found = []
        for folder in self.path.glob("checkpoint-*"):
            if (folder / MARK).exists():
                found.append(folder)
            else:
                shutil.rmtree(folder)
        return max(found, key=lambda f: int(f.name.rpartition("-")[2]), default=None)

    def mark(self, step: int) -> None:
        folder = self.path / f"checkpoint-{step}"
        for file in folder.iterdir():
            _sync(file)
        (folder / MARK).touch()
        _sync(folder)

    @property
    def finished(self) -> bool:
        return (self.path / "model").is_dir()

    def write_model(self, save) -> None:
        """Has save(folder) write the model; it is there whole or not at all."""
        folder = self.fresh("model.tmp")
        save(folder)
        for file in folder.rglob("*"):
            file.chmod(0o755 if file.is_dir() else 0o644)
            _sync(file)
        folder.rename(self.path / "model")
        _sync(self.path)

    def publish(self) -> None:
        """Moves the finished model to {out}; done again after a crash, it moves what is left."""
        for file in sorted((self.path / "model").iterdir()):
            os.replace(file, self.out / file.name)
        _sync(self.out)
        shutil.rmtree(self.path)


def _sync(path: Path) -> None:
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)

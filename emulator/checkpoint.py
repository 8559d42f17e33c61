"""Checkpoints of a training, with a checksum, bound to the training, and without code."""

import hashlib
import io
import pickle
import time
from pathlib import Path
from typing import Any

import lightning
import torch
from lightning.fabric.plugins import CheckpointIO
from lightning.pytorch.callbacks import Callback
from lightning.pytorch.utilities import rank_zero_only

from datagen.files import atomic

__all__ = ["LAST_CHECKPOINT", "CheckpointError", "Checkpoints", "Keeper"]

LAST_CHECKPOINT = "last.ckpt"
_MAGIC = b"hodspectra-checkpoint-1\n"
_DIGEST = 64  # characters of a SHA-256
_EPOCHS = 10  # epochs or
_SECONDS = 5.0  # seconds between checkpoints, whichever is shorter,
_SHARE = 0.05  # unless they would take more than this share of the time


class CheckpointError(ValueError):
    """Error of a checkpoint that belongs to another training."""


class _DamagedError(ValueError):
    """Error of a damaged checkpoint; the message gives the reason."""


class Checkpoints(CheckpointIO):
    """Lightning plugin that writes checkpoints atomically and reads only safe ones.

    A file is a line with the format, the SHA-256 of the rest, the key of the training, and its
    state by ``torch.save``. It is read with ``weights_only``, so that it can only contain arrays,
    numbers, texts and containers of these, and a foreign checkpoint cannot run code.

    Args:
        key: Everything that determines the training: hashes of labels and code, settings.
    """

    def __init__(self, key: str) -> None:
        self.key = hashlib.sha256(key.encode()).hexdigest().encode()

    def save_checkpoint(
        self, checkpoint: dict[str, Any], path: str | Path, storage_options: Any = None
    ) -> None:
        """Write a checkpoint atomically; the old one remains until it is complete."""
        buffer = io.BytesIO()
        torch.save(checkpoint, buffer)
        content = self.key + buffer.getvalue()
        digest = hashlib.sha256(content).hexdigest().encode()
        with atomic(Path(path)) as partial:
            partial.write_bytes(_MAGIC + digest + content)

    def load_checkpoint(
        self, path: str | Path, map_location: Any = None, weights_only: bool | None = None
    ) -> dict[str, Any]:
        """Read the state of a checkpoint to the CPU.

        Raises:
            ValueError: The checkpoint is damaged, or belongs to another training.
        """
        content = Path(path).read_bytes()
        if not content.startswith(_MAGIC):
            raise _DamagedError("it does not begin as a checkpoint does")
        digest, content = (rest := content[len(_MAGIC) :])[:_DIGEST], rest[_DIGEST:]
        if hashlib.sha256(content).hexdigest().encode() != digest:
            raise _DamagedError("its checksum does not match its content")
        if content[:_DIGEST] != self.key:
            raise CheckpointError(
                f"{path} is the checkpoint of a training with other labels, settings or code; "
                f"choose another folder"
            )
        try:
            buffer = io.BytesIO(content[_DIGEST:])
            state: dict[str, Any] = torch.load(buffer, map_location="cpu", weights_only=True)
        except (pickle.UnpicklingError, RuntimeError, EOFError, ValueError) as error:
            reason = str(error).partition("\n")[0]
            raise _DamagedError(f"it holds more than arrays and numbers: {reason}") from error
        return state

    def remove_checkpoint(self, path: str | Path) -> None:
        """Delete a checkpoint."""
        Path(path).unlink(missing_ok=True)

    def usable(self, path: Path | None) -> Path | None:
        """Return the path if a training can resume from it, else None; report a damaged file.

        Raises:
            CheckpointError: The checkpoint belongs to another training.
        """
        if path is None or not path.exists():
            return None
        try:
            self.load_checkpoint(path)
        except _DamagedError as error:
            _say(f"{path} is damaged ({error}); the training begins anew")
            return None
        return path


@rank_zero_only
def _say(text: str) -> None:
    print(text, flush=True)  # noqa: T201


class Keeper(Callback):
    """Callback that writes a checkpoint every few epochs or seconds, and at the end.

    Args:
        path: File of the checkpoint.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self._due, self._earliest = 0.0, 0.0

    def on_train_start(self, *_: Any) -> None:
        """Start the clock."""
        self._due, self._earliest = time.monotonic() + _SECONDS, 0.0

    def on_train_epoch_end(
        self, trainer: lightning.Trainer, pl_module: lightning.LightningModule
    ) -> None:
        """Write a checkpoint if it is due; runs after all callbacks that have a state."""
        start = time.monotonic()
        is_round = (trainer.current_epoch + 1) % _EPOCHS == 0
        is_time = start >= self._due or (is_round and start >= self._earliest)
        # the processes of a distributed training must agree
        if not trainer.strategy.broadcast(is_time or trainer.should_stop):
            return
        trainer.save_checkpoint(self.path)
        end = time.monotonic()
        self._earliest = end + (end - start) / _SHARE
        self._due = max(end + _SECONDS, self._earliest)

"""Progress: one JSON object a line on the real standard output, which libraries do not get to see."""

import json
import os
import sys
import time

from transformers import TrainerCallback


class Reporter:
    """Writes lines for the driver. What anybody else prints goes to standard error from now on."""

    def __init__(self) -> None:
        self._out = os.fdopen(os.dup(sys.stdout.fileno()), "w", buffering=1)
        sys.stdout.flush()
        os.dup2(sys.stderr.fileno(), sys.stdout.fileno())

    def line(self, **fields) -> None:
        self._out.write(json.dumps(fields) + "\n")

    def say(self, message: str) -> None:
        self.line(message=message)


class Progress(TrainerCallback):
    """Reports each optimiser step: how far, the loss, the speed, and how long it will take."""

    def __init__(self, reporter: Reporter, tokens: int, total: int) -> None:
        self._reporter = reporter
        self._tokens_per_step = tokens / max(total, 1)
        self._began = self._first = None

    def on_train_begin(self, args, state, control, **kwargs):
        self._began, self._first = time.monotonic(), state.global_step

    def on_log(self, args, state, control, logs=None, **kwargs):
        if not logs or "loss" not in logs:
            return
        seconds = max(time.monotonic() - self._began, 1e-9)
        steps = max(state.global_step - self._first, 1)
        speed = steps * self._tokens_per_step / seconds
        eta = (state.max_steps - state.global_step) * seconds / steps
        self._reporter.line(
            done=state.global_step,
            total=state.max_steps,
            loss=float(logs["loss"]),
            tokens_per_second=round(speed, 1),
            eta_seconds=round(eta),
            message=f"{speed:.0f} tokens/s, {_clock(eta)} left",
        )


def _clock(seconds: float) -> str:
    minutes, seconds = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}h{minutes:02}m" if hours else f"{minutes}m{seconds:02}s"

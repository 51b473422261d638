"""Trains: mixture and base in, model out."""

import argparse
import os
import signal
from pathlib import Path

import torch
import transformers
from datasets import Dataset
from peft import LoraConfig
from transformers import PrinterCallback, ProgressCallback, TrainerCallback
from trl import SFTConfig, SFTTrainer

from ratchet_trl import base, mixture, tokens
from ratchet_trl.errors import Stopped
from ratchet_trl.order import order
from ratchet_trl.progress import Progress, Reporter
from ratchet_trl.state import JobFolder

DTYPES = {"float32": torch.float32, "bfloat16": torch.bfloat16, "float16": torch.float16}


def run(args: argparse.Namespace, reporter: Reporter) -> None:
    """One job, from whatever state an earlier start left it in."""
    stop = Stop()  # first, so that a SIGTERM while loading is one too
    job = JobFolder(args.out)
    if not job.finished:
        _settle(args)
        _train(args, job, stop, reporter)
    job.publish()
    reporter.say("the model is written")


def _settle(args: argparse.Namespace) -> None:
    """Makes the same job give the same model, as far as the hardware lets it."""
    if args.threads:
        torch.set_num_threads(args.threads)
    os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")
    torch.use_deterministic_algorithms(True, warn_only=True)
    transformers.set_seed(args.seed % 2**32)


def _train(args, job: JobFolder, stop: "Stop", reporter: Reporter) -> None:
    tokenizer = base.load_tokenizer(args.base)
    data, tally = _dataset(args, job, tokenizer)
    total = -(-len(data) // args.batch)
    each_epoch = sum(tally.by_improve.values())
    reporter.line(
        done=0,
        total=total,
        message=f"{tally.kept} examples of {tally.tokens} tokens, {tally.targets} of them targets, the longest "
        f"{tally.longest}; {tally.overlong} over --max-length ({args.overflow})",
    )
    trainer = SFTTrainer(
        model=base.load_model(args.base),
        args=_config(args, job),
        train_dataset=data,
        processing_class=tokenizer,
        peft_config=_lora(args),
        callbacks=[stop, Marks(job), Progress(reporter, tally.tokens * len(data) / each_epoch, total)],
    )
    for chatter in (PrinterCallback, ProgressCallback):
        trainer.remove_callback(chatter)
    checkpoint = job.last_checkpoint()
    if checkpoint:
        reporter.say(f"going on from {checkpoint.name}")
    try:
        trainer.train(resume_from_checkpoint=str(checkpoint) if checkpoint else None)
    except Stopped:
        _save(trainer, job)
        raise
    job.write_model(lambda folder: _write(trainer.model, tokenizer, args, folder))


def _dataset(args, job: JobFolder, tokenizer) -> tuple[Dataset, tokens.Tally]:
    """The rows in the order of training. Tokens lie on disk, not in memory."""
    parts = mixture.read_manifest(args.manifest)
    tally = tokens.Tally()

    def generate():
        yield from tokens.rows(tokenizer, mixture.read_examples(parts), args.max_length, args.overflow, tally)

    # The tally is kept outside, so the rows must be made here and now: the cache is always a new one.
    folder = job.fresh("data")
    first = list(generate())
    tokens.check(tally, args.max_length, args.overflow)
    data = Dataset.from_list(first)
    data.save_to_disk(str(folder))
    data = Dataset.load_from_disk(str(folder))
    return data.select(order(tally.by_improve, args.epochs, args.seed)), tally


def _config(args, job: JobFolder) -> SFTConfig:
    cpu = not torch.cuda.is_available()
    return SFTConfig(
        output_dir=str(job.path),
        seed=args.seed % 2**32,
        num_train_epochs=1,  # the order repeats the examples
        train_sampling_strategy="sequential",
        per_device_train_batch_size=args.microbatch,
        gradient_accumulation_steps=max(1, args.batch // args.microbatch),
        learning_rate=args.learning_rate,
        lr_scheduler_type=args.schedule,
        warmup_steps=args.warmup,
        weight_decay=args.weight_decay,
        max_grad_norm=args.max_grad_norm,
        max_length=None,  # seen to in tokens.rows
        bf16=args.precision == "bfloat16",
        use_cpu=cpu,
        activation_checkpointing=args.activation_checkpointing,
        dataloader_pin_memory=not cpu,
        logging_steps=1,
        save_strategy="steps",
        save_steps=args.save_every,
        save_total_limit=2,  # the last one may be half written
        report_to="none",
        disable_tqdm=True,
        remove_unused_columns=False,
    )


def _lora(args) -> LoraConfig | None:
    if not args.lora_rank:
        return None
    return LoraConfig(
        task_type="CAUSAL_LM",
        r=args.lora_rank,
        lora_alpha=args.lora_alpha or 2 * args.lora_rank,
        target_modules=args.lora_modules.split(",") if args.lora_modules else "all-linear",
    )


def _save(trainer: SFTTrainer, job: JobFolder) -> None:
    """Saves the state after the last finished step, unless it is saved already."""
    step = trainer.state.global_step
    last = job.last_checkpoint()
    if step == 0 or (last and last.name == f"checkpoint-{step}"):
        return
    trainer._save_checkpoint(trainer.model, trial=None)
    job.mark(step)


def _write(model, tokenizer, args, folder: Path) -> None:
    if args.lora_rank and args.merge:
        model = model.merge_and_unload()
    if not args.lora_rank or args.merge:
        model = model.to(DTYPES[args.save_dtype])
    model.save_pretrained(folder)
    tokenizer.save_pretrained(folder)


class Marks(TrainerCallback):
    """Says of a checkpoint that it is complete."""

    def __init__(self, job: JobFolder) -> None:
        self._job = job

    def on_save(self, args, state, control, **kwargs):
        self._job.mark(state.global_step)


class Stop(TrainerCallback):
    """SIGTERM ends training at once, by an exception: a step may take longer than the driver waits. Between the first
    and the last weight that an optimiser step changes, and while a checkpoint is written, it waits for their end."""

    def __init__(self) -> None:
        self._asked = self._busy = False
        signal.signal(signal.SIGTERM, self._handle)

    def _handle(self, number, frame):
        self._asked = True
        if not self._busy:
            self._busy = True  # a second SIGTERM does not disturb the saving
            raise Stopped

    def _end(self):
        self._busy = False
        if self._asked:
            self._busy = True
            raise Stopped

    def on_pre_optimizer_step(self, args, state, control, **kwargs):
        self._busy = True

    def on_step_end(self, args, state, control, **kwargs):
        if not control.should_save:
            self._end()

    def on_save(self, args, state, control, **kwargs):
        self._end()

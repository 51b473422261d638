"""The command line: `python -m ratchet_trl --help`."""

import argparse
import logging
import sys
from pathlib import Path

from ratchet_trl import errors


class _Parser(argparse.ArgumentParser):
    def error(self, message):
        self.print_usage(sys.stderr)
        self.exit(errors.USAGE, f"{self.prog}: {message}\n")


def _arguments(argv: list[str] | None) -> argparse.Namespace:
    parser = _Parser(prog="ratchet_trl", description="Supervised fine-tuning with TRL for Ratchet's command driver.")
    commands = parser.add_subparsers(dest="command", required=True, parser_class=_Parser)
    _train_arguments(commands.add_parser("train", help="train a base model on a mixture", formatter_class=_defaults))
    _compare_arguments(
        commands.add_parser("compare", help="hold one llama-server's answers against another's", formatter_class=_defaults)
    )
    _unpack_arguments(commands.add_parser("unpack", help="write a GGUF model in Hugging Face's form", formatter_class=_defaults))
    args = parser.parse_args(argv)
    if args.command == "train" and args.batch % args.microbatch:
        parser.error(f"--batch {args.batch} is not a multiple of --microbatch {args.microbatch}")
    return args


_defaults = argparse.ArgumentDefaultsHelpFormatter


def _train_arguments(p: argparse.ArgumentParser) -> None:
    p.add_argument("--base", type=Path, required=True, help="a folder in Hugging Face's form, or a .gguf file")
    p.add_argument("--manifest", type=Path, required=True, help="the mixture's manifest.json; its parts lie beside it")
    p.add_argument("--out", type=Path, required=True, help="where the model goes, and the state of an unfinished job")
    p.add_argument("--seed", type=int, default=0, help="of the order of the examples, and of LoRA's first weights")
    p.add_argument("--epochs", type=_positive, default=3.0, help="how often each example is trained on")
    p.add_argument("--learning-rate", type=_positive, default=2e-5, help="its peak; for LoRA about 1e-4")
    p.add_argument("--schedule", choices=["linear", "cosine", "constant"], default="linear", help="of the learning rate")
    p.add_argument("--warmup", type=int, default=0, help="steps in which the learning rate rises to its peak")
    p.add_argument("--weight-decay", type=float, default=0.0, help="AdamW's")
    p.add_argument("--max-grad-norm", type=float, default=1.0, help="gradients are cut to this length")
    p.add_argument("--batch", type=_count, default=8, help="examples per optimiser step")
    p.add_argument("--microbatch", type=_count, default=1, help="of them at once: memory against speed")
    p.add_argument("--max-length", type=int, default=0, help="tokens of an example, end included; 0: no limit")
    p.add_argument("--overflow", choices=["error", "drop", "cut"], default="error",
                   help="longer examples: refuse the mixture, leave them out, or cut the beginning of their prompts")
    p.add_argument("--lora-rank", type=int, default=0, help="0: full fine-tuning")
    p.add_argument("--lora-alpha", type=int, default=0, help="0: twice the rank")
    p.add_argument("--lora-modules", default="", help="comma separated; default: all linear layers")
    p.add_argument("--merge", action="store_true", help="write the base with the adapter in it, not the adapter alone")
    p.add_argument("--precision", choices=["float32", "bfloat16"], default="float32",
                   help="of the arithmetic; the weights are float32 while training")
    p.add_argument("--save-dtype", choices=["float32", "bfloat16", "float16"], default="float32", help="of the model written")
    p.add_argument("--activation-checkpointing", action="store_true", help="less memory, a third more time")
    p.add_argument("--threads", type=int, default=0, help="of a CPU; 0: all. Another number, another rounding")
    p.add_argument("--save-every", type=_count, default=50, help="steps between checkpoints; one is written at SIGTERM too")


def _unpack_arguments(p: argparse.ArgumentParser) -> None:
    p.add_argument("--base", type=Path, required=True, help="a .gguf file")
    p.add_argument("--out", type=Path, required=True, help="the folder to make")


def _compare_arguments(p: argparse.ArgumentParser) -> None:
    p.add_argument("reference", help="base URL of the llama-server whose answers are taken")
    p.add_argument("other", help="base URL of the llama-server that is asked about them")
    p.add_argument("--tokens", type=_count, default=24, help="of each answer")
    p.add_argument("--manifest", type=Path, help="prompts of this mixture too")
    p.add_argument("--most", type=float, default=0.1, help="mean difference of log-probability that is still the same")


def _positive(text: str) -> float:
    value = float(text)
    if not value > 0:
        raise argparse.ArgumentTypeError(f"{text}: expected a number above 0")
    return value


def _count(text: str) -> int:
    value = int(text)
    if value < 1:
        raise argparse.ArgumentTypeError(f"{text}: expected a whole number above 0")
    return value


def main(argv: list[str] | None = None) -> int:
    logging.basicConfig(level=logging.WARNING, stream=sys.stderr)
    args = _arguments(argv)
    try:
        return _dispatch(args)
    except errors.Stopped:
        print("stopped by SIGTERM; start it again to go on", file=sys.stderr)
        return errors.STOPPED
    except errors.JobError as err:
        print(f"error: {err}", file=sys.stderr)
        return err.code


def _dispatch(args: argparse.Namespace) -> int:
    if args.command == "compare":
        from ratchet_trl import compare

        return compare.run(args)
    # Imported late: it takes seconds, which a wrong flag need not wait for.
    if args.command == "unpack":
        from ratchet_trl import base

        base.unpack(args.base, args.out)
        return 0
    from ratchet_trl.progress import Reporter
    from ratchet_trl.train import run

    run(args, Reporter())
    return 0


if __name__ == "__main__":
    sys.exit(main())

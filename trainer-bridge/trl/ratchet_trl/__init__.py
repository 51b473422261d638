"""Supervised fine-tuning with TRL for Ratchet's `command` driver: docs/training.md tells the contract.

A job is interrupted at any time and started again with the same arguments: it goes on from its last complete
checkpoint under {out}/.job. {out} holds the model, whole, once the exit code is 0. Names that begin with a dot are
no part of it.
"""

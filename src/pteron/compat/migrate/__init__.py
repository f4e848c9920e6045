"""Migration: rewriting a file so that another release runs it.

    migration = plan_migration(program, "0.5.0")
    migration.applied                                # named steps, each with what it did
    migration.obstacles                              # reasons for which it still would not run; empty if it would
    migration.program                                # the rewritten program, read back from its bytes

Each step is a function of its own (one module per idea) that solves reasons of named rules. The judge says what is
wrong with a file on the target; steps that solve that are applied until nothing is wrong or no step is left.
"""

from __future__ import annotations

from pteron.compat.migrate.plan import Applied, Migration, plan_migration
from pteron.compat.migrate.step import STEPS, Step

__all__ = ["STEPS", "Applied", "Migration", "Step", "plan_migration"]

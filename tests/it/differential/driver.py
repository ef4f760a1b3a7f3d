"""Plays schedules on the reference model and prints how each one ends.

driver.py MODEL_FOLDER < schedules, one JSON object a line: {"manual": bool, "retire": "keep" | "zero", "ops": [["bump2", 3], ...]}.
One JSON object a line comes out: the end, or {"conflict": true} where a revert conflicts. An act that has no effect is skipped.
"""
import json
import sys

sys.path.insert(0, sys.argv[1])
import rules  # noqa: E402

RULES = rules.ALL + ("a_bumpsel",)
REST = 99


def pin(value):
    return None if value is None else [value[0], value[2]]


def play(case):
    world = rules.W(RULES, retire=case["retire"], manual=case["manual"])
    rules.go(world, 99)
    for op, delay in case["ops"]:
        done = world.person(op)
        if world.confl:
            return {"conflict": True}
        if done:
            rules.go(world, 60 if delay == REST else delay)
    quiet = rules.go(world, 80)
    head = world.H
    carried = {c: world.dep[c] and [list(world.dep[c]["d"]), world.dep[c]["up"]] for c in "BG"}
    log = [list(commit.tr) for commit in world.g if commit.tr and commit.who == "t"]
    return {
        "quiet": quiet,
        "serving": world.cs,
        "declared": head.sel,
        "carried": carried,
        "pins": {c: pin(head.pins[c]) for c in "BG"},
        "rejected": head.rej,
        "log": log,
        "trace": world.trace,
    }


for line in sys.stdin:
    print(json.dumps(play(json.loads(line))))

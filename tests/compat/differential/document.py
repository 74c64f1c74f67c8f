#!/usr/bin/env python3
"""Prints the table of deliberate differences for docs/chroma-compatibility.md from differences.py."""
import pathlib
import sys

HERE = pathlib.Path(__file__).resolve().parent
sys.path[:0] = [str(HERE)]

import differences  # noqa: E402

if __name__ == "__main__":
    print("| difference | Chroma | ours, and why |\n|---|---|---|")
    for one in differences.ENTRIES:
        print(f"| `{one.name}` | {', '.join(one.versions)} | {one.reason.replace('|', chr(92) + '|')} |")

"""Do we accept and refuse the files that Rust's safetensors does?

    pip install safetensors
    FUZZ_SAY=1 build/fuzz/safetensors build/fuzz/corpus/safetensors/* >said
    python dev/oracle/safetensors_differ.py said build/fuzz/corpus/safetensors

Prints how many files both accept and both refuse, and every file on which they differ, with Rust's reason. Exit code 1 if
there is one. Files are named by the hash that the fuzzer says; the order is that of the command line.
"""

import pathlib
import sys

import safetensors


def rust_says(data: bytes) -> str:
    try:
        safetensors.deserialize(data)
        return "accepted"
    except Exception as error:  # noqa: BLE001: whatever it is, it is no file for them
        return f"refused: {error}"


def main() -> int:
    said = [line.split() for line in open(sys.argv[1]) if line.rstrip().endswith(("accepted", "refused"))]
    paths = sorted(p for p in pathlib.Path(sys.argv[2]).iterdir() if p.is_file())
    said = said[-len(paths):]
    if len(said) != len(paths):
        sys.exit(f"{len(said)} verdicts of {len(paths)} files")
    both = {"accepted": 0, "refused": 0}
    differ = 0
    for (_, ours), path in zip(said, paths):
        theirs = rust_says(path.read_bytes())
        if theirs.split(":")[0] == ours:
            both[ours] += 1
            continue
        differ += 1
        print(f"{path}: {ours} by us, {theirs} by Rust's")
    print(f"{both['accepted']} accepted and {both['refused']} refused by both, {differ} differ")
    return 1 if differ else 0


if __name__ == "__main__":
    sys.exit(main())

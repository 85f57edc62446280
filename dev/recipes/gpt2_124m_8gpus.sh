#!/bin/sh
# The same on eight GPUs: GPT-2 124M on 10 billion tokens of FineWeb.   dev/recipes/gpt2_124m_8gpus.sh
# hardware: eight H100 with 80 GB in one machine, Open MPI and NCCL
# time:     about 40 minutes, if eight are 7 times as fast as one
# figure:   val loss < 3.29, HellaSwag acc_tokens > 30.5
# source:   llm.c's discussion 481 and its scripts/run_gpt2_124M.sh, whose settings these are
# status:   not yet run
set -eu
RANKS=8 exec "$(dirname "$0")/gpt2_124m.sh" "$@"

"""Opens in transformers what we save, and compares its logits with ours.

    check_export.py [./test_gpt_simt]     from the repository's root

Every model of models.py, read by us and written again, and every toy model that transformers has, in float32 and bfloat16.
Weights that came from transformers must come back to it with the same bits."""
import subprocess
import sys
import tempfile
import warnings
from pathlib import Path

import torch
import transformers
from safetensors.torch import load_file

warnings.filterwarnings("ignore")
transformers.logging.set_verbosity_error()
transformers.utils.logging.disable_progress_bar()
torch.set_num_threads(1)
program = sys.argv[1] if len(sys.argv) > 1 else "./test_gpt_simt"


def weights_of(directory):
    """What save_pretrained of the original wrote, by the names the model has."""
    files = [f for f in Path(directory).glob("model*.safetensors")]
    return {name: w for f in files for name, w in load_file(f).items()}


def load(directory):
    """The model, and what transformers said about tensors that were missing, too many or of other shapes."""
    model, report = transformers.AutoModelForCausalLM.from_pretrained(directory, output_loading_info=True, torch_dtype="auto")
    said = {key: value for key, value in report.items() if value}
    return model.eval(), said


failed = 0
with tempfile.TemporaryDirectory() as folder:
    subprocess.run([program, "--export", folder], check=True, stdout=subprocess.DEVNULL)
    for directory in sorted(Path(folder).iterdir()):
        model, said = load(directory)
        answer = load_file(directory / "ours.safetensors")
        with torch.no_grad():
            theirs = model.float()(answer["tokens"].long()[None]).logits[0]
        error = ((theirs - answer["logits"]).norm() / answer["logits"].norm()).item()
        original = Path("dev/oracle/models") / directory.name
        problems = [f"loading said {said}"] if said else []
        if error > 1e-5:
            problems.append("logits differ")
        if (original / "config.json").exists():
            before, after = weights_of(original), weights_of(directory)
            for name, w in before.items():
                name = name if name in after else "transformer." + name
                if name.endswith(".attn.bias"):      # a mask
                    continue
                if name not in after or not torch.equal(w.float(), after[name]):
                    problems.append(f"{name} is not what it was")
        failed += bool(problems)
        print(f"{directory.name:32} {type(model).__name__:20} relative error of the logits {error:.1e}  {'; '.join(problems) or 'ok'}")
print(f"transformers {transformers.__version__}, torch {torch.__version__}: " + (f"{failed} failed" if failed else "all ok"))
sys.exit(failed != 0)

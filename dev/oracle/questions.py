"""What lm-evaluation-harness makes of multiple-choice questions: HellaSwag, ARC, PIQA and WinoGrande.

    questions.py questions.json ./train_gpt     goldens: a few items of each, of the shapes the public files have
    questions.py --compare ./train_gpt          200 items of each and a small model, trained here: our answers beside the
                                                harness's, item by item

The items are made here, sentence by sentence, in the fields of the public datasets. The harness runs its own task files; only
where they get their data is another."""
import json
import random
import re
import shutil
import subprocess
import sys
import tempfile
from importlib.metadata import version
from pathlib import Path

import lm_eval
from lm_eval.tasks import TaskManager

draw = random.Random(20)
work = Path(tempfile.mkdtemp())
people = "Ana Ben Chen Dora Emil Fatou Goran Hana Ivo Jana".split()
things = "bucket ladder kettle basket hammer blanket candle mirror violin saddle".split()
places = "garden kitchen harbour attic workshop meadow station library".split()
acts = ["sweeps the floor", "paints the old fence", "folds a paper boat", "tunes the strings", "waters the seedlings",
        "sharpens a knife", "bakes two loaves", "repairs the clock"]
ways = ["slowly and with care", "while it rains outside", "before anyone wakes up", "with both hands", "in the caf\u00e9's yard",
        "as if nothing had happened"]


def pick(list):
    return draw.choice(list)


def sentence():
    return f"{pick(people)} {pick(acts)} in the {pick(places)} {pick(ways)}"


def hellaswag(i):
    wiki = i % 2
    a = f"[header] How to carry a {pick(things)} [title] Find a {pick(places)}. [step] {sentence()}." if wiki else sentence() + "."
    b = "" if wiki else pick(["she", "the MAN with the hat", "then he", "\u00e9mile and Ana", "they  all"])
    ends = [pick(["", "[substeps] ", "[title] "]) + pick(acts) + pick([" [title] ", ", ", "  "]) + sentence() + "." for _ in range(4)]
    return dict(ind=i, activity_label=pick(["Carrying things", "Music", "Home and Garden [wiki]"]), ctx_a=a, ctx_b=b,
                ctx=(a + " " + b).strip(), endings=ends, source_id=f"own~{i}", split="val", split_type="indomain",
                label=str(draw.randrange(4)) if wiki else draw.randrange(4))


def arc(i):
    n = pick([3, 4, 4, 4, 5])
    labels = ["1", "2", "3", "4", "5"][:n] if i % 3 == 0 else ["A", "B", "C", "D", "E"][:n]
    return dict(id=f"own_{i}", question=f"Why does {sentence()}?", answerKey=pick(labels),
                choices=dict(text=[pick([f"to fetch a {pick(things)}", f"because {sentence()}", pick(things)]) for _ in labels],
                             label=labels))


def piqa(i):
    return dict(goal=f"How do I move a {pick(things)} to the {pick(places)}?" + pick(["", " "]),
                sol1=f"Lift the {pick(things)} and {pick(acts)}.", sol2=f"{sentence()}, then {pick(acts)} {pick(ways)}.",
                label=draw.randrange(2))


def winogrande(i):
    a, b = draw.sample(people, 2)
    thing = pick(things)
    text = pick([f"{a} gave the {thing} to {b} because _ {pick(acts)} {pick(ways)}.", f"The {thing} was {a}'s, not {b}'s, so _ kept it.",
                 f"{a} {pick(acts)} with {b}'s {thing}, and _'s hands were cold."])
    return dict(qID=f"own-{i}", sentence=text, option1=a, option2=b, answer=pick(["1", "2"]))


datasets = dict(hellaswag=hellaswag, arc_easy=arc, piqa=piqa, winogrande=winogrande)
folders = dict(hellaswag="hellaswag/hellaswag.yaml", arc_easy="arc/arc_easy.yaml", piqa="piqa/piqa.yaml",
               winogrande="winogrande/default.yaml")


def write_tasks(items):
    """The harness's own task files, with our items for data."""
    tasks = Path(lm_eval.__file__).parent / "tasks"
    for name, lines in items.items():
        folder = work / "tasks" / name
        folder.mkdir(parents=True)
        for code in (tasks / folders[name]).parent.glob("*.py"):
            shutil.copy(code, folder)
        (folder / "data.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))
        text = (tasks / folders[name]).read_text()
        text = re.sub(r"(?m)^(training_split|test_split|dataset_name|dataset_path):.*\n", "", text)
        text = re.sub(r"(?m)^task: .*$", f"task: own_{name}", text)
        text = re.sub(r"(?m)^tag:\n( +- .*\n)+", "", text)
        text += f"dataset_path: json\ndataset_kwargs:\n  data_files:\n    validation: {folder / 'data.jsonl'}\n"
        (folder / f"{name}.yaml").write_text(text)
    return TaskManager(include_path=str(work / "tasks"), include_defaults=False)


def ask_harness(items, model):
    result = lm_eval.simple_evaluate(model="hf", model_args=dict(pretrained=str(model), dtype="float32"), device="cpu",
                                     tasks=[f"own_{name}" for name in items], task_manager=write_tasks(items), log_samples=True,
                                     batch_size=4, bootstrap_iters=0, random_seed=0, numpy_random_seed=0, torch_random_seed=0)
    answers = {}
    for name in items:
        samples = sorted(result["samples"][f"own_{name}"], key=lambda s: s["doc_id"])
        answers[name] = (result["results"][f"own_{name}"], samples)
    return answers


def pairs_of(sample):
    """(context, continuation) of every ending, as they were asked."""
    arguments = sample["arguments"]
    rows = arguments.values() if isinstance(arguments, dict) else arguments
    return [list(row.values())[:2] if isinstance(row, dict) else list(row)[:2] for row in rows]


def nats_of(sample):
    return [-float(r[0]) for r in sample["filtered_resps"]]


def train(program):
    text = "".join(sentence() + ". " + f"Question: Why does {sentence()}? Answer: because {sentence()}.\n" for _ in range(400))
    (work / "text.txt").write_text(text)
    for args in (["tokenize", "--train-bpe", 500, "--data", work / "text.txt", "--out", work / "bpe"],
                 ["train", "--data", work / "text.txt", "--tokenizer", work / "bpe", "--out", work / "run", "--steps", 60, "--layers", 2,
                  "--dim", 64, "--heads", 4, "--ffn", 128, "--context", 160, "--batch", 8, "--sample-tokens", 0, "--device", "cpu"]):
        subprocess.run([program, *map(str, args)], check=True, capture_output=True)
    return work / "run/best"


def compare(program):
    items = {name: [make(i) for i in range(200)] for name, make in datasets.items()}
    model = train(program)
    failures = 0
    for name, (result, samples) in ask_harness(items, model).items():
        out = work / f"{name}.answers"
        said = subprocess.run([program, "eval", "--model", model, "--multiple-choice", work / "tasks" / name / "data.jsonl", "--json",
                               "--answers", out, "--device", "cpu"], check=True, capture_output=True, text=True)
        ours, lines = json.loads(said.stdout), [json.loads(line) for line in out.read_text().splitlines()]
        chosen = sum(line["chosen"] == min(range(len(nats)), key=nats.__getitem__)
                     for line, nats in zip(lines, map(nats_of, samples)))
        worst = max(abs(a / b - 1) for line, sample in zip(lines, samples) for a, b in zip(line["nats"], nats_of(sample)))
        same = ours["questions"] == len(samples) == 200 and chosen == 200 and worst < 1e-4
        for metric in ("acc", "acc_norm"):
            theirs = result.get(f"{metric},none", ours[metric])          # WinoGrande has acc only
            same &= abs(ours[metric] - theirs) < 1e-9
        failures += not same
        norm = f"{result['acc_norm,none']:.4f}" if "acc_norm,none" in result else "not counted"
        print(f"{name:12} {len(samples)} items: acc {ours['acc']:.4f} and {result['acc,none']:.4f}, acc_norm "
              f"{ours['acc_norm']:.4f} and {norm}, {chosen} choices equal, losses differ by {worst:.1e} at most"
              f"{'' if same else '  DIFFERS'}", flush=True)
    print(f"lm_eval {version('lm_eval')}, transformers {version('transformers')}: " + (f"{failures} differ" if failures else "all agree"))
    return failures > 0


def goldens(path, program):
    items = {name: [make(i) for i in range(12)] for name, make in datasets.items()}
    out = []
    for name, (_, samples) in ask_harness(items, train(program)).items():
        for item, sample in zip(items[name], samples):
            out.append(dict(dataset=name, line=item, asked=pairs_of(sample), nats=nats_of(sample), acc=sample["acc"],
                            acc_norm=sample.get("acc_norm")))
    Path(path).write_text(json.dumps(dict(made_by=f"lm_eval {version('lm_eval')}", items=out), indent=0) + "\n")
    print(f"lm_eval {version('lm_eval')}: {len(out)} items")


if __name__ == "__main__":
    failed = compare(sys.argv[2]) if sys.argv[1] == "--compare" else goldens(sys.argv[1], sys.argv[2])
    shutil.rmtree(work)
    sys.exit(failed)

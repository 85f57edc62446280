"""Opens reports of several runs in Chromium, on a phone, a tablet and a desktop, light and dark, and looks for faults
of their layout (report_layout.js) and of their script. Takes a picture of each.

    python3 dev/oracle/report_pictures.py ./train_gpt [FOLDER FOR THE PICTURES [RUN...]]

Needs Chromium (Debian: chromium), and says "skipped" where there is none. Before anything else it plants faults, each
of which must be found. Other runs than the script's own can be named."""
import fcntl
import json
import math
import os
import random
import re
import shutil
import subprocess
import sys
import tempfile

import chromium

here = os.path.dirname(os.path.abspath(__file__))
widths, schemes = (390, 820, 1400), ("light", "dark")

hostile = "</script><script>document.title='ALIVE'</script><img src=x onerror=\"document.title='ALIVE'\">"
texts = {
    "letters": "the cat sat on the mat and saw a bird in a tree\n" * 60,
    "wide": "春江潮水连海平，海上明月共潮生。滟滟随波千万里，何处春江无月明！😀👩‍👩‍👧 ｆｕｌｌ ̈́ عربي עברית\n" * 40,
    "long": ("Donaudampfschifffahrtsgesellschaft" * 6 + " short x " + "W" * 150 + "\n") * 40,
    "hostile": (hostile + "\n") * 20,
}
small = ["--layers", "3", "--heads", "4", "--dim", "32", "--ffn", "64", "--context", "64", "--batch", "4",
         "--device", "cpu", "--threads", "1", "--eval-sequences", "8"]

# Styles that break the layout, and a word of the fault that must be found then.
planted = {
    ".xs span { left: 50% !important }": "overlap",
    "figcaption { margin-bottom: -40px }": "overlap",
    ".chip { position: absolute; left: -40px }": "outside the screen",
    ".cards { width: 1500px }": "wide, the screen",
    ".samples pre { overflow: hidden !important; white-space: pre !important }": "is cut off",
    "p { color: #b8bec4 !important }": "contrast",
    ".tokens button { margin-right: -14px !important }": "overlap",
}


class Runs:
    def __init__(self, program, folder):
        self.program, self.folder = os.path.abspath(program), folder
        for name, text in texts.items():
            with open(os.path.join(folder, name + ".txt"), "w") as file:
                file.write(text)

    def call(self, *args):
        subprocess.run([self.program, *args], cwd=self.folder, check=True, stdout=subprocess.DEVNULL)

    def train(self, name, *flags, data=None):
        all_flags = dict(zip(small[::2], small[1::2])) | dict(zip(flags[::2], flags[1::2])) | {"--out": name}
        if data:
            all_flags["--data"] = data + ".txt"
        self.call(*(word for pair in all_flags.items() for word in pair))

    def log(self, name):
        with open(os.path.join(self.folder, name, "log.jsonl")) as file:
            return [json.loads(line) for line in file]

    def write(self, name, lines):
        os.makedirs(os.path.join(self.folder, name), exist_ok=True)
        with open(os.path.join(self.folder, name, "log.jsonl"), "w") as file:
            file.writelines(json.dumps(line) + "\n" for line in lines)

    def page(self, name, *flags):
        self.call("report", name, *flags)
        return os.path.join(self.folder, name, "report.html")


def long_log(beginning):
    """A hundred thousand steps, with spikes and steps without a loss."""
    random.seed(1)
    yield dict(beginning, steps=100000, ideal_loss=1.02)
    for step in range(1, 100001):
        loss = 1.03 + 9.5 * math.exp(-step / 900) + 1.2 * math.exp(-step / 20000) + random.gauss(0, 0.03)
        line = {"step": step, "loss": loss, "lr": 3e-4 * min(1, step / 2000) * (1.05 - step / 1e5),
                "grad_norm": 0.4 + random.expovariate(8), "tokens": step * 524288, "ms": 850 + random.gauss(0, 12),
                "tokens_per_s": 612000 + random.gauss(0, 8000), "mfu": 0.493 + random.gauss(0, 0.005)}
        if step % 23456 == 0:
            line.update(loss=None, grad_norm=None, left_out="not finite")
        if step % 17777 == 0:
            line.update(loss=loss + 3, grad_norm=25, left_out="spike")
        yield line
        if step % 2000 == 0:
            yield {"step": step, "val_loss": loss + 0.02, "ms": 900}
        if step % 2500 == 0:
            yield {"step": step, "sample": f"At step {step} the model wrote this. " * 8}
    yield {"end": "finished", "at_step": 100000}


def make_runs(runs):
    """name -> page"""
    runs.train("stories", "--steps", "240", "--eval-every", "30", "--sample-every", "30", "--lr", "0.004")
    pages = {"stories": runs.page("stories", "--prompt", "Once upon a time there was a little cat")}
    runs.train("one-step", "--steps", "1", data="letters")
    pages["one-step"] = runs.page("one-step")
    runs.train("resumed", "--steps", "20", "--eval-every", "10", data="letters")
    runs.call("--resume", "resumed", "--steps", "40", "--device", "cpu")
    pages["resumed"] = runs.page("resumed")
    runs.train("no-samples", "--steps", "8", "--sample-tokens", "0", "--layers", "12", "--heads", "8", data="letters")
    pages["no-samples"] = runs.page("no-samples", "--prompt", "the cat sat on the mat and saw a bird in")
    name = "long-tokens-and-" + "a-very-long-name" * 6
    runs.train(name, "--steps", "12", "--sample-every", "4", "--sample-tokens", "12", "--tokenizer", "word", data="long")
    pages["long-tokens"] = runs.page(name)
    runs.train("wide", "--steps", "12", "--sample-every", "3", data="wide")
    pages["wide"] = runs.page("wide", "--prompt", texts["wide"][:40])
    runs.train("hostile", "--steps", "4", "--sample-every", "2", data="hostile")
    runs.write("hostile", runs.log("hostile") + [{"step": 4, "sample": hostile}])
    pages["hostile"] = runs.page("hostile", "--prompt", hostile[:30])
    runs.write("long", long_log(runs.log("stories")[0]))
    pages["long"] = runs.page("long")
    broken = [line for line in runs.log("stories") if line.get("step", 0) <= 203 and "end" not in line]
    for line in broken:
        if line.get("step", 0) > 200:
            line.update(loss=None, grad_norm=None, left_out="not finite")
    runs.write("not-finite", broken)
    pages["not-finite"] = runs.page("not-finite")
    runs.write("never-finite", [dict(line, loss=None, grad_norm=None) if "lr" in line else line
                                for line in broken if "val_loss" not in line])
    pages["never-finite"] = runs.page("never-finite")
    runs.write("going", [line for line in runs.log("stories") if line.get("step", 0) < 150 and "end" not in line])
    with open(os.path.join(runs.folder, "going", ".lock"), "w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        pages["going"] = runs.page("going")
    return pages


def try_planted(browser, page, layout):
    missed = []
    for style, word in planted.items():
        browser.open(page, 390, "light")
        browser.evaluate("document.head.appendChild(document.createElement('style')).textContent = " + json.dumps(style))
        if not any(word in fault for fault in browser.evaluate(layout)):
            missed.append(style)
    return missed


def faults_of_script(browser, page):
    """Keys and buttons must do what they say, and the values must be the log's."""
    browser.open(page, 820, "light")
    browser.evaluate("sessionStorage.clear()")  # where a reader was
    browser.open(page, 820, "light")
    faults = browser.complaints()
    if browser.evaluate("document.title.includes('ALIVE')"):
        faults.append("a text of the run has become a script")
    data = browser.evaluate("JSON.parse(document.getElementById('data').textContent)")
    if data["step"]:
        browser.evaluate("document.querySelector('.plot').focus()")
        for key, i in (("Home", 0), ("ArrowRight", min(1, len(data["step"]) - 1)), ("End", -1)):
            browser.key(key)
            shown = browser.evaluate("document.querySelector('[data-value=step]').textContent").replace(",", "")
            if shown != str(data["step"][i]):
                faults.append(f"key {key}: step {shown} instead of {data['step'][i]}")
            loss = browser.evaluate("document.querySelector('[data-value=loss]').textContent").split(",")[0]
            wanted = "not finite" if data["loss"][i] is None else f"{data['loss'][i]:.4f}"
            if loss != wanted:
                faults.append(f"key {key}: loss {loss} instead of {wanted}")
    if "attention" in data:
        chosen = "document.querySelector('#explorer [data-of=%s] output').textContent"
        for what, size in (("layer", data["attention"]["layers"]), ("head", data["attention"]["heads"])):
            browser.evaluate(f"document.querySelector('[data-of={what}] [aria-label^=next]').click()")
            wanted = f"{what} {min(2, size)} of {size}"
            if browser.evaluate(chosen % what) != wanted:
                faults.append(f"the button for the next {what} does not lead to {wanted}")
        # A token's colour is 0.6 times the square root of the probability, and probabilities add up to 1.
        colours = browser.evaluate(
            "[...document.querySelectorAll('.tokens button')].map(x => getComputedStyle(x).backgroundColor)")
        whole = sum((float((re.findall(r"[\d.]+", colour) + [1])[3]) / 0.6) ** 2 for colour in colours)
        if not 0.95 < whole < 1.05:
            faults.append(f"what a token looks at adds up to {whole:.2f}")
    return faults + browser.complaints()


def main():
    if len(sys.argv) < 2:
        sys.exit(__doc__)
    program = chromium.find()
    if not program:
        print("skipped: there is no chromium")
        return
    pictures = sys.argv[2] if len(sys.argv) > 2 else tempfile.mkdtemp(prefix="report_pictures.")
    os.makedirs(pictures, exist_ok=True)
    with open(os.path.join(here, "report_layout.js")) as file:
        layout = file.read()
    folder = tempfile.mkdtemp(prefix="reports.")
    browser = chromium.Browser(program)
    bad = views = 0
    try:
        runs = Runs(sys.argv[1], folder)
        if sys.argv[3:]:
            pages = {os.path.basename(os.path.normpath(run)): runs.page(os.path.abspath(run)) for run in sys.argv[3:]}
        else:
            pages = make_runs(runs)
        for style in try_planted(browser, next(iter(pages.values())), layout):
            bad += 1
            print(f"planted, and not found: {style}")
        for name, page in pages.items():
            for fault in faults_of_script(browser, page):
                bad += 1
                print(f"{name}: {fault}")
            for width in widths:
                for scheme in schemes:
                    views += 1
                    browser.open(page, width, scheme)
                    for fault in browser.evaluate(layout) + browser.complaints():
                        bad += 1
                        print(f"{name}, {width} wide, {scheme}: {fault}")
                    browser.picture(os.path.join(pictures, f"{name}_{width}_{scheme}.png"))
    finally:
        browser.close()
        shutil.rmtree(folder)
    print(f"{len(pages)} reports in {views} views: {bad} faults; {len(planted)} planted ones tried; see {pictures}")
    sys.exit(1 if bad else 0)


if __name__ == "__main__":
    main()

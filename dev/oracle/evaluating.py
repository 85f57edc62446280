"""What transformers says of texts and questions: summed losses of a few of the models in models/, in float64.

    evaluating.py models evaluating.json

A model sees characters: its ids are places in the sorted alphabet. Windows are cut here by their definition, one forward pass
each: a window's inputs begin at a multiple of the stride, and it scores what none before it has scored."""
import json
import random
import sys
from pathlib import Path

import torch
import transformers

alphabet = "".join(sorted("\n !,.?abcdefhilmnorstu_é中文語学\ufffd"))
ids = {letter: i for i, letter in enumerate(alphabet)}
draw = random.Random(7)


def text(length):
    letters = alphabet.replace("\ufffd", "").replace("\n", "")
    return "".join(draw.choice(letters) for _ in range(length))


def losses(model, tokens):
    """Of tokens[1:], in nats."""
    with torch.no_grad():
        logits = model(torch.tensor([tokens[:-1]])).logits[0]
    return (-torch.log_softmax(logits, -1)[range(len(tokens) - 1), tokens[1:]]).tolist()


def score(model, document, context, stride, separator):
    sequence = ([separator] if separator is not None else []) + [ids[c] for c in document]
    nats, scored, begin = 0.0, 1, 0
    while scored < len(sequence):
        end = min(begin + context + 1, len(sequence))
        nats += sum(losses(model, sequence[begin:end])[scored - begin - 1:])
        scored, begin = end, begin + stride
    return nats


def case(name, model, documents, context, stride, separator):
    first = 0 if separator is not None else 1
    return dict(model=name, documents=documents, context=context, stride=stride, separator=separator is not None,
                nats=sum(score(model, texts[d], context, stride, separator) for d in documents),
                tokens=sum(len(texts[d]) - first for d in documents),
                bytes=sum(len(texts[d][first:].encode()) for d in documents))


assert len(alphabet) == 29
texts = [text(157), text(1), text(5), text(12), text(13), text(64), text(3)]
questions = [dict(ctx=text(draw.randint(1, 30)), endings=[text(draw.randint(1, 9)) for _ in range(draw.randint(2, 5))]) for _ in range(12)]
for question in questions:
    question["label"] = draw.randrange(len(question["endings"]))

cases, answers = [], []
for name in ("gpt2", "llama-3.2", "qwen3"):
    model = transformers.AutoModelForCausalLM.from_pretrained(Path(sys.argv[1]) / name, dtype=torch.float64).eval()
    longest = model.config.max_position_embeddings
    for documents in ([0], [1, 2, 3, 4, 5, 6]):
        for context, stride, separator in ((longest, longest, 0), (longest, 5, None), (7, 3, 0), (longest, 1, None)):
            cases.append(case(name, model, documents, context, stride, separator))
    nats = []
    for question in questions:
        context = [ids[c] for c in question["ctx"]]
        for ending in question["endings"]:
            end = [ids[c] for c in " " + ending]
            tokens = (context + end)[-(longest + 1):]
            nats.append(sum(losses(model, tokens)[-len(end):]))
    answers.append(dict(model=name, nats=nats))

Path(sys.argv[2]).write_text(json.dumps(dict(alphabet=alphabet, texts=texts, questions=questions, cases=cases, answers=answers),
                                        ensure_ascii=True, separators=(",", ":")) + "\n")
print(f"transformers {transformers.__version__}, torch {torch.__version__}: {len(cases)} cases")

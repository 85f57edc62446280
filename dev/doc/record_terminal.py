"""Records a command in a terminal as an SVG that plays once and then stands still.

    python3 dev/doc/record_terminal.py dev/doc/terminal.svg ./train_gpt

What the command prints is played `faster` times as fast. Of lines that overwrite themselves (progress) a few are kept."""
import html
import os
import pty
import re
import sys
import time

faster, frames, width, columns = 10, 60, 920, 110
line_height, character, top, left = 17, 7.8, 52, 20


def record(command):
    """What the command writes: [(seconds since the start, text)]."""
    start, pieces = time.time(), []
    child, terminal = pty.fork()
    if child == 0:
        os.execvp(command[0], command)
    while True:
        try:
            data = os.read(terminal, 1 << 16)
        except OSError:
            break
        if not data:
            break
        pieces.append((time.time() - start, data.decode(errors="replace")))
    os.waitpid(child, 0)
    return pieces


def lines_and_progress(pieces):
    """Lines that stay, [(seconds, row, text)], and progress, [(seconds, row, text)], each gone when the next comes."""
    lines, progress, row, line = [], [], 0, ""
    for seconds, text in pieces:
        text = re.sub(r"\x1b\[[0-9;]*m", "", text.replace("\r\n", "\n"))
        for part in re.split(r"(\n|\r\x1b\[K|\r)", text):
            if part == "\n":
                lines.append((seconds, row, line))
                row, line = row + 1, ""
            elif part.startswith("\r"):
                line = ""
            else:
                line += part
        if line:
            progress.append((seconds, row, line))
    return lines, progress


def svg(command, pieces):
    lines, progress = lines_and_progress(pieces)
    every = pieces[-1][0] / frames
    kept = []
    for piece in progress:
        if not kept or piece[0] - kept[-1][0] >= every:
            kept.append(piece)
    rows = lines[-1][1] + 2
    height = top + rows * line_height + 8

    def text(row, content, css, style):
        y = top + row * line_height
        return f'<text x="{left}" y="{y}" class="{css}"{style}>{html.escape(content[:columns + 10])}</text>\n'

    body = text(0, "$ " + " ".join(command), "command", "")
    for seconds, row, line in lines:
        if line:
            css = "line" + (" done" if line.startswith(("done", "validation")) else " mark" if line.startswith("---") else "")
            body += text(row + 1, line, css, f' style="--at:{seconds / faster:.2f}s"')
    ends = sorted([p[0] for p in kept] + [line[0] for line in lines])
    for seconds, row, line in kept:
        until = next((e for e in ends if e > seconds), pieces[-1][0])
        body += text(row + 1, line, "progress", f' style="--at:{seconds / faster:.2f}s;--for:{max(until - seconds, 0.1) / faster:.2f}s"')
    return f"""<svg xmlns="http://www.w3.org/2000/svg" xml:space="preserve" viewBox="0 0 {width} {height}" width="{width}" height="{height}">
<title>{html.escape(" ".join(command))}, recorded in {pieces[-1][0]:.0f} s and played {faster} times as fast</title>
<style>
text {{ font: 13px ui-monospace, SFMono-Regular, Menlo, Consolas, monospace; fill: #24292f; white-space: pre }}
.window {{ fill: #ffffff; stroke: #d0d7de }}
.button {{ fill: #d0d7de }}
.command {{ font-weight: 600 }}
.mark {{ fill: #57606a }}
.done {{ fill: #1a7f37 }}
.progress {{ fill: #0b6b8a }}
@media (prefers-color-scheme: dark) {{
  text {{ fill: #e6edf3 }}
  .window {{ fill: #0d1117; stroke: #30363d }}
  .button {{ fill: #30363d }}
  .mark {{ fill: #9198a1 }}
  .done {{ fill: #3fb950 }}
  .progress {{ fill: #56c2dd }}
}}
.line {{ animation: wait var(--at) step-end backwards }}
.progress {{ visibility: hidden; animation: flash var(--for) step-end var(--at) }}
@keyframes wait {{ 0% {{ visibility: hidden }} 100% {{ visibility: visible }} }}
@keyframes flash {{ 0% {{ visibility: visible }} 100% {{ visibility: hidden }} }}
@media (prefers-reduced-motion: reduce) {{ text {{ animation: none !important }} }}
</style>
<rect class="window" x="0.5" y="0.5" width="{width - 1}" height="{height - 1}" rx="8"/>
<circle class="button" cx="24" cy="20" r="5"/><circle class="button" cx="42" cy="20" r="5"/><circle class="button" cx="60" cy="20" r="5"/>
{body}</svg>
"""


if __name__ == "__main__":
    if len(sys.argv) < 3:
        sys.exit(__doc__)
    recorded = record(sys.argv[2:])
    with open(sys.argv[1], "w") as file:
        file.write(svg(sys.argv[2:], recorded))

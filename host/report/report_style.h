// How the page of a report looks: light or dark as the reader's system is, on a phone as on a wide screen.
#pragma once

inline constexpr const char* report_style = R"(<style>
:root { color-scheme: light dark; --paper: #ffffff; --ink: #1f2328; --soft: #57606a; --line: #d8dee4; --card: #f6f8fa;
  --accent: #1f6feb; --second: #b3541e; --bad: #c62339; --good: #1a7f37; --field: 31, 111, 235;
  --m0: #1f6feb; --m1: #2f9e57; --m2: #b3541e; --m3: #8250df; --m4: #12838a; --m5: #8b949e }
@media (prefers-color-scheme: dark) { :root { --paper: #0d1117; --ink: #e6edf3; --soft: #9ea7b1; --line: #30363d;
  --card: #161b22; --accent: #58a6ff; --second: #f0883e; --bad: #ff7b72; --good: #56d364; --field: 56, 139, 253;
  --m0: #58a6ff; --m1: #56d364; --m2: #f0883e; --m3: #bc8cff; --m4: #39c5cf; --m5: #8b949e } }
* { box-sizing: border-box }
html { -webkit-text-size-adjust: 100%; text-size-adjust: 100% }
body { margin: 0 auto; padding: 28px 24px 72px; max-width: 1160px; background: var(--paper); color: var(--ink);
  font: 15px/1.5 system-ui, -apple-system, "Segoe UI", sans-serif; overflow-wrap: anywhere }
h1 { font-size: 26px; line-height: 1.25; margin: 0 0 6px } h2 { font-size: 19px; margin: 48px 0 6px }
h3 { font-size: 14px; margin: 22px 0 6px } p { margin: 4px 0 12px; color: var(--soft) }
pre, code, .tokens, .bars b { font-family: ui-monospace, "Cascadia Mono", Menlo, Consolas, monospace; font-size: 13px }
pre, code, .tokens button { unicode-bidi: isolate } code { white-space: pre-wrap }
:focus-visible { outline: 2px solid var(--accent); outline-offset: 3px; border-radius: 4px }
summary { cursor: pointer; color: var(--accent); padding: 4px 0; width: fit-content }
.status { display: flex; flex-wrap: wrap; align-items: center; gap: 4px 12px; margin: 0 }
.chip { color: var(--soft); border: 1px solid; border-radius: 99px; padding: 0 10px; font-size: 13px }
.chip.finished { color: var(--good) } .chip.training { color: var(--accent) } .chip.ended { color: var(--bad) }
progress { display: block; width: 100%; height: 6px; margin: 14px 0 0; accent-color: var(--accent) }
.cards { display: grid; grid-template-columns: repeat(auto-fit, minmax(180px, 1fr)); gap: 10px; margin: 20px 0 0;
  padding: 0 }
.cards div { display: flex; flex-direction: column-reverse; justify-content: flex-end; background: var(--card);
  border: 1px solid var(--line); border-radius: 10px; padding: 10px 14px }
.cards dt { color: var(--soft); font-size: 13px }
.cards dd { margin: 0; font-size: 20px; font-weight: 600; font-variant-numeric: tabular-nums }
.charts { display: grid; grid-template-columns: repeat(2, minmax(0, 1fr)); gap: 28px 32px; margin: 10px 0 22px }
.charts.alone { grid-template-columns: minmax(0, 1fr) }
figure { margin: 0; min-width: 0 } figcaption { font-weight: 600; font-size: 14px }
.plot { position: relative; height: 232px; margin: 14px 18px 30px 54px; cursor: crosshair; touch-action: pan-y }
.plot svg { position: absolute; inset: 0; width: 100%; height: 100%; overflow: visible; clip-path: inset(-5px);
  display: block }
.plot path { fill: none; vector-effect: non-scaling-stroke; stroke: var(--accent); stroke-width: 1.8;
  stroke-linejoin: round }
.plot .grid { stroke: var(--line); stroke-width: 1 } .plot .faint { stroke-width: 1; opacity: 0.38 }
.plot .dashed { stroke: var(--second); stroke-dasharray: 5 3 }
.plot .dots { stroke-linecap: round; stroke-width: 6 } .plot .val { stroke: var(--second) }
.plot .bad { stroke: var(--bad); stroke-width: 8 }
.plot .ideal, .plot .pause { stroke: var(--soft); stroke-width: 1.2; stroke-dasharray: 2 4 }
.plot span { position: absolute; color: var(--soft); font-size: 12px; line-height: 16px; white-space: nowrap }
.ys span { right: calc(100% + 8px); transform: translateY(-50%) } .xs span { top: calc(100% + 8px);
  transform: translateX(-50%) }
.plot .floor { left: 6px; margin-top: 2px }
.cross, .dot { position: absolute; pointer-events: none }
.cross { top: 0; bottom: 0; border-left: 1px solid var(--ink) }
.dot { width: 9px; height: 9px; margin: -4.5px; border-radius: 9px; background: var(--paper);
  border: 2px solid var(--ink) }
.readout { display: flex; flex-wrap: wrap; align-content: flex-start; gap: 0 16px; margin: 0; font-size: 13px;
  min-height: 20px; padding-left: 54px }
.readout:has([data-value=val]) { min-height: 40px } .readout span { white-space: nowrap }
.readout b { color: var(--ink); font-weight: 600; font-variant-numeric: tabular-nums }
.key { display: inline-block; width: 16px; border-top: 2.5px solid var(--accent); vertical-align: 4px;
  margin-right: 5px }
.key.faint { opacity: 0.45 } .key.dashed { border-top: 2.5px dashed var(--second) }
.key.bad { width: 8px; border-top: 8px solid var(--bad); border-radius: 8px; vertical-align: 0 }
.key.pause { border-top: 2.5px dotted var(--soft) }
.samples { display: grid; grid-template-columns: repeat(auto-fill, minmax(300px, 1fr)); gap: 14px; padding: 0;
  margin: 10px 0; list-style: none } .samples li { min-width: 0 }
.samples pre { height: 216px; overflow: auto } .samples h3 { margin: 0 0 6px }
.samples h3 span { font-weight: 400; color: var(--soft) }
pre { white-space: pre-wrap; background: var(--card); border: 1px solid var(--line); border-radius: 10px;
  padding: 12px 14px; margin: 0 }
.stack { display: flex; height: 26px; border-radius: 8px; overflow: hidden; gap: 2px; margin: 14px 0 }
.stack i { min-width: 2px }
.patch { display: inline-block; width: 11px; height: 11px; border-radius: 3px; margin-right: 8px }
.m0 { background: var(--m0) } .m1 { background: var(--m1) } .m2 { background: var(--m2) } .m3 { background: var(--m3) }
.m4 { background: var(--m4) } .m5 { background: var(--m5) }
table { border-collapse: collapse; font-size: 13px; width: 100% }
th { text-align: left; color: var(--soft); font-weight: 600 }
td, th { padding: 4px 14px 4px 0; border-bottom: 1px solid var(--line); vertical-align: top }
td:first-child { color: var(--soft) }
td.number { text-align: right; padding-right: 0; font-variant-numeric: tabular-nums }
.tables { display: grid; grid-template-columns: repeat(2, minmax(0, 1fr)); gap: 20px 40px; align-items: start }
.steppers { display: flex; flex-wrap: wrap; gap: 10px 14px; margin: 14px 0 }
.stepper { display: flex; align-items: center; gap: 4px } .stepper output { min-width: 124px; text-align: center;
  white-space: nowrap }
button { font: inherit; color: var(--ink); background: var(--card); border: 1px solid var(--line); border-radius: 8px;
  cursor: pointer; padding: 0 } .stepper button { width: 36px; height: 36px; font-size: 18px; line-height: 1 }
.explore { display: grid; grid-template-columns: minmax(0, 330px) minmax(0, 1fr); gap: 18px 32px; align-items: start }
.map { position: relative; aspect-ratio: 1; border: 1px solid var(--line); border-radius: 4px; max-width: 420px;
  cursor: crosshair; overflow: hidden }
.map img { width: 100%; height: 100%; display: block; image-rendering: pixelated }
.map i { position: absolute; left: 0; right: 0; border: 1px solid var(--ink); pointer-events: none }
.tokens { line-height: 2; margin: 0 0 12px; padding: 0 }
.tokens button { font: inherit; line-height: 1.5; border: 1px solid var(--line); margin: 0 3px 0 0;
  padding: 0 4px; min-width: 22px; max-width: 100%; background: none;
  white-space: pre-wrap; overflow-wrap: anywhere; text-align: left; vertical-align: baseline }
.tokens [aria-pressed=true] { border-color: var(--ink); box-shadow: 0 0 0 1px var(--ink) }
.tokens .later { opacity: 0.72; border-style: dashed }
.lists { display: grid; grid-template-columns: repeat(2, minmax(0, 1fr)); gap: 18px 28px } .lists h3 { margin: 0 0 4px }
.bars { list-style: none; margin: 0; padding: 0; font-size: 13px; min-height: 140px }
.bars li { display: grid; grid-template-columns: minmax(0, 1fr) 52px; gap: 0 8px; padding: 3px 0 }
.bars b { font-weight: 400; border-radius: 3px; padding: 0 5px; overflow: hidden; text-overflow: ellipsis;
  white-space: pre; background: linear-gradient(90deg, rgba(var(--field), 0.28) var(--p), transparent 0) }
.bars span { text-align: right; font-variant-numeric: tabular-nums } .bars .came b { outline: 1px solid var(--accent) }
.heads { display: grid; grid-template-columns: repeat(auto-fill, minmax(84px, 1fr)); gap: 10px; margin: 6px 0 12px;
  max-width: 760px } .thumb { width: 100%; padding: 4px 4px 2px; font-size: 12px; color: var(--soft) }
.thumb img { width: 100%; display: block; image-rendering: pixelated; aspect-ratio: 1 }
.thumb[aria-pressed=true] { border-color: var(--accent); box-shadow: 0 0 0 1px var(--accent); color: var(--ink) }
.next { display: grid; grid-template-columns: repeat(auto-fill, minmax(300px, 1fr)); gap: 14px 28px; padding: 0;
  list-style: none } .next > li { border-top: 1px solid var(--line); padding-top: 6px; min-width: 0 }
.next .bars { min-height: 0 } .next p { margin: 0 } .next p code { color: var(--ink) }
.stale { color: var(--bad) } [hidden] { display: none !important }
@media (max-width: 760px) { body { padding: 18px 16px 56px } h2 { margin-top: 38px }
  .charts, .tables, .explore, .lists { grid-template-columns: minmax(0, 1fr) }
  .plot { height: 210px; margin-left: 48px }
  .readout { padding-left: 0 } .stepper output { min-width: 92px }
  .cards { grid-template-columns: repeat(2, minmax(0, 1fr)) }
  .samples { display: flex; overflow-x: auto; scroll-snap-type: x mandatory; padding-bottom: 10px }
  .samples li { flex: 0 0 84%; scroll-snap-align: start } }
</style>
)";

// How the page of a report looks: light or dark as the reader's system is.
#pragma once

inline constexpr const char* report_style = R"(<style>
:root { color-scheme: light dark; --paper: #ffffff; --ink: #24292f; --soft: #57606a; --line: #d8dee4; --card: #f6f8fa;
  --accent: #2f7ed8 }
@media (prefers-color-scheme: dark) { :root { --paper: #0d1117; --ink: #e6edf3; --soft: #9198a1; --line: #30363d;
  --card: #161b22 } }
* { box-sizing: border-box }
body { margin: 0 auto; padding: 24px 20px 80px; max-width: 1000px; background: var(--paper); color: var(--ink);
  font: 15px/1.5 system-ui, sans-serif }
h1 { font-size: 26px; margin: 8px 0 0; overflow-wrap: anywhere } h2 { font-size: 19px; margin: 44px 0 8px }
h3 { font-size: 13px; color: var(--soft); margin: 0 }
p { color: var(--soft); margin: 4px 0 14px }
svg { max-width: 100%; height: auto; display: block }
.cards { display: grid; grid-template-columns: repeat(auto-fit, minmax(150px, 1fr)); gap: 12px; margin: 20px 0 }
.cards div { background: var(--card); border: 1px solid var(--line); border-radius: 8px; padding: 10px 14px;
  color: var(--soft); font-size: 13px }
.cards b { display: block; color: var(--ink); font-size: 20px; font-weight: 600 }
.tables { display: flex; flex-wrap: wrap; gap: 28px; align-items: flex-start } .wide { overflow-x: auto }
table { border-collapse: collapse; font-size: 13px } th { text-align: left; color: var(--soft); font-weight: 600 }
td, th { padding: 3px 14px 3px 0; border-bottom: 1px solid var(--line); vertical-align: top }
td.number { text-align: right; padding-right: 0 }
td:first-child { color: var(--soft) } td, pre { overflow-wrap: anywhere }
pre, code { font-family: ui-monospace, monospace; font-size: 13px } code { white-space: pre }
pre { white-space: pre-wrap; background: var(--card); border: 1px solid var(--line); border-radius: 8px;
  padding: 12px 14px; margin: 8px 0 }
summary { cursor: pointer; color: var(--soft) }
.speed .curve { fill: none; stroke: var(--accent); stroke-width: 1.6 } .speed .grid { stroke: var(--line) }
.speed text { fill: var(--soft); font-size: 12px }
.heads { display: flex; flex-wrap: wrap; gap: 10px; margin: 4px 0 16px } figure { margin: 0 }
.map div { display: flex; border: 1px solid var(--line) }
.map img { width: 104px; height: 104px; image-rendering: pixelated; display: block }
.map ol, .map .close { display: none } figcaption { font-size: 12px; color: var(--soft) }
.map:target { flex-basis: 100% } .map:target div { width: max-content }
.map:target .close { display: inline; color: var(--accent) }
.map:target ol { display: block; margin: 0; padding: 0 8px; list-style: none; font: 11px ui-monospace, monospace;
  text-align: right; white-space: pre }
.next td { white-space: nowrap } .next td:first-child code { color: var(--ink) }
.bars span { display: inline-block; min-width: 92px; margin-right: 8px; padding: 0 5px; border-radius: 3px;
  color: var(--soft);
  background: linear-gradient(90deg, color-mix(in srgb, var(--accent) 35%, transparent) calc(var(--p) * 100%),
    transparent 0) }
.bars .came { outline: 1px solid var(--accent) } .bars code { color: var(--ink) }
</style>
)";

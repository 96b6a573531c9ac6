"""The page's look: one column of text, tables with thin rules, light and dark, and on paper.

Kept as Python and not as a file of its own, so that it is there in whatever way the package was installed.
"""

STYLESHEET = """
:root {
  color-scheme: light dark;
  --sans: system-ui, -apple-system, "Segoe UI", Roboto, "Helvetica Neue", "Liberation Sans", Arial, sans-serif;
  --mono: ui-monospace, "SF Mono", Menlo, Consolas, "Liberation Mono", monospace;
  --paper: #ffffff; --sheet: #f7f8fa; --ink: #1c2127; --muted: #5f6975; --rule: #dfe3e8;
  --good: #00734f; --bad: #b3401e; --accent: #0072b2;
  --g0: #0072b2; --g1: #d55e00; --g2: #009e73; --g3: #cc79a7;
  --g4: #e69f00; --g5: #56b4e9; --g6: #7a5195; --g7: #5b6570;
}
@media screen and (prefers-color-scheme: dark) {
  :root {
    --paper: #14171b; --sheet: #1c2026; --ink: #e8ebef; --muted: #9aa5b1; --rule: #323943;
    --good: #4fc79a; --bad: #ff9066; --accent: #4aa8e0;
    --g0: #4aa8e0; --g1: #ff8b4a; --g2: #33c49a; --g3: #e5a3c8;
    --g4: #f4bb45; --g5: #93d3f7; --g6: #b48fd0; --g7: #98a4b0;
  }
}
* { box-sizing: border-box; }
html { -webkit-text-size-adjust: 100%; }
body { margin: 0; background: var(--paper); color: var(--ink); font: 15px/1.55 var(--sans); }
main, header, footer { max-width: 1128px; margin: 0 auto; padding: 0 24px; }
header { padding-top: 44px; }
h1 { margin: 0 0 14px; font-size: 15px; font-weight: 600; color: var(--muted); letter-spacing: .01em;
     overflow-wrap: anywhere; }
.headline { margin: 0 0 10px; font-size: 25px; line-height: 1.32; font-weight: 600; letter-spacing: -.012em;
            max-width: 36em; text-wrap: pretty; overflow-wrap: anywhere; }
.proof { margin: 0 0 10px; font-size: 16px; font-variant-numeric: tabular-nums; overflow-wrap: anywhere; }
.facts { margin: 0; color: var(--muted); }
.facts b { color: var(--ink); font-weight: 600; }
nav { display: flex; flex-wrap: wrap; gap: 4px 20px; margin: 22px 0 0; padding: 10px 0;
      border-top: 1px solid var(--rule); border-bottom: 1px solid var(--rule); }
nav a { color: var(--muted); text-decoration: none; }
nav a:hover, nav a:focus-visible { color: var(--ink); text-decoration: underline; text-underline-offset: 3px; }
section { margin: 40px 0 0; scroll-margin-top: 12px; }
h2 { margin: 0 0 12px; font-size: 19px; font-weight: 600; letter-spacing: -.008em; }
h3 { margin: 26px 0 6px; font-size: 15px; font-weight: 600; }
p { margin: 0 0 12px; }
.note, figcaption { color: var(--muted); font-size: 13px; line-height: 1.5; max-width: 96ch; }
.wide { overflow-x: auto; margin: 0 0 10px; }
table { border-collapse: collapse; width: 100%; font-variant-numeric: tabular-nums; font-size: 14px; }
th { text-align: left; font-weight: 600; color: var(--muted); font-size: 12.5px; line-height: 1.35;
     vertical-align: bottom; padding: 6px 14px 6px 0; border-bottom: 1px solid var(--ink); }
td { padding: 7px 14px 7px 0; border-bottom: 1px solid var(--rule); vertical-align: baseline; }
th:last-child, td:last-child { padding-right: 0; }
.number { text-align: right; white-space: nowrap; }
.narrow { width: auto; min-width: 40%; }
.narrow th, .narrow td { padding-right: 36px; }
th:first-child, td:first-child { position: sticky; left: 0; background: var(--paper); }
.group { display: inline-flex; align-items: baseline; gap: 8px; overflow-wrap: break-word; max-width: 100%; }
.group > span { min-width: 0; max-width: 40em; }
.mark { flex: none; width: 11px; height: 11px; transform: translateY(1px); }
.good { color: var(--good); font-weight: 600; } .bad { color: var(--bad); font-weight: 600; }
code.bad { font-weight: 400; }
.quiet { color: var(--muted); }
.caveats { margin: 16px 0 24px; padding: 12px 16px 12px 32px; background: var(--sheet);
           border-left: 3px solid var(--g4); font-size: 14px; }
.caveats li { margin: 2px 0; overflow-wrap: anywhere; }
.legend { position: sticky; top: 0; z-index: 2; display: flex; flex-wrap: wrap; gap: 4px 20px; margin: 0 0 14px;
          padding: 9px 0; background: var(--paper); border-bottom: 1px solid var(--rule); font-size: 14px; }
.pair { display: grid; grid-template-columns: repeat(auto-fill, minmax(min(100%, 440px), 1fr)); gap: 30px 44px;
        align-items: start; }
figure { margin: 0; min-width: 0; break-inside: avoid; }
figure h3 { margin: 0 0 6px; }
figure svg { display: block; width: 100%; height: auto; }
figure img { display: block; width: 100%; height: auto; image-rendering: pixelated; }
figcaption { margin-top: 6px; }
.scale { display: flex; align-items: center; gap: 10px; margin: 0 0 16px; font-size: 13px; color: var(--muted); }
.ramp { width: 190px; height: 10px; border-radius: 2px; }
details { margin: 10px 0; }
summary { cursor: pointer; color: var(--accent); width: fit-content; }
summary:hover { text-decoration: underline; text-underline-offset: 3px; }
details[open] > summary { margin-bottom: 10px; }
pre, code { font-family: var(--mono); font-size: 12.5px; }
pre { margin: 0 0 10px; padding: 12px 14px; background: var(--sheet); overflow-x: auto; line-height: 1.5;
      border-radius: 4px; }
pre.command { white-space: pre-wrap; overflow-wrap: anywhere; }
.failure { margin: 0 0 14px; padding: 0 0 12px; border-bottom: 1px solid var(--rule); overflow-wrap: anywhere; }
.failure p { margin: 0 0 4px; }
footer { margin-top: 48px; padding-top: 14px; padding-bottom: 40px; color: var(--muted); font-size: 13px; }
@media (max-width: 560px) {
  main, header, footer { padding-left: 16px; padding-right: 16px; }
  header { padding-top: 26px; }
  .headline { font-size: 20px; }
  .proof { font-size: 15px; }
  td:first-child { max-width: 44vw; overflow-wrap: anywhere; }
}
@media print {
  body { font-size: 10.5pt; }
  main, header, footer { max-width: none; padding: 0; }
  nav { display: none; }
  .legend { position: static; }
  .wide { overflow: visible; }
  .pair { grid-template-columns: 1fr 1fr; gap: 16px 24px; }
  table { font-size: 7.5pt; }
  th { font-size: 7pt; white-space: normal; }
  th, td { padding-right: 8px; }
  th:first-child, td:first-child { position: static; }
  tr, figure, .failure { break-inside: avoid; }
  h2, h3 { break-after: avoid; }
  * { print-color-adjust: exact; -webkit-print-color-adjust: exact; }
}
"""

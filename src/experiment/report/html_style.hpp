#pragma once

namespace kvtransfer::detail {

/// The report page's style sheet. Colours after Okabe and Ito, told apart by colour-blind readers; light and dark;
/// printable.
inline constexpr const char* html_style = R"css(
:root { color-scheme: light dark;
  --page: #ffffff; --ink: #1c2430; --soft: #5d6875; --line: #d9dee5; --panel: #f5f7fa;
  --good: #00795a; --good-fill: #d8f0e7; --bad: #b84a00; --bad-fill: #fbe6d8; --accent: #0067a5;
  --bos: #7a5195; --source: #0072b2; --target: #e69f00; --generated: #56b4e9; --eos: #d55e00; --noise: #8a929c; --format: #b9c1cb; }
@media (prefers-color-scheme: dark) { :root {
  --page: #14181e; --ink: #e4e8ee; --soft: #9aa5b2; --line: #323a45; --panel: #1c222a;
  --good: #53c9a3; --good-fill: #123d31; --bad: #f09a5c; --bad-fill: #472a17; --accent: #66b3e6;
  --bos: #b08ac9; --source: #4aa3d8; --target: #e6b045; --generated: #8fcdf0; --eos: #e8834a; --noise: #7b848f; --format: #a3acb8; } }
* { box-sizing: border-box; }
body { margin: 0; background: var(--page); color: var(--ink); font: 15px/1.5 system-ui, "Segoe UI", "DejaVu Sans", sans-serif; }
main { max-width: 1240px; margin: 0 auto; padding: 32px 24px 64px; }
h1 { font-size: 28px; line-height: 1.2; margin: 0 0 6px; }
h2 { font-size: 20px; margin: 44px 0 8px; padding-top: 14px; border-top: 1px solid var(--line); }
h3 { font-size: 16px; margin: 24px 0 6px; }
p { margin: 6px 0 10px; max-width: 82ch; }
code, .id { font-family: ui-monospace, "DejaVu Sans Mono", Consolas, monospace; font-size: 0.92em; }
.soft { color: var(--soft); }
.small { font-size: 13px; }
.verdicts { display: grid; grid-template-columns: repeat(auto-fit, minmax(240px, 1fr)); gap: 12px; margin: 20px 0 8px; }
.verdict { background: var(--panel); border-left: 4px solid var(--line); border-radius: 4px; padding: 12px 14px; }
.verdict.good { border-color: var(--good); }
.verdict.bad { border-color: var(--bad); }
.verdict.info { border-color: var(--accent); }
.verdict b { display: block; font-size: 24px; line-height: 1.2; font-variant-numeric: tabular-nums; }
.scroll { overflow-x: auto; }
.maps { display: flex; flex-wrap: wrap; gap: 4px 36px; } .maps > div { min-width: 0; max-width: 100%; }
table { border-collapse: collapse; width: 100%; margin: 10px 0 14px; font-size: 14px; }
th, td { text-align: left; vertical-align: top; padding: 7px 9px; border-bottom: 1px solid var(--line); }
thead th { font-weight: 600; border-bottom: 2px solid var(--line); }
th.group { border-bottom: 1px solid var(--line); color: var(--soft); font-weight: 500; }
.divide { border-left: 2px solid var(--line); }
tbody th { font-weight: 600; overflow-wrap: break-word; min-width: 9.5em; }
.wrap td, .wrap th { overflow-wrap: anywhere; }
.wrap thead th { overflow-wrap: normal; }
.chip { display: inline-block; margin: 1px 3px 1px 0; padding: 0 7px; border-radius: 9px; font-size: 12.5px; white-space: nowrap;
  border: 1px solid var(--line); color: var(--soft); }
.chip.found { background: var(--good-fill); border-color: var(--good); color: var(--good); font-weight: 600; }
.chip.part { border-color: var(--good); color: var(--good); border-style: dashed; }
.chip.error { background: var(--bad-fill); border-color: var(--bad); color: var(--bad); font-weight: 600; }
.same { color: var(--good); font-weight: 600; }
.differs { color: var(--bad); font-weight: 600; }
mark { background: var(--good-fill); color: var(--good); font-weight: 600; padding: 0 2px; border-radius: 3px; }
.generated { font-family: ui-monospace, "DejaVu Sans Mono", Consolas, monospace; font-size: 13px; white-space: pre-wrap;
  overflow-wrap: anywhere; }
details { margin: 10px 0; border: 1px solid var(--line); border-radius: 6px; padding: 0 14px; }
summary { cursor: pointer; padding: 10px 0; font-weight: 600; }
svg { display: block; margin: 6px 0 10px; }
svg.range-plot { display: inline-block; margin: 0; vertical-align: middle; }
svg .margin { fill: var(--accent); fill-opacity: 0.16; } svg .heat { fill: var(--accent); }
svg text.on-heat { fill: var(--page); } svg .agreement { fill: var(--good); fill-opacity: 0.55; }
.verdict-chip { display: inline-block; padding: 0 8px; border-radius: 9px; font-weight: 600; border: 1px solid var(--line); }
.verdict-chip.different { color: var(--accent); border-color: var(--accent); }
.verdict-chip.equivalent { color: var(--good); border-color: var(--good); }
.verdict-chip.undecided { color: var(--soft); border-style: dashed; }
tr.asked { background: var(--panel); }
.sources code { overflow-wrap: anywhere; }
a { color: var(--accent); }
svg text { fill: var(--ink); font: 12px system-ui, "DejaVu Sans", sans-serif; }
svg text.soft { fill: var(--soft); }
svg .rule { stroke: var(--line); stroke-width: 1; fill: none; }
.bos { fill: var(--bos); } .source { fill: var(--source); } .target { fill: var(--target); }
.generated-part { fill: var(--generated); } .eos { fill: var(--eos); } .noise { fill: var(--noise); }
.format { fill: var(--format); }
.fed { fill-opacity: 0.28; stroke-width: 1.2; }
.fed.bos { stroke: var(--bos); } .fed.source { stroke: var(--source); } .fed.target { stroke: var(--target); }
.fed.generated-part { stroke: var(--generated); } .fed.eos { stroke: var(--eos); } .fed.noise { stroke: var(--noise); }
.fed.format { stroke: var(--format); }
.equal-bar { fill: var(--good); } .other-bar { fill: var(--bad); }
.range { stroke: var(--accent); stroke-width: 2; } .rate { fill: var(--accent); }
.grid { display: grid; grid-template-columns: repeat(auto-fit, minmax(min(345px, 100%), 1fr)); gap: 4px 28px; }
.grid h3 { margin: 8px 0 0; }
.grid > div { min-width: 0; }
.facts td { overflow-wrap: anywhere; } .facts th { font-weight: 500; width: 9.5em; }
.lead { font-size: 17px; margin: 8px 0; }
@media (max-width: 760px) {
  main { padding: 18px 14px 40px; } h1 { font-size: 23px; } .lead { font-size: 16px; }
  table.cards, table.cards tbody, table.cards tr, table.cards tbody th, table.cards td { display: block; width: 100%; border: none; }
  table.cards thead { display: none; }
  table.cards tr { border: 1px solid var(--line); border-radius: 6px; padding: 6px 10px; margin: 8px 0; }
  table.cards tbody th, table.cards td { padding: 2px 0; }
  table.cards td { display: flex; flex-wrap: wrap; gap: 2px 10px; }
  table.cards td.generated { display: block; }
  table.cards td[data-label]::before { content: attr(data-label); color: var(--soft); flex: 0 0 9.5em; font-size: 13px; }
  table.cards td[data-label=""]::before { display: none; }
  .facts th { width: 8em; } }
@media print { main { max-width: none; padding: 0; } details { border: none; padding: 0; } h2 { break-after: avoid; } }
)css";

}  // namespace kvtransfer::detail

import type uPlot from "uplot";

import { timeLabels, valueRange, type Columns } from "./chart";
import { quantity } from "./format";
import type { Band, Signal } from "./types";

/** What a signal's chart draws besides its line. */
export interface Marks {
  expected: Band | null;
  observed: number | null;
  /** UTC seconds. */
  raised: number;
  started: number;
  ended: number | null;
  unit: string;
}

export interface PlotColours {
  line: string;
  band: string;
  bandEdge: string;
  span: string;
  grid: string;
  text: string;
  mark: string;
  surface: string;
}

const FONT = "500 13px 'Atkinson Hyperlegible Next', system-ui, sans-serif";
export const PLOT_HEIGHT = 200;
/** Steps of an axis in bytes: powers of two, so that its labels are round. */
const BYTE_STEPS = Array.from({ length: 60 }, (_, power) => 2 ** power);

export function marksOf({ evidence, raised, started, ended }: Signal): Marks {
  return {
    expected: evidence.expected,
    observed: evidence.observed,
    raised: raised / 1_000,
    started: started / 1_000,
    ended: ended === null ? null : ended / 1_000,
    unit: evidence.unit,
  };
}

/** Reads the theme's colours where the chart stands. */
export function coloursAt(element: Element): PlotColours {
  const style = getComputedStyle(element);
  const read = (name: string) => style.getPropertyValue(name).trim();
  return {
    line: read("--chart-line"),
    band: read("--chart-band"),
    bandEdge: read("--chart-band-edge"),
    span: read("--chart-span"),
    grid: read("--chart-grid"),
    text: read("--muted"),
    mark: read("--trouble"),
    surface: read("--surface"),
  };
}

/** The chart of one signal: its line, the stretch the signal held, the expected band and the observed point. */
export function plotOptions(
  width: number,
  columns: Columns,
  marks: Marks,
  colours: PlotColours,
  onCursor: (index: number | null) => void,
): uPlot.Options {
  const axis = { stroke: colours.text, font: FONT, ticks: { show: false } };
  return {
    width,
    height: PLOT_HEIGHT,
    padding: [10, 14, 0, 4],
    legend: { show: false },
    cursor: { y: false, points: { size: 8 }, drag: { x: false, y: false, setScale: false } },
    scales: {
      x: { range: () => timeRange(columns[0], marks) },
      y: { range: () => valueRange(columns[1], marks.expected, marks.observed, marks.unit) },
    },
    axes: [
      {
        ...axis,
        grid: { show: false },
        size: 30,
        space: 70,
        values: (_plot, splits, _axis, _space, increment) => timeLabels(splits, increment),
      },
      {
        ...axis,
        grid: { stroke: colours.grid, width: 1 },
        space: 42,
        ...(marks.unit.startsWith("byte") ? { incrs: BYTE_STEPS } : {}),
        size: (_plot, labels) => 16 + 7.6 * Math.max(4, ...(labels ?? []).map((label) => label.length)),
        values: (_plot, splits) => splits.map((value) => quantity(value, marks.unit)),
      },
    ],
    series: [{}, { stroke: colours.line, width: 2, points: { show: columns[0].length < 24, size: 5 }, spanGaps: false }],
    hooks: {
      drawClear: [(plot) => drawBehind(plot, marks, colours)],
      draw: [(plot) => drawObserved(plot, marks, colours)],
      setCursor: [(plot) => onCursor(plot.cursor.idx ?? null)],
    },
  };
}

/** The time axis holds every value and the signal itself, even where the values kept end before it. */
function timeRange(times: number[], { started, raised, ended }: Marks): [number, number] {
  const first = Math.min(times[0] ?? started, started);
  const last = Math.max(times.at(-1) ?? raised, raised, ended ?? raised);
  return [first, last > first ? last : first + 60];
}

function drawBehind(plot: uPlot, marks: Marks, colours: PlotColours): void {
  const { ctx } = plot;
  const { left, top, width, height } = plot.bbox;
  ctx.save();
  ctx.beginPath();
  ctx.rect(left, top, width, height);
  ctx.clip();
  const from = plot.valToPos(marks.started, "x", true);
  const to = marks.ended === null ? left + width : plot.valToPos(marks.ended, "x", true);
  ctx.fillStyle = colours.span;
  ctx.fillRect(from, top, Math.max(2, to - from), height);
  if (marks.expected !== null) {
    const high = plot.valToPos(marks.expected.high, "y", true);
    const low = plot.valToPos(marks.expected.low, "y", true);
    ctx.fillStyle = colours.band;
    ctx.fillRect(left, high, width, Math.max(2, low - high));
    ctx.strokeStyle = colours.bandEdge;
    ctx.setLineDash([6 * devicePixelRatio, 5 * devicePixelRatio]);
    ctx.lineWidth = devicePixelRatio;
    for (const edge of [high, low]) {
      ctx.beginPath();
      ctx.moveTo(left, edge);
      ctx.lineTo(left + width, edge);
      ctx.stroke();
    }
  }
  ctx.restore();
}

function drawObserved(plot: uPlot, marks: Marks, colours: PlotColours): void {
  if (marks.observed === null) return;
  const { ctx } = plot;
  const { left, width, top, height } = plot.bbox;
  const x = plot.valToPos(marks.raised, "x", true);
  const y = plot.valToPos(marks.observed, "y", true);
  if (x < left || x > left + width) return;
  ctx.save();
  ctx.strokeStyle = colours.mark;
  ctx.lineWidth = devicePixelRatio;
  ctx.setLineDash([2 * devicePixelRatio, 3 * devicePixelRatio]);
  ctx.beginPath();
  ctx.moveTo(x, top);
  ctx.lineTo(x, top + height);
  ctx.stroke();
  ctx.setLineDash([]);
  ctx.lineWidth = 2.5 * devicePixelRatio;
  ctx.fillStyle = colours.surface;
  ctx.beginPath();
  ctx.arc(x, y, 5.5 * devicePixelRatio, 0, 2 * Math.PI);
  ctx.fill();
  ctx.stroke();
  ctx.restore();
}

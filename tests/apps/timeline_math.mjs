// Runs the arithmetic of the timeline and prints what it gives, for test_timeline.py.
import { createRequire } from "node:module";

const [, , path] = process.argv;
const math = createRequire(import.meta.url)(path);
const view = { pps: 100, scroll: 40, width: 400 };
const box = { top: 76, height: 70, above: 24, below: 8 };
const gap = { low: 0, high: 20, digits: 1, unit: "mm", keys: [[10, 12], [30, 4]] };
const yaw = { low: -10, high: 10, digits: 1, unit: "°", keys: [[10, -5]] };
const boxes = [box, { ...box, top: 146 }];
const everyFrame = [...Array(250).keys()];

console.log(JSON.stringify({
  frames: everyFrame.every(k => math.frameOfX(math.xOfFrame(k, view), view, 250) === k),
  snapped: [-500, 39.9, 40, 43.9, 44.1, 1e6].map(x => math.frameOfX(x - 40, view, 250)),
  borders: [0, 1.9, 2.1, 1e6].map(x => math.borderOfX(x - 40, view, 250)),
  video: everyFrame.every(k => math.frameOfVideo(math.videoOfFrame(k), 250) === k && math.frameOfVideo(k / 25, 250) === k),
  typed: [0.04, 0.05, 0.99, -3, 99].map(math.frameOfTime),
  values: [0, 7.3, 20].map(value => math.valueOfY(math.yOfValue(value, gap, box), gap, box)),
  outside: [math.valueOfY(-50, gap, box), math.valueOfY(500, gap, box)],
  up: math.yOfValue(20, gap, box) < math.yOfValue(0, gap, box),
  hits: [[2, 12, 0], [9, 12, 0], [2, -5, 1], [30, 12, 0]].map(([aside, value, lane]) => math.keyAt(
    math.xOfFrame(10, view) + aside, math.yOfValue(value, [gap, yaw][lane], boxes[lane]), [gap, yaw], boxes, view, 8)),
  lanes: [75, 76, 145, 146, 216].map(y => math.laneAt(y, boxes)),
  bent: math.bent(Array(41).fill(1), 20, 3, 8),
  zoomed: math.zoomed(view, 2, 100, 10),
  fits: math.zoomed(view, 1e-6, 0, 10),
  closest: math.zoomed(view, 1e9, 0, 10).pps,
  locked: [4, 5, 7, 8].map(frame => math.isLocked(frame, [[5, 8]])),
  ordered: math.orderedKeys([gap, yaw]),
  neighbours: [math.neighbour(gap, 10, 1), math.neighbour(gap, 30, 1), math.neighbour(gap, 29, -1), math.neighbour(gap, 99, -1)],
  amounts: [math.amount(-0.01, gap), math.amount(4.26, yaw), math.amount(0.5, { digits: 2, unit: "" })],
  scales: [-0.5, 0.5, -10.5, 20, 0.30000000000000004, -0.001].map(math.scale),
  inserts: [4, 5, 6, 8].map(frame => math.insertRefused(frame, [[5, 8]])),
  ticks: [20, 100, 900].map(pps => math.tickStep(pps, 64)),
}));

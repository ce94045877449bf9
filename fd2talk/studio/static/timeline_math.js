// Arithmetic of the timeline without DOM: times and pixels, values and heights, hit testing.
// A view is {pps: pixels a second, scroll: pixels hidden on the left, width: visible pixels}.

const FPS = 25;

const TimelineMath = {
  clamp: (value, least, most) => Math.min(Math.max(value, least), most),

  // Frame k covers [k, k + 1) / 25 s and is drawn in its middle.
  xOfFrame: (frame, view) => ((frame + 0.5) / FPS) * view.pps - view.scroll,
  xOfTime: (time, view) => time * view.pps - view.scroll,
  timeOfX: (x, view) => (x + view.scroll) / view.pps,

  frameOfX(x, view, frames) {
    return TimelineMath.clamp(Math.floor(TimelineMath.timeOfX(x, view) * FPS), 0, Math.max(0, frames - 1));
  },

  // The border between frames that is nearest to a pixel: ranges begin and end at borders.
  borderOfX(x, view, frames) {
    return TimelineMath.clamp(Math.round(TimelineMath.timeOfX(x, view) * FPS), 0, frames);
  },

  // The frame that is nearest to a time that somebody typed, in the motion or not: frame k is at k / 25 s.
  frameOfTime: seconds => Math.round(seconds * FPS),

  // Where a video stands: the frame that is shown at that time.
  frameOfVideo: (seconds, frames) => TimelineMath.clamp(Math.floor(seconds * FPS + 1e-3), 0, Math.max(0, frames - 1)),

  // In the middle of a frame no rounding shows its neighbour.
  videoOfFrame: frame => (frame + 0.5) / FPS,

  yOfValue(value, lane, box) {
    const share = (value - lane.low) / (lane.high - lane.low || 1);
    return box.top + box.above + (1 - share) * (box.height - box.above - box.below);
  },

  valueOfY(y, lane, box) {
    const share = 1 - (y - box.top - box.above) / (box.height - box.above - box.below);
    const value = lane.low + TimelineMath.clamp(share, 0, 1) * (lane.high - lane.low);
    return TimelineMath.rounded(value, lane);
  },

  rounded: (value, lane) => Number(value.toFixed(lane.digits)) + 0, // "+ 0": no minus zero

  // An end of a scale, with as many digits as it has.
  scale: value => String(Number(value.toFixed(2)) + 0),

  // A value with its unit, as people write it.
  amount(value, lane) {
    const number = TimelineMath.rounded(value, lane).toFixed(lane.digits);
    return number + (lane.unit === "°" || !lane.unit ? lane.unit : ` ${lane.unit}`);
  },

  // The key under a pointer: [lane index, frame] of the nearest within `reach` pixels, or null.
  keyAt(x, y, lanes, boxes, view, reach) {
    let best = null;
    let nearest = reach;
    lanes.forEach((lane, index) => {
      for (const [frame, value] of lane.keys) {
        const distance = Math.hypot(
          TimelineMath.xOfFrame(frame, view) - x, TimelineMath.yOfValue(value, lane, boxes[index]) - y);
        if (distance <= nearest) {
          nearest = distance;
          best = [index, frame];
        }
      }
    });
    return best;
  },

  laneAt: (y, boxes) => boxes.findIndex(box => y >= box.top && y < box.top + box.height),

  // What the engine will make of a key, roughly, until it has answered: the difference at the key fades around it.
  bent(values, frame, value, reach) {
    const offset = value - values[frame];
    return values.map((old, k) => {
      const u = Math.abs(k - frame) / reach;
      return u >= 1 ? old : old + offset * (1 - u * u * (3 - 2 * u));
    });
  },

  // Zoom about a pixel that stays where it is: a new view, no wider than everything and no closer than 24 px a frame.
  zoomed(view, factor, x, seconds) {
    const least = view.width / Math.max(seconds, 0.04);
    const pps = TimelineMath.clamp(view.pps * factor, least, Math.max(least, 24 * FPS));
    const time = TimelineMath.timeOfX(x, view);
    const most = Math.max(0, seconds * pps - view.width);
    return { ...view, pps, scroll: TimelineMath.clamp(time * pps - x, 0, most) };
  },

  // Seconds between two marks of the ruler, so that labels are at least `room` pixels apart.
  tickStep(pps, room) {
    const steps = [0.04, 0.2, 0.4, 1, 2, 5, 10, 15, 30, 60];
    return steps.find(step => step * pps >= room) || 60;
  },

  isLocked: (frame, locks) => locks.some(([start, stop]) => frame >= start && frame < stop),

  // Why sound cannot be inserted before a frame, or nothing: between the frames of a lock.
  insertRefused: (frame, locks) => (locks.some(([start, stop]) => frame > start && frame < stop)
    ? `${TimelineMath.seconds(frame)} s is locked: move the playhead before or behind what is locked.` : ""),

  // All keys in order of time, then of lanes: [lane index, frame, value] each.
  orderedKeys(lanes) {
    const keys = lanes.flatMap((lane, index) => lane.keys.map(([frame, value]) => [index, frame, value]));
    return keys.sort((a, b) => a[1] - b[1] || a[0] - b[0]);
  },

  // The next key of a lane after a frame (before it, with direction -1), or null.
  neighbour(lane, frame, direction) {
    const ahead = lane.keys.map(([at]) => at).filter(at => (at - frame) * direction > 0);
    return ahead.length ? ahead.reduce((a, b) => ((a - b) * direction < 0 ? a : b)) : null;
  },

  seconds: frame => (frame / FPS).toFixed(2),
};

if (typeof module !== "undefined") module.exports = TimelineMath;

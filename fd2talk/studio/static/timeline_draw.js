// Draws the timeline: pure functions of the state.

const TimelineDraw = {
  RULER: 24,
  WAVE: 52,

  // Places of all lanes, and the height of the whole, for a width in CSS pixels. Curves lie below their labels.
  layout(lanes, width) {
    const height = width < 520 ? 62 : 70;
    const top = TimelineDraw.RULER + TimelineDraw.WAVE;
    const boxes = lanes.map((_, index) => ({ top: top + index * height, height, above: 24, below: 8 }));
    return { boxes, height: top + lanes.length * height + 1 };
  },

  // Colours of the style sheet, so that light, dark and a page's own theme hold on the canvas, too.
  colours(element) {
    const style = getComputedStyle(element);
    const of = name => style.getPropertyValue(`--tl-${name}`).trim();
    const names = ["ground", "stripe", "line", "ink", "muted", "accent", "lock", "range", "wave", "head", "key"];
    const colours = Object.fromEntries(names.map(name => [name, of(name)]));
    return { ...colours, lane: name => of(`lane-${name}`) || colours.accent };
  },

  // One picture. `shown` is the component's: state, view, selection and what is being dragged.
  paint(context, shown, colours) {
    const { state, view } = shown;
    const { boxes, height } = shown.layout;
    context.clearRect(0, 0, view.width, height);
    context.fillStyle = colours.ground;
    context.fillRect(0, 0, view.width, height);
    TimelineDraw.ruler(context, shown, colours, height);
    TimelineDraw.wave(context, shown, colours);
    state.lanes.forEach((lane, index) => TimelineDraw.lane(context, shown, colours, lane, index, boxes[index]));
    TimelineDraw.locks(context, shown, colours, height);
    TimelineDraw.range(context, shown, colours, height);
    state.lanes.forEach((lane, index) => TimelineDraw.keys(context, shown, colours, lane, index, boxes[index]));
    state.lanes.forEach((lane, index) => TimelineDraw.label(context, shown, colours, lane, index, boxes[index]));
    TimelineDraw.playhead(context, shown, colours, height);
    TimelineDraw.pointer(context, shown, colours);
  },

  ruler(context, { state, view }, colours, height) {
    const step = TimelineMath.tickStep(view.pps, 64);
    const minor = step / (step >= 1 ? 5 : step === 0.04 ? 1 : 5);
    const last = state.frames / FPS;
    context.font = "11px system-ui, sans-serif";
    context.textBaseline = "middle";
    for (let k = Math.floor(view.scroll / view.pps / minor); k * minor <= last + 1e-6; k++) {
      const x = Math.round(TimelineMath.xOfTime(k * minor, view)) + 0.5;
      if (x < -40) continue;
      if (x > view.width + 40) break;
      const major = Math.abs(k * minor / step - Math.round(k * minor / step)) < 1e-6;
      context.strokeStyle = colours.line;
      context.lineWidth = 1;
      context.beginPath();
      context.moveTo(x, major ? 15 : 19);
      context.lineTo(x, major ? height : TimelineDraw.RULER);
      context.stroke();
      if (major) {
        context.fillStyle = colours.muted;
        context.textAlign = "center";
        const text = (k * minor).toFixed(step < 1 ? 2 : 0) + " s";
        const half = context.measureText(text).width / 2 + 2;
        // Whole at both ends, too.
        const ends = [0, last].map(time => TimelineMath.xOfTime(time, view));
        context.fillText(text, TimelineMath.clamp(x, ends[0] + half, ends[1] - half), 8);
      }
    }
  },

  wave(context, { state, view }, colours) {
    const peaks = state.waveform;
    const middle = TimelineDraw.RULER + TimelineDraw.WAVE / 2;
    context.fillStyle = colours.stripe;
    context.fillRect(0, TimelineDraw.RULER, view.width, TimelineDraw.WAVE);
    if (!peaks.length) {
      context.fillStyle = colours.muted;
      context.textAlign = "left";
      context.font = "12px system-ui, sans-serif";
      context.fillText("no sound", 10, middle);
      return;
    }
    const rate = (peaks.length / state.frames) * FPS; // peaks a second
    context.fillStyle = colours.wave;
    context.beginPath();
    // One bar for each pair of pixels, as high as the loudest peak in it.
    for (let x = 0; x < view.width; x += 2) {
      const from = Math.floor(TimelineMath.timeOfX(x, view) * rate);
      const to = Math.max(from + 1, Math.ceil(TimelineMath.timeOfX(x + 2, view) * rate));
      let peak = 0;
      for (let k = Math.max(0, from); k < Math.min(to, peaks.length); k++) peak = Math.max(peak, peaks[k]);
      if (from >= peaks.length) break;
      const half = Math.max(0.5, (peak / 100) * (TimelineDraw.WAVE / 2 - 5));
      context.rect(x, middle - half, 1.4, 2 * half);
    }
    context.fill();
  },

  lane(context, shown, colours, lane, index, box) {
    const { view, dragged } = shown;
    if (index === shown.lane) {
      context.fillStyle = colours.stripe;
      context.fillRect(0, box.top, view.width, box.height);
    }
    context.fillStyle = colours.line;
    context.fillRect(0, box.top + box.height - 1, view.width, 1);
    if (lane.low < 0 && lane.high > 0) {
      const zero = Math.round(TimelineMath.yOfValue(0, lane, box)) + 0.5;
      context.strokeStyle = colours.line;
      context.setLineDash([2, 4]);
      context.beginPath();
      context.moveTo(0, zero);
      context.lineTo(view.width, zero);
      context.stroke();
      context.setLineDash([]);
    }
    if (lane.before.length) TimelineDraw.curve(context, view, lane, box, lane.before, colours.muted, 1, [3, 3]);
    const moved = dragged && dragged.lane === index;
    const values = moved ? TimelineMath.bent(lane.values, dragged.frame, dragged.value, lane.reach) : lane.values;
    TimelineDraw.curve(context, view, lane, box, values, colours.lane(lane.name), index === shown.lane ? 2.2 : 1.6, []);
  },

  curve(context, view, lane, box, values, colour, width, dash) {
    const first = Math.max(0, TimelineMath.frameOfX(0, view, values.length) - 1);
    const last = Math.min(values.length - 1, TimelineMath.frameOfX(view.width, view, values.length) + 1);
    context.strokeStyle = colour;
    context.lineWidth = width;
    context.lineJoin = "round";
    context.setLineDash(dash);
    context.beginPath();
    for (let k = first; k <= last; k++) {
      context.lineTo(TimelineMath.xOfFrame(k, view), TimelineMath.yOfValue(values[k], lane, box));
    }
    context.stroke();
    context.setLineDash([]);
  },

  locks(context, { state, view }, colours, height) {
    for (const [start, stop] of state.locks) {
      const left = TimelineMath.xOfTime(start / FPS, view);
      const right = TimelineMath.xOfTime(stop / FPS, view);
      if (right < 0 || left > view.width) continue;
      context.save();
      context.beginPath();
      context.rect(left, TimelineDraw.RULER, right - left, height - TimelineDraw.RULER);
      context.clip();
      context.globalAlpha = 0.16;
      context.fillStyle = colours.lock;
      context.fillRect(left, 0, right - left, height);
      context.globalAlpha = 0.3;
      context.strokeStyle = colours.lock;
      context.lineWidth = 1;
      context.beginPath();
      // Stripes start at a multiple of their distance in time, so that they scroll with the lock.
      const shift = view.scroll % 9;
      for (let x = Math.max(left, 0) - height - shift - 9; x < Math.min(right, view.width); x += 9) {
        context.moveTo(x, height);
        context.lineTo(x + height, 0);
      }
      context.stroke();
      context.restore();
      TimelineDraw.tag(context, "locked", Math.max(left, 0) + 4, TimelineDraw.RULER + 9, right - left, colours);
    }
  },

  tag(context, text, x, y, room, colours) {
    context.font = "600 10px system-ui, sans-serif";
    const width = context.measureText(text).width + 10;
    if (room < width + 6) return;
    context.fillStyle = colours.lock;
    context.beginPath();
    context.roundRect(x, y - 7, width, 14, 7);
    context.fill();
    context.fillStyle = colours.ground;
    context.textAlign = "left";
    context.textBaseline = "middle";
    context.fillText(text, x + 5, y + 0.5);
  },

  range(context, { range, view }, colours, height) {
    if (!range) return;
    const left = TimelineMath.xOfTime(range[0] / FPS, view);
    const right = TimelineMath.xOfTime(range[1] / FPS, view);
    context.globalAlpha = 0.14;
    context.fillStyle = colours.range;
    context.fillRect(left, TimelineDraw.RULER, right - left, height);
    context.globalAlpha = 1;
    context.fillRect(left - 1, TimelineDraw.RULER, 2, height);
    context.fillRect(right - 1, TimelineDraw.RULER, 2, height);
    for (const x of [left, right]) { // handles that can be taken
      context.beginPath();
      context.roundRect(x - 4, TimelineDraw.RULER + TimelineDraw.WAVE / 2 - 11, 8, 22, 4);
      context.fill();
    }
  },

  keys(context, shown, colours, lane, index, box) {
    const { state, view, chosen, dragged, focused } = shown;
    const colour = colours.lane(lane.name);
    for (const [at, value] of lane.keys) {
      const isChosen = Boolean(chosen) && chosen[0] === index && chosen[1] === at;
      const here = isChosen && dragged ? dragged : { frame: at, value };
      const x = TimelineMath.xOfFrame(here.frame, view);
      if (x < -20 || x > view.width + 20) continue;
      const y = TimelineMath.yOfValue(here.value, lane, box);
      const locked = TimelineMath.isLocked(at, state.locks);
      context.strokeStyle = colour;
      context.globalAlpha = 0.35;
      context.lineWidth = 1;
      context.beginPath();
      context.moveTo(x, box.top + 2);
      context.lineTo(x, box.top + box.height - 3);
      context.stroke();
      context.globalAlpha = 1;
      const size = isChosen ? 7.5 : 6;
      if (isChosen) {
        context.globalAlpha = focused ? 0.35 : 0.2;
        context.fillStyle = colour;
        context.beginPath();
        context.arc(x, y, size + 6, 0, 2 * Math.PI);
        context.fill();
        context.globalAlpha = 1;
      }
      context.beginPath(); // a diamond: told from the curve without colour
      context.moveTo(x, y - size);
      context.lineTo(x + size, y);
      context.lineTo(x, y + size);
      context.lineTo(x - size, y);
      context.closePath();
      context.fillStyle = locked ? colours.lock : isChosen ? colour : colours.key;
      context.strokeStyle = locked ? colours.lock : colour;
      context.lineWidth = 2;
      context.fill();
      context.stroke();
    }
  },

  // Name and value at the playhead, on a ground of its own so that curves below do not disturb.
  label(context, shown, colours, lane, index, box) {
    const value = lane.values[shown.frame];
    const number = value === undefined ? "" : TimelineMath.amount(value, lane);
    const strong = index === shown.lane;
    context.textBaseline = "middle";
    context.textAlign = "left";
    context.font = `${strong ? 700 : 600} 12px system-ui, sans-serif`;
    const width = context.measureText(lane.label).width;
    context.font = "12px system-ui, sans-serif";
    const wide = context.measureText(number).width;
    context.globalAlpha = 0.82;
    context.fillStyle = strong ? colours.stripe : colours.ground;
    context.beginPath();
    context.roundRect(4, box.top + 4, width + wide + 32, 18, 9);
    context.fill();
    context.globalAlpha = 1;
    context.fillStyle = colours.lane(lane.name);
    context.beginPath();
    context.arc(13, box.top + 13, 4, 0, 2 * Math.PI);
    context.fill();
    context.font = `${strong ? 700 : 600} 12px system-ui, sans-serif`;
    context.fillStyle = colours.ink;
    context.fillText(lane.label, 22, box.top + 13.5);
    context.font = "12px system-ui, sans-serif";
    context.fillStyle = colours.muted;
    context.fillText(number, 28 + width, box.top + 13.5);
    if (!strong) return;
    context.font = "10px system-ui, sans-serif";
    context.textAlign = "right";
    context.fillText(TimelineMath.scale(lane.high), shown.view.width - 5, box.top + box.above - 4);
    context.fillText(TimelineMath.scale(lane.low), shown.view.width - 5, box.top + box.height - 8);
  },

  playhead(context, { frame, view, state }, colours, height) {
    if (!state.frames) return;
    const x = Math.round(TimelineMath.xOfFrame(frame, view)) + 0.5;
    if (x < -30 || x > view.width + 30) return;
    context.strokeStyle = colours.head;
    context.lineWidth = 1.5;
    context.beginPath();
    context.moveTo(x, TimelineDraw.RULER - 6);
    context.lineTo(x, height);
    context.stroke();
    const text = TimelineMath.seconds(frame);
    context.font = "600 11px system-ui, sans-serif";
    const width = context.measureText(text).width + 12;
    const left = TimelineMath.clamp(x - width / 2, 1, view.width - width - 1);
    context.fillStyle = colours.head;
    context.beginPath();
    context.roundRect(left, 1, width, 17, 5);
    context.fill();
    context.fillStyle = colours.ground;
    context.textAlign = "center";
    context.textBaseline = "middle";
    context.fillText(text, left + width / 2, 10);
  },

  // What a key would be where the mouse is, or is where it is being dragged.
  pointer(context, shown, colours) {
    const { dragged, hover, view, state } = shown;
    const at = dragged || hover;
    if (!at) return;
    const lane = state.lanes[at.lane];
    const box = shown.layout.boxes[at.lane];
    const x = TimelineMath.xOfFrame(at.frame, view);
    const y = TimelineMath.yOfValue(at.value, lane, box);
    const text = `${TimelineMath.seconds(at.frame)} s   ${TimelineMath.amount(at.value, lane)}`;
    context.font = "600 11px system-ui, sans-serif";
    const width = context.measureText(text).width + 14;
    const left = x + 14 + width > view.width ? x - 14 - width : x + 14;
    const top = TimelineMath.clamp(y - 10, box.top + 1, box.top + box.height - 21);
    context.fillStyle = colours.ink;
    context.beginPath();
    context.roundRect(left, top, width, 19, 6);
    context.fill();
    context.fillStyle = colours.ground;
    context.textAlign = "left";
    context.textBaseline = "middle";
    context.fillText(text, left + 7, top + 10);
  },
};

// Behaviour of the timeline. The edit itself is in Python: states arrive as the component's value, operations are sent as
// events. During a drag, and until an operation is answered, the page shows the expected state (optimistic update).

const HEAVY_OPERATIONS = ["regenerate", "cut", "insert"];

function mountTimeline(element, trigger, props, watch, upload) {
  const find = selector => element.querySelector(selector);
  const root = find(".tl");
  const canvas = find("canvas");
  const scroller = find(".tl-scroll");
  const shown = {
    state: { frames: 0, lanes: [], locks: [], waveform: [] },
    view: { pps: 100, scroll: 0, width: 0 },
    layout: { boxes: [], height: 0 },
    lane: 0, chosen: null, range: null, frame: 0, dragged: null, hover: null,
    focused: false, showsBefore: false, waiting: false, working: false,
  };
  let fits = true; // the whole motion is visible, and stays so when its length or the width changes
  let sequence = 0, inFlight = null, waitingOperations = [];

  // -- sending operations, receiving states ---------------------------------------------------------------------

  // One at a time: the server handles concurrent events in any order.
  function send(operation) {
    if (shown.working) return say("New motion is being generated. Wait a moment.", true);
    // It belongs to the video that is shown now; another one may be shown when it is sent.
    waitingOperations.push({ editor: shown.state.editor, ...operation, sequence: ++sequence });
    sendNext();
  }

  function sendNext() {
    if (!inFlight && waitingOperations.length) {
      inFlight = waitingOperations.shift();
      shown.working = HEAVY_OPERATIONS.includes(inFlight.op);
      trigger(inFlight);
    }
    shown.waiting = Boolean(inFlight);
    TimelineView.render(element, shown);
  }

  function receive() {
    const coming = props.value;
    if (!coming || typeof coming !== "object") return;
    const isOther = coming.editor !== shown.state.editor;
    const isNew = isOther || coming.frames !== shown.state.frames || coming.frames === 0;
    const answered = !inFlight || coming.acknowledged === undefined || coming.acknowledged >= inFlight.sequence;
    const done = answered ? inFlight : null;
    sequence = Math.max(sequence, coming.acknowledged ?? 0); // a reloaded page continues the count
    if (answered) {
      inFlight = null;
      shown.working = Boolean(coming.busy?.heavy); // begun before a reload
      if (ongoing && !uploading && !recording) say("");
    }
    if (isOther) Object.assign(shown, { chosen: null, range: null, dragged: null, hover: null });
    // A state from before the last operation must not revert its optimistic update.
    const isStale = Boolean(inFlight) || waitingOperations.length > 0;
    const kept = isStale && !isOther && shown.state.frames === coming.frames
      ? { lanes: shown.state.lanes, locks: shown.state.locks } : {};
    shown.state = { lanes: [], locks: [], waveform: [], ...coming, ...kept };
    shown.frame = TimelineMath.clamp(shown.frame, 0, Math.max(0, shown.state.frames - 1));
    // What was refused leaves the choice as it was, to try again.
    if (done?.op === "cut" && !coming.error) shown.range = null;
    if (done?.op === "put" && coming.error && !isStale && !isOther && !shown.dragged) refused(done);
    if (shown.range && shown.range[1] > shown.state.frames) shown.range = null;
    if (shown.chosen && !shown.dragged && !keyOf(shown.chosen)) shown.chosen = null;
    if (isOther && recording) recording(false);
    if (isNew) resize();
    showVideo();
    sendNext();
    redraw();
    if (done?.op === "close" && !coming.error) (shown.state.frames ? canvas : find(".tl-hint")).focus();
  }

  function refused({ curve, from }) {
    const lane = shown.state.lanes.findIndex(one => one.name === curve);
    if (from !== undefined && keyOf([lane, from])) Object.assign(shown, { lane, chosen: [lane, from] });
  }

  const keyOf = ([lane, frame]) => shown.state.lanes[lane]?.keys.find(([at]) => at === frame);

  // -- keys -----------------------------------------------------------------------------------------------------

  // Put a key, or move one, here at once and in Python as soon as possible.
  function put(lane, frame, value, from) {
    const { state } = shown;
    if ([frame, from ?? frame].some(at => TimelineMath.isLocked(at, state.locks))) {
      return say(`${TimelineMath.seconds(frame)} seconds is locked.`);
    }
    const curve = state.lanes[lane];
    curve.keys = curve.keys.filter(([at]) => at !== frame && at !== from).concat([[frame, value]]);
    curve.values = TimelineMath.bent(curve.values, frame, value, curve.reach);
    choose(lane, frame, false);
    send({ op: "put", curve: curve.name, frame, value, ...(from === undefined ? {} : { from }) });
    say(`${from === undefined ? "New key" : "Key"}: ${TimelineView.named(curve, frame, value)}.`);
    redraw();
  }

  function addHere() {
    const lane = shown.state.lanes[shown.lane];
    if (lane) put(shown.lane, shown.frame, TimelineMath.rounded(lane.values[shown.frame], lane));
  }

  function remove(lane, frame) {
    const curve = shown.state.lanes[lane];
    if (TimelineMath.isLocked(frame, shown.state.locks)) return say(`${TimelineMath.seconds(frame)} seconds is locked.`);
    curve.keys = curve.keys.filter(([at]) => at !== frame);
    shown.chosen = null;
    send({ op: "delete", curve: curve.name, frame });
    say(`Key deleted: ${curve.label}, ${TimelineMath.seconds(frame)} s.`);
    redraw();
  }

  function choose(lane, frame, seek = true) {
    shown.lane = lane;
    shown.chosen = frame === null ? null : [lane, frame];
    if (frame !== null && seek) go(frame);
    redraw();
  }

  // Keys that are nudged by the keyboard go up once, when the hand rests.
  let resting = 0;
  function nudge(frames, steps) {
    const { state, chosen } = shown;
    if (!chosen) {
      if (frames) go(shown.frame + frames);
      return;
    }
    const lane = state.lanes[chosen[0]];
    const [, value] = keyOf(chosen);
    if (TimelineMath.isLocked(chosen[1], state.locks)) return say(`${TimelineMath.seconds(chosen[1])} seconds is locked.`);
    const from = shown.dragged || { lane: chosen[0], frame: chosen[1], value };
    const least = Math.min(lane.low, value);
    const moved = TimelineMath.clamp(from.value + steps * lane.step, least, Math.max(lane.high, value));
    const frame = TimelineMath.clamp(from.frame + frames, 0, state.frames - 1);
    shown.dragged = { lane: chosen[0], frame, value: TimelineMath.rounded(moved, lane) };
    say(TimelineView.named(lane, frame, shown.dragged.value));
    go(frame);
    clearTimeout(resting);
    resting = setTimeout(settle, 450);
    redraw();
  }

  function settle() {
    clearTimeout(resting);
    const { dragged, chosen } = shown;
    shown.dragged = null;
    if (!dragged || !chosen) return redraw();
    const [frame, value] = keyOf(chosen) || [];
    if (frame !== undefined && (frame !== dragged.frame || value !== dragged.value)) {
      put(dragged.lane, dragged.frame, dragged.value, frame);
    }
    redraw();
  }

  // -- ranges ---------------------------------------------------------------------------------------------------

  function setRange(range) {
    shown.range = range && range[0] !== range[1] ? [Math.min(...range), Math.max(...range)] : null;
    redraw();
  }

  function onRange(name) {
    if (!shown.range) return say("Choose a range first: drag across the waveform, or press [ and ].");
    const [start, stop] = shown.range;
    settle();
    send({ op: name, start, stop });
  }

  function toggleLock() {
    const [start, stop] = shown.range || [shown.frame, shown.frame + 1];
    let all = true;
    for (let k = start; k < stop; k++) all = all && TimelineMath.isLocked(k, shown.state.locks);
    send({ op: all ? "unlock" : "lock", start, stop });
  }

  function regenerate() {
    settle();
    const range = shown.range ? { start: shown.range[0], stop: shown.range[1] } : {};
    send({ op: "regenerate", ...range });
  }

  async function insert(file, frame = shown.frame, editor = shown.state.editor) {
    say(`Uploading ${file.name}.`, true);
    uploading = true;
    try {
      const { path } = await upload(file);
      say("");
      send({ op: "insert", frame, path, editor });
    } catch (error) {
      say("");
      refuse(`The sound could not be uploaded: ${error.message || error}`);
    } finally {
      uploading = false;
    }
  }

  // The microphone: the same button begins and stops. What is recorded belongs where the playhead was at the beginning.
  let recording = null, opening = false;
  async function record() {
    if (recording) return recording(true);
    if (opening) return; // the browser asks whether it may
    const { frame } = shown, { editor } = shown.state;
    video.pause();
    opening = true;
    try {
      recording = await TimelineRecord.begin(Math.max(1, shown.state.room), told, done);
      say("Recording. Stop and insert, or discard.", true);
    } catch (error) {
      refuse(`The microphone cannot be used: ${error.message || error.name}`);
    }
    opening = false;
    showRecording();

    function told(seconds) {
      TimelineView.text(find(".tl-recorded"), `\u25cf ${seconds.toFixed(0)} s`);
    }

    function done(file, kept) {
      recording = null;
      showRecording();
      say(kept && !file ? "The recording is too short." : "");
      if (file) insert(file, frame, editor);
    }
  }

  function showRecording() {
    const on = Boolean(recording), hadFocus = document.activeElement === find("[data-do=discard]");
    shown.recording = on;
    TimelineView.text(find("[data-do=record]"), on ? "Stop and insert" : "Record sound");
    find("[data-do=discard]").hidden = !on;
    if (!on) TimelineView.text(find(".tl-recorded"), "");
    if (!on && hadFocus) find("[data-do=record]").focus();
    TimelineView.selection(element, shown);
  }

  async function close() {
    settle();
    const { editor, unsaved } = shown.state;
    const question = "Close this edit? Its changes were not downloaded: they would be lost.";
    if (unsaved && !(await askFirst(question, "Close without downloading", "Keep editing"))) return;
    recording?.(false);
    send({ op: "close", editor });
  }

  function refuse(sentence) {
    shown.state.error = sentence;
    TimelineView.render(element, shown);
  }

  // -- video ----------------------------------------------------------------------------------------------------

  let video = find("video"), wanted = "";

  // The next video replaces this one when it shows the same moment, so that nothing flickers.
  function showVideo() {
    const { state } = shown;
    const url = (shown.showsBefore ? state.before : state.files?.mp4) || "";
    if (!url && wanted && !state.files?.mp4) { // another video, which is not rendered yet
      wanted = "";
      video.pause();
      video.removeAttribute("src");
      video.load();
    }
    if (!url || url === wanted) return;
    wanted = url;
    const next = video.cloneNode(false);
    next.src = url;
    next.addEventListener("loadeddata", () => { next.currentTime = Math.min(timeNow(), next.duration); }, { once: true });
    const replace = () => {
      if (wanted !== url || video === next) return;
      const playing = !video.paused;
      video.replaceWith(next);
      video.pause();
      video = next;
      bindVideo();
      if (playing) video.play();
    };
    next.addEventListener("seeked", replace, { once: true });
    setTimeout(replace, 2000); // phones may load nothing before somebody plays it
    next.load();
  }

  const timeNow = () => (video.paused ? TimelineMath.videoOfFrame(shown.frame) : video.currentTime);

  function bindVideo() {
    const button = find("[data-do=play]");
    const update = () => {
      button.textContent = video.paused ? "Play" : "Pause";
      button.setAttribute("aria-label", button.textContent);
      if (!video.paused) requestAnimationFrame(follow);
    };
    for (const name of ["play", "pause", "ended"]) video.addEventListener(name, update);
    video.addEventListener("click", play);
  }

  function follow() {
    shown.frame = TimelineMath.frameOfVideo(video.currentTime, shown.state.frames);
    reveal(shown.frame);
    redraw();
    if (!video.paused) requestAnimationFrame(follow);
  }

  function play() {
    if (!video.src) return;
    if (!video.paused) return video.pause();
    if (shown.frame >= shown.state.frames - 1) go(0);
    video.play();
  }

  function go(frame) {
    shown.frame = TimelineMath.clamp(frame, 0, Math.max(0, shown.state.frames - 1));
    if (video.readyState) video.currentTime = TimelineMath.videoOfFrame(shown.frame);
    reveal(shown.frame);
    redraw();
  }

  // -- view -----------------------------------------------------------------------------------------------------

  function resize() {
    const { view, state } = shown;
    view.width = scroller.clientWidth;
    if (!view.width || !state.frames) return;
    shown.layout = TimelineDraw.layout(state.lanes, view.width);
    if (fits) view.pps = view.width / (state.frames / FPS);
    const ratio = window.devicePixelRatio || 1;
    canvas.width = Math.round(view.width * ratio);
    canvas.height = Math.round(shown.layout.height * ratio);
    canvas.style.width = `${view.width}px`;
    canvas.style.height = `${shown.layout.height}px`;
    applyView();
  }

  // The native scroller holds the place, so that touch, wheel, and scroll bar work as everywhere.
  function applyView() {
    const { view, state } = shown;
    find(".tl-spacer").style.width = `${Math.max(view.width, Math.floor((state.frames / FPS) * view.pps))}px`;
    scroller.scrollLeft = view.scroll;
    redraw();
  }

  function zoom(factor, x = TimelineMath.xOfFrame(shown.frame, shown.view)) {
    const about = TimelineMath.clamp(x, 0, shown.view.width);
    shown.view = TimelineMath.zoomed(shown.view, factor, about, shown.state.frames / FPS);
    fits = shown.view.pps <= shown.view.width / (shown.state.frames / FPS) * 1.001;
    applyView();
  }

  function fit() {
    fits = true;
    shown.view.scroll = 0;
    resize();
  }

  function reveal(frame) {
    const x = TimelineMath.xOfFrame(frame, shown.view);
    if (x >= 0 && x <= shown.view.width) return;
    shown.view.scroll = Math.max(0, shown.view.scroll + x - shown.view.width * (x < 0 ? 0.8 : 0.2));
    applyView();
  }

  let drawing = 0;
  function redraw() {
    drawing = drawing || requestAnimationFrame(() => {
      drawing = 0;
      if (!shown.view.width || !shown.state.frames) return;
      const context = canvas.getContext("2d");
      const ratio = canvas.width / shown.view.width;
      context.setTransform(ratio, 0, 0, ratio, 0, 0);
      TimelineDraw.paint(context, shown, TimelineDraw.colours(root));
      TimelineView.selection(element, shown);
    });
  }

  let saying = 0, fading = 0, ongoing = false, uploading = false;
  // What goes on (`lasts`) is said until it is over, anything else for a while.
  function say(text, lasts = false) {
    clearTimeout(saying); // of quick changes only the last is said
    clearTimeout(fading);
    ongoing = lasts;
    saying = setTimeout(() => TimelineView.text(find(".tl-said"), text), text ? 120 : 0);
    if (text && !lasts) fading = setTimeout(() => TimelineView.text(find(".tl-said"), ""), 15_000);
  }

  // -- pointer --------------------------------------------------------------------------------------------------

  const pointers = new Map();
  let gesture = null, lastTap = null;

  const place = event => {
    const box = canvas.getBoundingClientRect();
    return { x: event.clientX - box.left, y: event.clientY - box.top };
  };
  const reachOf = event => (event.pointerType === "touch" ? 24 : 11);

  // What a pointer takes hold of: a key, the end of the range, the waveform, the ruler, or only a lane.
  function under({ x, y }, reach, shift) {
    const { state, view, layout, range } = shown;
    if (y < TimelineDraw.RULER) return { kind: "scrub" };
    if (y < TimelineDraw.RULER + TimelineDraw.WAVE || shift) {
      const ends = range ? range.map(end => Math.abs(TimelineMath.xOfTime(end / FPS, view) - x)) : [];
      const end = ends.findIndex(distance => distance < reach);
      if (end >= 0 && !shift) return { kind: "range", fixed: range[1 - end] };
      return { kind: "range", fixed: TimelineMath.borderOfX(x, view, state.frames) };
    }
    const key = TimelineMath.keyAt(x, y, state.lanes, layout.boxes, view, reach);
    if (key) return { kind: "key", lane: key[0], frame: key[1] };
    return { kind: "lane", lane: TimelineMath.laneAt(y, layout.boxes) };
  }

  function onDown(event) {
    if (event.button > 0 || !shown.state.frames) return;
    const at = place(event);
    pointers.set(event.pointerId, at);
    if (pointers.size === 2) return startPinch();
    settle();
    gesture = { ...under(at, reachOf(event), event.shiftKey), start: at, moved: false, pointer: event.pointerId };
    if (gesture.kind === "key") choose(gesture.lane, gesture.frame);
    if (gesture.kind === "scrub") go(TimelineMath.frameOfX(at.x, shown.view, shown.state.frames));
    canvas.setPointerCapture(event.pointerId);
    shown.hover = null;
  }

  function startPinch() {
    shown.dragged = null;
    const [a, b] = [...pointers.values()];
    gesture = { kind: "pinch", distance: Math.abs(a.x - b.x) };
  }

  function onMove(event) {
    const at = place(event);
    if (!gesture) return hoverAt(at, event);
    if (!pointers.has(event.pointerId)) return;
    pointers.set(event.pointerId, at);
    if (gesture.kind === "pinch") return pinch();
    gesture.moved = gesture.moved || Math.hypot(at.x - gesture.start.x, at.y - gesture.start.y) > 3;
    if (!gesture.moved) return;
    const { view, state } = shown;
    if (gesture.kind === "scrub") go(TimelineMath.frameOfX(at.x, view, state.frames));
    if (gesture.kind === "range") setRange([gesture.fixed, TimelineMath.borderOfX(at.x, view, state.frames)]);
    if (gesture.kind === "key") drag(at, event.shiftKey);
  }

  // With Shift a key moves in one direction only, the one in which it has gone further.
  function drag(at, straight) {
    const { state, view, layout } = shown;
    const { lane, frame } = gesture;
    if (TimelineMath.isLocked(frame, state.locks)) return say(`${TimelineMath.seconds(frame)} seconds is locked.`);
    const key = keyOf([lane, frame]);
    if (!key) return;
    let target = TimelineMath.frameOfX(at.x, view, state.frames);
    let value = TimelineMath.valueOfY(at.y, state.lanes[lane], layout.boxes[lane]);
    if (straight) {
      const aside = Math.abs(at.x - gesture.start.x) > Math.abs(at.y - gesture.start.y);
      if (aside) value = key[1];
      else target = frame;
    }
    shown.dragged = { lane, frame: target, value };
    go(target);
  }

  function pinch() {
    const [a, b] = [...pointers.values()];
    if (!b) return;
    const distance = Math.max(20, Math.abs(a.x - b.x));
    zoom(distance / Math.max(20, gesture.distance), (a.x + b.x) / 2);
    gesture.distance = distance;
  }

  function onUp(event) {
    pointers.delete(event.pointerId);
    const done = gesture;
    if (!done || (done.kind === "pinch" && pointers.size)) return;
    gesture = null;
    if (event.type === "pointercancel") { // the browser scrolls instead
      shown.dragged = null;
      return redraw();
    }
    if (done.kind === "pinch") return;
    if (done.moved) return settle();
    tap(done, event);
  }

  function tap(done, event) {
    const at = place(event);
    const frame = TimelineMath.frameOfX(at.x, shown.view, shown.state.frames);
    const isDouble = lastTap && event.timeStamp - lastTap.time < 400 && Math.hypot(at.x - lastTap.x, at.y - lastTap.y) < 24;
    lastTap = isDouble ? null : { ...at, time: event.timeStamp };
    if (done.kind === "range") go(frame);
    if (done.kind !== "lane" || done.lane < 0) return;
    choose(done.lane, null);
    go(frame);
    if (isDouble) {
      const lane = shown.state.lanes[done.lane];
      put(done.lane, frame, TimelineMath.valueOfY(at.y, lane, shown.layout.boxes[done.lane]));
    }
  }

  function hoverAt(at, event) {
    if (event.pointerType === "touch" || !shown.state.frames) return;
    const { view, state, layout } = shown;
    const held = under(at, reachOf(event), event.shiftKey);
    canvas.style.cursor = { key: "grab", range: "col-resize", scrub: "ew-resize", lane: "crosshair" }[held.kind];
    const lane = held.kind === "lane" || held.kind === "key" ? TimelineMath.laneAt(at.y, layout.boxes) : -1;
    const frame = TimelineMath.frameOfX(at.x, view, state.frames);
    shown.hover = lane < 0 ? null : held.kind === "key"
      ? { lane: held.lane, frame: held.frame, value: keyOf([held.lane, held.frame])[1] }
      : { lane, frame, value: state.lanes[lane].values[frame] };
    redraw();
  }

  canvas.addEventListener("pointerdown", onDown);
  canvas.addEventListener("pointermove", onMove);
  canvas.addEventListener("pointerup", onUp);
  canvas.addEventListener("pointercancel", onUp);
  canvas.addEventListener("pointerleave", () => { shown.hover = null; redraw(); });
  // A finger on a key or the waveform moves that; elsewhere it scrolls.
  canvas.addEventListener("touchstart", event => {
    const at = place(event.touches[0]);
    if (event.touches.length > 1 || under(at, 24, false).kind !== "lane") event.preventDefault();
  }, { passive: false });
  canvas.addEventListener("wheel", event => {
    if (!event.ctrlKey && !event.metaKey) return;
    event.preventDefault();
    zoom(Math.exp(-event.deltaY / 300), place(event).x);
  }, { passive: false });
  scroller.addEventListener("scroll", () => {
    shown.view.scroll = scroller.scrollLeft;
    redraw();
  });

  // -- keyboard -------------------------------------------------------------------------------------------------

  function toKey(direction) {
    const lane = shown.state.lanes[shown.lane];
    const from = shown.chosen ? shown.chosen[1] : shown.frame;
    // Without a chosen key, one under the playhead counts as the next.
    const here = !shown.chosen && lane.keys.some(([at]) => at === from) ? from : null;
    const frame = here ?? TimelineMath.neighbour(lane, from, direction);
    if (frame === null) return say(`No ${direction > 0 ? "later" : "earlier"} key of ${lane.label}.`);
    choose(shown.lane, frame);
    const number = lane.keys.filter(([at]) => at <= frame).length;
    say(`${TimelineView.named(lane, frame, keyOf([shown.lane, frame])[1])}. Key ${number} of ${lane.keys.length}.`);
  }

  function toLane(direction) {
    const index = TimelineMath.clamp(shown.lane + direction, 0, shown.state.lanes.length - 1);
    choose(index, null);
    const lane = shown.state.lanes[index];
    const count = `${lane.keys.length} key${lane.keys.length === 1 ? "" : "s"}`;
    say(`${lane.label}, ${TimelineMath.amount(lane.values[shown.frame], lane)} at ${TimelineMath.seconds(shown.frame)} s, ${count}.`);
  }

  const withShift = {
    ArrowLeft: () => nudge(-1, 0), ArrowRight: () => nudge(1, 0),
    ArrowUp: () => nudge(0, 1), ArrowDown: () => nudge(0, -1),
  };
  const plain = {
    ArrowLeft: () => toKey(-1), ArrowRight: () => toKey(1), ArrowUp: () => toLane(-1), ArrowDown: () => toLane(1),
    Enter: addHere, Delete: () => shown.chosen && remove(...shown.chosen),
    Backspace: () => shown.chosen && remove(...shown.chosen),
    Escape: () => { shown.dragged = null; shown.chosen ? choose(shown.lane, null) : setRange(null); },
    " ": play, ",": () => go(shown.frame - 1), ".": () => go(shown.frame + 1),
    Home: () => go(0), End: () => go(shown.state.frames - 1),
    "[": () => setRange([shown.frame, Math.max(shown.range ? shown.range[1] : shown.state.frames, shown.frame + 1)]),
    "]": () => setRange([Math.min(shown.range ? shown.range[0] : 0, shown.frame), shown.frame + 1]),
    l: toggleLock, r: regenerate, "+": () => zoom(1.5), "=": () => zoom(1.5), "-": () => zoom(1 / 1.5), 0: fit,
  };

  canvas.addEventListener("keydown", event => {
    if (event.ctrlKey || event.metaKey || event.altKey || !shown.state.frames) return;
    const does = event.shiftKey && withShift[event.key] ? withShift[event.key] : plain[event.key];
    if (!does) return;
    event.preventDefault();
    if (shown.dragged && !(event.shiftKey && withShift[event.key]) && event.key !== "Escape") settle();
    does();
  });
  root.addEventListener("keydown", event => {
    if (!(event.ctrlKey || event.metaKey) || event.target.matches("input")) return;
    const key = event.key.toLowerCase();
    if (key !== "z" && key !== "y") return;
    event.preventDefault();
    settle();
    send({ op: key === "y" || event.shiftKey ? "redo" : "undo" });
  });
  for (const [name, on] of [["focus", true], ["blur", false]]) {
    canvas.addEventListener(name, () => { shown.focused = on; redraw(); });
  }
  canvas.addEventListener("blur", settle);

  // -- form and buttons -----------------------------------------------------------------------------------------

  const form = find(".tl-form"), fields = find(".tl-range");
  const laneNamed = name => shown.state.lanes.findIndex(lane => lane.name === name);

  form.addEventListener("submit", event => {
    event.preventDefault();
    const index = laneNamed(form.elements.curve.value);
    const { time, value: typed } = form.elements;
    if (time.value === "" || typed.value === "") return refuse("A key has a time in seconds and a value: give both.");
    const frame = TimelineMath.frameOfTime(Number(time.value));
    const value = Number(typed.value);
    const { chosen } = shown;
    if (frame < 0 || frame >= shown.state.frames) { // the engine says why not
      const from = chosen && chosen[0] === index ? { from: chosen[1] } : {};
      return send({ op: "put", curve: form.elements.curve.value, frame, value, ...from });
    }
    // The chosen key is moved; with another curve in the form it stays, and a new one comes.
    put(index, frame, value, chosen && chosen[0] === index ? chosen[1] : undefined);
    go(frame);
  });
  form.addEventListener("input", () => TimelineView.submit(form, shown));
  form.elements.curve.addEventListener("change", () => {
    choose(laneNamed(form.elements.curve.value), null);
    TimelineView.selection(element, shown); // now, not with the next picture: the time may be typed already
  });
  fields.addEventListener("change", () => {
    const [from, to] = ["from", "to"].map(name => fields.elements[name].value);
    if (from === "" || to === "") return;
    const border = text => TimelineMath.clamp(Math.round(Number(text) * FPS), 0, shown.state.frames);
    setRange([border(from), border(to)]);
  });
  fields.addEventListener("submit", event => event.preventDefault());
  for (const op of ["model", "style"]) {
    find(`select[name=${op}]`).addEventListener("change", event => send({ op, name: event.target.value }));
  }
  find(".tl-files").addEventListener("click", event => {
    if (event.target.matches("a[href]:is([data-kind=mp4], [data-kind=npz])")) shown.state.unsaved = false;
  });
  find("input[type=file]").addEventListener("change", event => {
    const [file] = event.target.files;
    event.target.value = ""; // the same file can be chosen again
    if (file) insert(file);
  });

  const clicks = {
    play, back: () => go(shown.frame - 1), forward: () => go(shown.frame + 1),
    before: button => {
      shown.showsBefore = !shown.showsBefore;
      button.setAttribute("aria-pressed", String(shown.showsBefore));
      showVideo();
      TimelineView.render(element, shown);
    },
    delete: () => shown.chosen && remove(...shown.chosen),
    choose: button => { choose(Number(button.dataset.lane), Number(button.dataset.frame)); canvas.focus(); },
    remove: button => remove(Number(button.dataset.lane), Number(button.dataset.frame)),
    lock: () => onRange("lock"), unlock: () => onRange("unlock"), cut: () => onRange("cut"), all: () => setRange(null),
    regenerate, insert: () => find("input[type=file]").click(),
    record, discard: () => recording?.(false), close,
    undo: () => { settle(); send({ op: "undo" }); }, redo: () => { settle(); send({ op: "redo" }); },
    in: () => zoom(1.5), out: () => zoom(1 / 1.5), fit,
  };
  root.addEventListener("click", event => {
    const button = event.target.closest("button[data-do]");
    if (button && clicks[button.dataset.do]) clicks[button.dataset.do](button);
  });

  new ResizeObserver(resize).observe(scroller);
  new MutationObserver(redraw).observe(document.body, { attributes: true, attributeFilter: ["class"] });
  window.matchMedia("(prefers-color-scheme: dark)").addEventListener("change", redraw);
  bindVideo();
  watch("value", receive);
  root.timeline = shown; // for tests, and for whoever looks at it in the browser's console
  receive();
}

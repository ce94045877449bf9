// The parts of the timeline that are ordinary HTML: form, buttons, list of keys, downloads, status.

const TimelineView = {
  // Texts that change; `shown` is the component's, see `mountTimeline`.
  render(element, shown) {
    const { state } = shown;
    const find = selector => element.querySelector(selector);
    const root = find(".tl");
    root.toggleAttribute("data-empty", !state.frames);
    root.toggleAttribute("data-busy", Boolean(shown.working));
    TimelineView.options(find("select[name=curve]"), state.lanes.map(lane => [lane.name, lane.label]));
    TimelineView.options(find("select[name=model]"), state.models || []);
    if (state.model) find("select[name=model]").value = state.model;
    TimelineView.styles(find("select[name=style]"), state);
    TimelineView.text(find(".tl-hint"), state.frames ? "" : TimelineView.hint(state));
    TimelineView.history(find("[data-do=undo]"), "Undo", state.undo);
    TimelineView.history(find("[data-do=redo]"), "Redo", state.redo);
    const error = find(".tl-error");
    error.hidden = !state.error;
    TimelineView.text(error, state.error || "");
    TimelineView.status(find(".tl-status"), find(".tl-progress"), state, shown);
    TimelineView.badge(find(".tl-badge"), state, shown);
    TimelineView.keys(element, shown);
    TimelineView.files(find(".tl-files"), state);
    TimelineView.selection(element, shown);
  },

  // What depends on the playhead, the chosen key and the range alone.
  selection(element, shown) {
    const { state, chosen, range, frame } = shown;
    const find = selector => element.querySelector(selector);
    const lane = state.lanes[shown.lane];
    find(".tl-clock b").textContent = TimelineMath.seconds(frame);
    find(".tl-clock span").textContent = `/ ${TimelineMath.seconds(state.frames)} s`;
    if (!lane) return;
    const at = chosen ? chosen[1] : frame;
    const key = lane.keys.find(([place]) => chosen && place === at);
    const form = find(".tl-form");
    const here = shown.dragged || { frame: at, value: key ? key[1] : lane.values[at] };
    // What somebody has typed stays until they turn to another place, or the value there has changed.
    if (TimelineView.isNew(form, [lane.name, here, Boolean(key)])) {
      form.elements.curve.value = lane.name;
      form.elements.time.value = TimelineMath.seconds(here.frame);
      form.elements.value.value = here.value === undefined ? "" : TimelineMath.rounded(here.value, lane);
    }
    TimelineView.submit(form, shown);
    find(".tl-unit").textContent = lane.unit === "°" ? "Degrees" : lane.unit === "mm" ? "Millimetres" : "Value";
    find("[data-do=delete]").disabled = !key;
    const fields = find(".tl-range");
    if (TimelineView.isNew(fields, range)) {
      fields.elements.from.value = range ? TimelineMath.seconds(range[0]) : "";
      fields.elements.to.value = range ? TimelineMath.seconds(range[1]) : "";
    }
    for (const name of ["lock", "unlock", "cut", "all"]) find(`[data-do=${name}]`).disabled = !range;
    const why = TimelineMath.insertRefused(frame, state.locks);
    find("[data-do=insert]").disabled = Boolean(why);
    find("[data-do=record]").disabled = Boolean(why) && !shown.recording;
    TimelineView.text(find(".tl-why"), why && `No insert here: ${why}`);
    find("[data-do=regenerate]").textContent = range ? "Regenerate range" : "Regenerate all";
  },

  // What the form's button will do: with another time in the form the chosen key is moved there.
  submit(form, { state, chosen }) {
    const isOwn = chosen && state.lanes[chosen[0]]?.name === form.elements.curve.value;
    const moves = isOwn && form.elements.time.value !== ""
      && TimelineMath.frameOfTime(Number(form.elements.time.value)) !== chosen[1];
    TimelineView.text(form.querySelector("[type=submit]"), moves ? "Move key" : "Set key");
  },

  // Whether an element shows something else than this; from now on it counts as shown.
  isNew(element, what) {
    const stamp = JSON.stringify(what);
    if (element.dataset.stamp === stamp) return false;
    element.dataset.stamp = stamp;
    return true;
  },

  options(select, options) {
    if (!TimelineView.isNew(select, options)) return; // a list that is open must not close
    select.replaceChildren(...options.map(([value, label]) => new Option(label, value)));
  },

  styles(select, state) {
    const styles = state.styles || [];
    TimelineView.options(select, styles.length ? styles : [["", "Takes none"]]);
    select.disabled = !styles.length;
    select.value = state.style || "";
  },

  // Without anything to edit.
  hint({ error, message }) {
    const said = error || message || "Nothing to edit yet";
    return `${said}. Generate a video in the first tab, or open a motion file below.`.replace("..", ".");
  },

  history(button, word, what) {
    button.disabled = !what;
    button.title = what ? `${word}: ${what}` : `Nothing to ${word.toLowerCase()}`;
    button.setAttribute("aria-label", what ? `${word} ${what}` : word);
  },

  // A live region must not be told the same sentence again, or it is read again.
  text(element, text) {
    if (element.textContent !== text) element.textContent = text;
  },

  status(status, progress, state, shown) {
    const busy = state.busy;
    const counted = state.drawn ? state.rendered : "";
    const done = [state.message, counted].filter(Boolean).join(". ");
    TimelineView.text(status, busy ? `${busy.what[0].toUpperCase()}${busy.what.slice(1)}…` : done);
    progress.hidden = !busy && !shown.waiting;
    if (busy && busy.total) {
      progress.max = busy.total;
      progress.value = busy.done;
    } else {
      progress.removeAttribute("value");
    }
  },

  badge(badge, state, shown) {
    const text = shown.showsBefore ? "before" : state.frames && !state.drawn ? "rendering…" : "";
    TimelineView.text(badge, text);
    badge.hidden = !text;
  },

  keys(element, shown) {
    const { state } = shown;
    const keys = TimelineMath.orderedKeys(state.lanes);
    TimelineView.text(element.querySelector(".tl-count"), String(keys.length));
    const body = element.querySelector(".tl-keys tbody");
    if (!TimelineView.isNew(body, [keys, state.locks])) return; // the focus stays where it is
    body.replaceChildren(...keys.map(([index, frame, value]) => {
      const lane = state.lanes[index];
      const row = document.createElement("tr");
      const locked = TimelineMath.isLocked(frame, state.locks);
      for (const text of [`${TimelineMath.seconds(frame)} s`, lane.label, TimelineMath.amount(value, lane)]) {
        row.insertCell().textContent = text;
      }
      const actions = row.insertCell();
      for (const [what, word] of [["choose", "Edit"], ["remove", "Delete"]]) {
        const button = document.createElement("button");
        Object.assign(button, { type: "button", textContent: word, disabled: locked && what === "remove" });
        Object.assign(button.dataset, { do: what, lane: index, frame });
        button.setAttribute("aria-label", `${word} ${TimelineView.named(lane, frame, value)}`);
        actions.append(button);
      }
      if (locked) row.cells[1].textContent += " (locked)";
      return row;
    }));
  },

  named: (lane, frame, value) =>
    `${lane.label}, ${TimelineMath.seconds(frame)} s, ${TimelineMath.amount(value, lane).replace("°", " degrees")}`,

  files(nav, state) {
    const kinds = [["mp4", "Video", "edited.mp4"], ["npz", "Motion", "edited.npz"], ["csv", "Keys", "keys.csv"]];
    const files = state.files || {};
    if (!TimelineView.isNew(nav, [files, state.drawn])) return;
    nav.replaceChildren(...kinds.filter(([kind]) => files[kind]).map(([kind, label, name]) => {
      const link = document.createElement("a");
      link.textContent = `${label} (${name.split(".")[1].toUpperCase()})`;
      link.dataset.kind = kind;
      if (state.drawn) Object.assign(link, { href: `${files[kind]}?name=${name}`, download: name });
      else link.setAttribute("aria-disabled", "true"); // of the motion before the last change
      return link;
    }));
  },
};

// Records from the microphone; a recording is finished or discarded.

const TimelineRecord = {
  LEAST: 0.2, // seconds; shorter ones hold no syllable

  // Resolves to what stops it, `stop(keep)`, once the microphone runs; rejects with a sentence where there is none.
  // told(seconds): while it runs; done(file): the recording, or null if it was thrown away or is too short.
  async begin(most, told, done) {
    if (!navigator.mediaDevices?.getUserMedia || !window.MediaRecorder) {
      throw new Error("browsers allow it at 127.0.0.1, and elsewhere over HTTPS only");
    }
    const stream = await navigator.mediaDevices.getUserMedia({ audio: true });
    const recorder = new MediaRecorder(stream), parts = [], began = performance.now();
    const seconds = () => (performance.now() - began) / 1000;
    let kept = true, lasted = 0;
    const stop = keep => {
      if (recorder.state === "inactive") return;
      kept = keep;
      lasted = seconds();
      recorder.stop();
    };
    const clock = setInterval(() => (seconds() < most ? told(seconds()) : stop(true)), 200);
    recorder.addEventListener("dataavailable", event => parts.push(event.data));
    recorder.addEventListener("stop", () => {
      clearInterval(clock);
      stream.getTracks().forEach(track => track.stop()); // the browser's sign that it listens goes out
      done(kept && lasted >= TimelineRecord.LEAST ? TimelineRecord.file(parts, recorder.mimeType) : null, kept);
    });
    recorder.start();
    told(0);
    return stop;
  },

  file(parts, type) {
    const ending = type.includes("mp4") ? "m4a" : type.includes("ogg") ? "ogg" : "webm";
    return new File(parts, `recorded.${ending}`, { type });
  },
};

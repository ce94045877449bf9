// In the page: when clicks leave the browser's audio buffer and when white frames are shown, in ms of performance.now().
// (Web Audio would add a buffer of its own, which nobody hears who listens to the video element.)
async () => {
  const video = document.querySelector('#portrait');
  const found = { clicks: [], flashes: [], frames: 0 };
  window.found = found;
  const [track] = video.srcObject.getAudioTracks();
  const reader = new MediaStreamTrackProcessor({ track }).readable.getReader();
  let last = -1000;
  const listen = async () => {
    for (;;) {
      const { value, done } = await reader.read();
      const now = performance.now();
      if (done) return;
      const samples = new Float32Array(value.numberOfFrames);
      value.copyTo(samples, { planeIndex: 0, format: 'f32-planar' });
      const at = samples.findIndex(sample => Math.abs(sample) > 0.25);
      if (at >= 0 && now - last > 200) found.clicks.push(last = now + 1000 * at / value.sampleRate);
      value.close();
    }
  };
  listen();
  const canvas = new OffscreenCanvas(8, 8).getContext('2d', { willReadFrequently: true });
  let white = false;
  const seen = (now, frame) => {
    canvas.drawImage(video, 0, 0, 8, 8);
    const bright = canvas.getImageData(4, 4, 1, 1).data[1] > 128;
    if (bright && !white) found.flashes.push(frame.expectedDisplayTime);
    white = bright;
    found.frames++;
    video.requestVideoFrameCallback(seen);
  };
  video.requestVideoFrameCallback(seen);
}

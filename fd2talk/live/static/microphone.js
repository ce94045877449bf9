// An audio worklet: mono sound in blocks of 20 ms, as signed 16-bit PCM, to the page.
class Pcm extends AudioWorkletProcessor {
  constructor() {
    super();
    this.block = new Int16Array(Math.round(sampleRate / 50));
    this.filled = 0;
  }

  process([input]) {
    const channels = input.length;
    for (let i = 0; channels && i < input[0].length; i++) {
      let sum = 0;
      for (const channel of input) sum += channel[i];
      this.block[this.filled++] = Math.max(-1, Math.min(1, sum / channels)) * 32767;
      if (this.filled === this.block.length) {
        this.port.postMessage(this.block.slice().buffer);
        this.filled = 0;
      }
    }
    return true;
  }
}

registerProcessor('pcm', Pcm);

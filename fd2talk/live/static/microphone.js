// An audio worklet: mono sound in blocks of 20 ms, as signed 16-bit PCM, to the page.
class Pcm extends AudioWorkletProcessor {
  constructor() {
    super();
    this.block = new Int16Array(Math.round(sampleRate / 50));
    this.filled = 0;
    this.energy = { channels: 0, mean: 0 }; // of about the last second
  }

  // The mean, or the first channel alone where channels cancel each other.
  mixed(input) {
    const mean = Float32Array.from(input[0], (_, i) => input.reduce((sum, channel) => sum + channel[i], 0) / input.length);
    const energy = of => of.reduce((sum, value) => sum + value * value, 0);
    const keep = 1 - mean.length / sampleRate;
    this.energy.channels = keep * this.energy.channels + input.reduce((sum, channel) => sum + energy(channel), 0);
    this.energy.mean = keep * this.energy.mean + energy(mean);
    return this.energy.mean < 0.25 * this.energy.channels / input.length ** 2 ? input[0] : mean;
  }

  process([input]) {
    const channels = input.length;
    const mono = channels > 1 ? this.mixed(input) : input[0];
    for (let i = 0; channels && i < mono.length; i++) {
      this.block[this.filled++] = Math.max(-1, Math.min(1, mono[i])) * 32767;
      if (this.filled === this.block.length) {
        this.port.postMessage(this.block.slice().buffer);
        this.filled = 0;
      }
    }
    return true;
  }
}

registerProcessor('pcm', Pcm);

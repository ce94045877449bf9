// The page of `fd2talk live`: a call with the portrait, and sound for it to say or to listen to.
const $ = (selector, inside = document) => inside.querySelector(selector);
const video = $('#portrait'), statusLine = $('#status');
const address = path => `${location.protocol.replace('http', 'ws')}//${location.host}/${path}`;
const FILE_RATE = 24000; // Hz, of files that are decoded here
const PIECE = 24000; // samples of a file in one message
// Minimum jitter buffer in ms, so that sound and pictures stay in sync when packets are late. Chromium plays sound about
// 20 ms after it.
const BUFFER = { audio: 60, video: 80 };
const HERE = 'The portrait is here.', STOPPED = 'Stopped.';
let call = null;
$('#address').textContent = `${address('speech')}?rate=24000`;

function say(text, alarm = false, line = statusLine) {
  line.textContent = text;
  line.classList.toggle('alarm', alarm);
}

const capital = sentence => sentence.charAt(0).toUpperCase() + sentence.slice(1);

// -- the call ---------------------------------------------------------------------------------------------------------

class Call {
  constructor() {
    this.peer = new RTCPeerConnection({ iceServers: [] });
    this.stream = new MediaStream();
    this.peer.addTransceiver('video', { direction: 'recvonly' });
    this.peer.addTransceiver('audio', { direction: 'recvonly' });
    this.peer.ontrack = ({ track, receiver }) => {
      this.stream.addTrack(track);
      receiver.jitterBufferTarget = BUFFER[track.kind];
    };
    this.socket = new WebSocket(address('call'));
    this.socket.onmessage = event => this.take(JSON.parse(event.data));
    this.socket.onclose = () => end('The call has ended.');
    this.socket.onerror = () => end('The server cannot be reached.', true);
    this.sent = 0; // video.currentTime and time of the last report
  }

  async take(message) {
    const sentence = message.message && capital(message.message);
    if (message.type === 'ready') {
      allow(true);
      await this.offer();
    }
    else if (message.type === 'answer') {
      await this.peer.setRemoteDescription({ type: 'answer', sdp: message.sdp });
      video.srcObject = this.stream;
      await video.play();
      if (this === call) say(HERE);
    } else if (message.type === 'state') this.show(message);
    else if (message.type === 'speaking') {
      $('#badge').hidden = !message.speaking;
      if (message.speaking && statusLine.textContent === STOPPED) say(HERE);
    }
    else if (message.type === 'note') say(sentence, true);
    else if (message.type === 'error') {
      this.reason = sentence;
      say(sentence, true);
    }
  }

  async offer() {
    await this.peer.setLocalDescription(await this.peer.createOffer());
    if (this.peer.iceGatheringState !== 'complete') {
      await new Promise(done => {
        this.peer.onicegatheringstatechange = () => this.peer.iceGatheringState === 'complete' && done();
        setTimeout(done, 1000); // the server sees our address anyway
      });
    }
    this.send({ type: 'offer', sdp: this.peer.localDescription.sdp });
  }

  send(message) {
    if (this.socket.readyState === WebSocket.OPEN) this.socket.send(JSON.stringify(message));
  }

  async show(state) {
    const delay = state.delay === null ? null : state.delay + await this.buffered();
    $('#delay').textContent = delay === null ? '–' : `${delay.toFixed(2)} s`;
    $('#fps').textContent = state.fps.toFixed(0);
    $('#shown').textContent = `${state.width} × ${state.height}`;
    $('#queued').textContent = `${state.queued.toFixed(1)} s`;
    showSize(Math.max(state.width, state.height));
  }

  // Seconds that sound waits in this browser, and half of its way to here.
  async buffered() {
    let seconds = 0;
    for (const report of (await this.peer.getStats()).values()) {
      if (report.type === 'inbound-rtp' && report.kind === 'audio') {
        const before = this.last ?? { jitterBufferDelay: 0, jitterBufferEmittedCount: 0 };
        const count = report.jitterBufferEmittedCount - before.jitterBufferEmittedCount;
        if (count > 0) this.wait = (report.jitterBufferDelay - before.jitterBufferDelay) / count;
        this.last = report;
        seconds += this.wait ?? 0;
      } else if (report.type === 'candidate-pair' && report.nominated) seconds += (report.currentRoundTripTime ?? 0) / 2;
    }
    return seconds;
  }

  close() {
    this.socket.onclose = this.socket.onerror = null;
    this.socket.close();
    this.peer.close();
  }
}

function allow(allowed) {
  for (const name of ['#interrupt', '#size', '#speech', '#listen']) $(name).disabled = !allowed;
}

// The menu shows the current size, which may not be one of its choices.
function showSize(size) {
  const menu = $('#size');
  $('option.other', menu)?.remove();
  if (![...menu.options].some(option => option.value === String(size))) {
    const other = new Option(size, size);
    other.className = 'other';
    other.disabled = true;
    menu.prepend(other);
  }
  menu.value = String(size);
}

function start() {
  say('Preparing the portrait …');
  $('#start').textContent = 'Hang up';
  call = new Call(); // which allows the rest when it is ready
}

function end(sentence, alarm = false) {
  if (!call) return;
  sources.forEach(source => source.stop());
  const reason = call.reason;
  call.close();
  call = null;
  video.srcObject = null;
  video.load(); // the poster
  say(reason ?? sentence, alarm || Boolean(reason));
  $('#start').textContent = 'Start';
  $('#badge').hidden = true;
  allow(false);
  for (const name of ['#delay', '#fps', '#shown', '#queued']) $(name).textContent = '–';
}

function interrupt() {
  if (!call) return;
  call.send({ type: 'interrupt' }); // at once
  sources[0].interrupt();
  say(STOPPED);
}

$('#start').onclick = () => (call ? end('The call has ended.') : start());
$('#interrupt').onclick = interrupt;
$('#size').onchange = event => call?.send({ type: 'size', size: Number(event.target.value) });
addEventListener('keydown', event => event.key === 'Escape' && interrupt());
addEventListener('pagehide', () => end(''));

// -- sound for it -----------------------------------------------------------------------------------------------------

class Source {
  constructor(name, realTime) {
    this.path = name;
    this.realTime = realTime; // files too: it listens while others speak
    this.room = $(`#${name}`);
    this.line = $('.said', this.room);
    this.button = $('.microphone', this.room);
    this.picker = $('input[type=file]', this.room);
    this.button.onclick = () => (this.button.ariaPressed === 'true' ? this.stop() : this.microphone());
    this.picker.onchange = () => this.picker.files.length && this.file(this.picker.files[0]);
  }

  // A new request: what was there ends. Returns whether a later one, or a stop, has come meanwhile.
  begin() {
    this.stop();
    const request = this.request = {};
    return () => this.request !== request;
  }

  async open(rate, live, over) {
    const socket = new WebSocket(`${address(this.path)}?rate=${rate}${live ? '&live=1' : ''}`);
    socket.binaryType = 'arraybuffer';
    socket.onmessage = event => {
      const message = JSON.parse(event.data);
      if (message.type === 'error') reason = capital(message.message);
    };
    let reason = 'The server takes no more sound.';
    await new Promise((done, fail) => {
      socket.onopen = done;
      socket.onerror = () => fail(new Error('The server takes no sound.'));
    });
    if (over()) socket.close();
    else this.socket = socket;
    socket.onclose = () => {
      if (this.socket !== socket) return; // by us
      this.stop();
      say(reason, true, this.line);
    };
    return socket;
  }

  async microphone() {
    const over = this.begin();
    say('Waiting for the microphone …', false, this.line);
    let stream = null, context = null;
    try {
      if (!navigator.mediaDevices) throw new Error('Browsers allow microphones only on https pages and on localhost.');
      stream = await navigator.mediaDevices.getUserMedia({ audio: { echoCancellation: true } });
      if (over()) return release(stream);
      context = new AudioContext();
      await this.connect(context, context.createMediaStreamSource(stream), true, over);
      if (over()) return release(stream, context);
      [this.stream, this.context] = [stream, context];
      this.button.ariaPressed = 'true';
      say('The microphone is on.', false, this.line);
    } catch (error) {
      release(stream, context);
      if (over()) return;
      this.stop();
      say(error.name === 'NotAllowedError' ? 'The browser has not allowed the microphone.' : error.message, true, this.line);
    }
  }

  async file(file) {
    const over = this.begin();
    this.picker.value = ''; // the same file can be chosen again
    say(`Reading ${file.name} …`, false, this.line);
    let context = null;
    try {
      context = new AudioContext({ sampleRate: FILE_RATE });
      const sound = await context.decodeAudioData(await file.arrayBuffer());
      if (over()) return release(null, context);
      if (this.realTime) {
        const player = new AudioBufferSourceNode(context, { buffer: sound });
        await this.connect(context, player, false, over);
        if (over()) return release(null, context);
        this.context = context;
        player.connect(context.destination);
        player.onended = () => over() || this.stop();
        player.start();
      } else {
        await context.close();
        await this.send(sound, over);
      }
      if (over()) return;
      say(`${file.name}, ${sound.duration.toFixed(1)} s`, false, this.line);
    } catch (error) {
      release(null, context);
      if (over()) return;
      this.stop();
      const what = error.name === 'EncodingError' ? `${file.name} holds no sound that this browser can read.` : error.message;
      say(what, true, this.line);
    }
  }

  // A node's sound in real time.
  async connect(context, node, live, over) {
    const socket = await this.open(context.sampleRate, live, over);
    if (over()) return;
    await context.audioWorklet.addModule('microphone.js');
    const pcm = new AudioWorkletNode(context, 'pcm', { numberOfOutputs: 0 });
    pcm.port.onmessage = event => socket.readyState === WebSocket.OPEN && socket.send(event.data);
    node.connect(pcm);
  }

  // All of a file at once: the portrait takes it in its own time.
  async send(sound, over) {
    const socket = await this.open(sound.sampleRate, false, over);
    if (over()) return;
    const mono = mixed(sound);
    for (let at = 0; at < mono.length; at += PIECE)
      socket.send(Int16Array.from(mono.subarray(at, at + PIECE), value => Math.max(-1, Math.min(1, value)) * 32767));
    socket.send(JSON.stringify({ type: 'end' }));
  }

  // Stop what is still on its way to the server, too.
  interrupt() {
    if (this.socket?.readyState === WebSocket.OPEN) this.socket.send(JSON.stringify({ type: 'interrupt' }));
    this.stop();
  }

  stop() {
    release(this.stream, this.context);
    const socket = this.socket;
    this.stream = this.context = this.socket = this.request = null;
    socket?.close();
    this.button.ariaPressed = 'false';
    say('', false, this.line);
  }
}

function release(stream, context) {
  stream?.getTracks().forEach(track => track.stop());
  if (context && context.state !== 'closed') context.close();
}

// Mix to mono: the mean of the channels or, where they cancel each other, the first one, in blocks of a second.
function mixed(sound) {
  const channels = Array.from({ length: sound.numberOfChannels }, (_, channel) => sound.getChannelData(channel));
  const mono = Float32Array.from(channels[0], (_, i) => channels.reduce((sum, one) => sum + one[i], 0) / channels.length);
  let all = 0, cancelling = 0;
  for (let at = 0; at < mono.length; at += sound.sampleRate) {
    const energy = of => of.subarray(at, at + sound.sampleRate).reduce((sum, value) => sum + value * value, 0);
    const whole = channels.reduce((sum, one) => sum + energy(one), 0);
    all += whole;
    if (energy(mono) < 0.25 * whole / channels.length ** 2) cancelling += whole;
  }
  return cancelling > 0.1 * all ? channels[0] : mono;
}

const sources = [new Source('speech', false), new Source('listen', true)];

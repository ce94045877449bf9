// The page of `fd2talk live`: a call with the portrait, and sound for it to say or to listen to.
const $ = (selector, inside = document) => inside.querySelector(selector);
const video = $('#portrait'), statusLine = $('#status');
const address = path => `${location.protocol.replace('http', 'ws')}//${location.host}/${path}`;
const FILE_RATE = 24000; // Hz, of files that are decoded here
const PIECE = 24000; // samples of a file in one message
// Milliseconds for which sound and pictures are held back at least, so that lips stay with the sound where packets are
// late. Chromium's sound leaves about 20 ms behind that.
const BUFFER = { audio: 60, video: 80 };
let call = null;
$('#address').textContent = `${address('speech')}?rate=24000`;

function say(text, alarm = false, line = statusLine) {
  line.textContent = text;
  line.classList.toggle('alarm', alarm);
}

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
    const sentence = message.message && message.message.charAt(0).toUpperCase() + message.message.slice(1);
    if (message.type === 'ready') await this.offer();
    else if (message.type === 'answer') {
      await this.peer.setRemoteDescription({ type: 'answer', sdp: message.sdp });
      video.srcObject = this.stream;
      await video.play();
      say('The portrait is here.');
    } else if (message.type === 'state') this.show(message);
    else if (message.type === 'speaking') $('#badge').hidden = !message.speaking;
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
    $('#size').value = String(Math.max(state.width, state.height));
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

function start() {
  say('Preparing the portrait …');
  $('#start').textContent = 'Hang up';
  call = new Call();
  for (const name of ['#interrupt', '#size', '#speech', '#listen']) $(name).disabled = false;
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
  for (const name of ['#interrupt', '#size', '#speech', '#listen']) $(name).disabled = true;
  for (const name of ['#delay', '#fps', '#shown', '#queued']) $(name).textContent = '–';
}

function interrupt() {
  if (!call) return;
  sources[0].stop();
  call.send({ type: 'interrupt' });
  say('Stopped.');
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

  async open(rate, live) {
    this.stop();
    const socket = new WebSocket(`${address(this.path)}?rate=${rate}${live ? '&live=1' : ''}`);
    socket.binaryType = 'arraybuffer';
    socket.onmessage = event => {
      const message = JSON.parse(event.data);
      if (message.type === 'error') say(message.message, true, this.line);
    };
    await new Promise((done, fail) => {
      socket.onopen = done;
      socket.onerror = () => fail(new Error('The server takes no sound.'));
    });
    this.socket = socket;
    return socket;
  }

  async microphone() {
    try {
      if (!navigator.mediaDevices) throw new Error('Browsers allow microphones only on https pages and on localhost.');
      const stream = await navigator.mediaDevices.getUserMedia({ audio: { echoCancellation: true } });
      const context = new AudioContext();
      await this.connect(context, context.createMediaStreamSource(stream), true);
      this.stream = stream;
      this.button.ariaPressed = 'true';
      say('The microphone is on.', false, this.line);
    } catch (error) {
      this.stop();
      say(error.name === 'NotAllowedError' ? 'The browser has not allowed the microphone.' : error.message, true, this.line);
    }
  }

  async file(file) {
    say(`Reading ${file.name} …`, false, this.line);
    try {
      const context = new AudioContext({ sampleRate: FILE_RATE });
      const sound = await context.decodeAudioData(await file.arrayBuffer());
      if (this.realTime) {
        const player = new AudioBufferSourceNode(context, { buffer: sound });
        await this.connect(context, player, false);
        player.connect(context.destination);
        player.onended = () => this.stop();
        player.start();
      } else {
        await context.close();
        await this.send(sound);
      }
      say(`${file.name}, ${sound.duration.toFixed(1)} s`, false, this.line);
    } catch (error) {
      this.stop();
      const what = error.name === 'EncodingError' ? `${file.name} holds no sound that this browser can read.` : error.message;
      say(what, true, this.line);
    }
    this.picker.value = '';
  }

  // A node's sound in real time.
  async connect(context, node, live) {
    const socket = await this.open(context.sampleRate, live);
    this.context = context;
    await context.audioWorklet.addModule('microphone.js');
    const pcm = new AudioWorkletNode(context, 'pcm', { numberOfOutputs: 0 });
    pcm.port.onmessage = event => socket.readyState === WebSocket.OPEN && socket.send(event.data);
    node.connect(pcm);
  }

  // All of a file at once: the portrait takes it in its own time.
  async send(sound) {
    const socket = await this.open(sound.sampleRate, false);
    const mono = new Float32Array(sound.length);
    for (let channel = 0; channel < sound.numberOfChannels; channel++)
      sound.getChannelData(channel).forEach((value, i) => { mono[i] += value / sound.numberOfChannels; });
    for (let at = 0; at < mono.length; at += PIECE)
      socket.send(Int16Array.from(mono.subarray(at, at + PIECE), value => Math.max(-1, Math.min(1, value)) * 32767));
    socket.send(JSON.stringify({ type: 'end' }));
  }

  stop() {
    this.stream?.getTracks().forEach(track => track.stop());
    if (this.context?.state !== 'closed') this.context?.close();
    this.socket?.close();
    this.stream = this.context = this.socket = null;
    this.button.ariaPressed = 'false';
    say('', false, this.line);
  }
}

const sources = [new Source('speech', false), new Source('listen', true)];

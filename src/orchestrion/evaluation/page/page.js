"use strict";
// The player: a plain synthesiser for the notes that stand beside each roll. One piece sounds at a time.
const AHEAD = 0.4; // seconds of music that are handed to the sound card in advance
// By General MIDI family: wave, seconds to rise, seconds to fall (0: holds while the key is down), brightness in Hz.
const VOICES = [
  ["triangle", .004, 1.4, 4500], ["sine", .002, .7, 7000], ["square", .02, 0, 1400], ["sawtooth", .004, .9, 2200],
  ["triangle", .008, 1.1, 900], ["sawtooth", .07, 0, 2200], ["sawtooth", .09, 0, 1700], ["sawtooth", .04, 0, 2600],
  ["square", .03, 0, 1700], ["sine", .04, 0, 5000], ["sawtooth", .01, 0, 3200], ["triangle", .15, 0, 2000],
  ["triangle", .1, 0, 2600], ["sawtooth", .004, .6, 2600], ["sine", .002, .4, 5000], ["sawtooth", .05, .8, 1200]];
let audio, master, noise, playing = null;

function listen() {
  if (audio) return;
  audio = new AudioContext();
  const limiter = audio.createDynamicsCompressor();
  master = audio.createGain();
  master.gain.value = .22;
  master.connect(limiter).connect(audio.destination);
  noise = audio.createBuffer(1, audio.sampleRate, audio.sampleRate);
  const samples = noise.getChannelData(0);
  for (let i = 0, state = 1; i < samples.length; i++) {
    state = state * 16807 % 2147483647;
    samples[i] = state / 1073741824 - 1;
  }
}

function envelope(out, at, rise, level, until, release) {
  const gain = audio.createGain();
  gain.gain.setValueAtTime(0, at);
  gain.gain.linearRampToValueAtTime(level, at + rise);
  gain.gain.setTargetAtTime(0, Math.max(until, at + rise), release);
  gain.connect(out);
  return gain;
}

function tone(out, at, length, pitch, loud, program) {
  const [wave, rise, fall, bright] = VOICES[Math.min(program >> 3, 15)];
  const source = audio.createOscillator(), filter = audio.createBiquadFilter();
  const until = at + Math.max(length, .05);
  source.type = wave;
  source.frequency.value = 440 * 2 ** ((pitch - 69) / 12);
  filter.frequency.value = bright * (.4 + loud);
  const gain = envelope(out, at, rise, loud * (wave === "sine" || wave === "triangle" ? .8 : .4), until, .05);
  if (fall) gain.gain.setTargetAtTime(.0001, at + rise, fall / 2.5), gain.gain.setTargetAtTime(0, until, .06);
  source.connect(filter).connect(gain);
  source.start(at);
  source.stop(until + .4);
}

function drum(out, at, key, loud) {
  const low = [35, 36].includes(key), tom = [41, 43, 45, 47, 48, 50, 60, 61, 62, 63, 64, 65, 66].includes(key);
  const snare = [37, 38, 39, 40].includes(key), long = [46, 49, 51, 52, 53, 55, 57, 59].includes(key);
  if (low || tom || snare) {
    const source = audio.createOscillator(), start = low ? 130 : snare ? 220 : 90 + 7 * (key - 40);
    source.frequency.setValueAtTime(start, at);
    source.frequency.exponentialRampToValueAtTime(start / (low ? 3 : 1.6), at + .12);
    source.connect(envelope(out, at, .001, loud * (low ? 1.6 : .7), at + .02, low ? .08 : .06));
    source.start(at);
    source.stop(at + .7);
  }
  if (low || tom) return;
  const source = audio.createBufferSource(), filter = audio.createBiquadFilter(), fall = long ? .22 : snare ? .07 : .025;
  source.buffer = noise;
  filter.type = snare ? "bandpass" : "highpass";
  filter.frequency.value = snare ? 1800 : 7000;
  source.connect(filter).connect(envelope(out, at, .001, loud * (snare ? .9 : .35), at + .01, fall));
  source.start(at);
  source.stop(at + Math.min(6 * fall, .95));
}

class Player {
  constructor(figure) {
    const data = JSON.parse(figure.querySelector("script").textContent), flat = data.notes;
    let onset = 0;
    this.programs = data.programs;
    this.notes = []; // [onset, length (seconds), pitch, loudness, track], by onset
    for (let i = 0; i < flat.length; i += 5) {
      onset += flat[i] / 1000;
      this.notes.push([onset, flat[i + 1] / 1000, flat[i + 2], flat[i + 3] / 100, flat[i + 4]]);
    }
    this.end = this.notes.reduce((end, note) => Math.max(end, note[0] + note[1]), 0);
    this.button = figure.querySelector(".play");
    this.time = figure.querySelector(".time");
    this.scroll = figure.querySelector(".scroll");
    this.roll = figure.querySelector(".roll");
    this.head = figure.querySelector(".playhead");
    this.left = Number(this.roll.dataset.left);
    this.pace = Number(this.roll.dataset.pace);
    this.button.hidden = this.time.hidden = false;
    this.button.addEventListener("click", () => playing === this ? this.stop() : this.play(0));
    this.roll.addEventListener("click", event => {
      const box = this.roll.getBoundingClientRect(), scale = this.roll.viewBox.baseVal.width / box.width;
      this.play(Math.max(0, ((event.clientX - box.left) * scale - this.left) / this.pace));
    });
    this.show(0);
  }
  play(from) {
    if (playing) playing.stop();
    listen();
    audio.resume();
    playing = this;
    this.out = audio.createGain();
    this.out.connect(master);
    this.zero = audio.currentTime + .08 - from; // when, on the audio clock, the piece began
    this.next = this.notes.findIndex(note => note[0] >= from);
    if (this.next < 0) this.next = this.notes.length;
    this.timer = setInterval(() => this.feed(), 100);
    this.feed();
    this.label("Stop", true);
    this.roll.classList.add("on");
    this.follow();
  }
  feed() {
    const now = audio.currentTime - this.zero;
    for (; this.next < this.notes.length && this.notes[this.next][0] < now + AHEAD; this.next++) {
      const [onset, length, pitch, loud, track] = this.notes[this.next], program = this.programs[track];
      const at = Math.max(this.zero + onset, audio.currentTime);
      if (program === 128) drum(this.out, at, pitch, loud);
      else tone(this.out, at, length, pitch, loud, program);
    }
    if (now > this.end + .5) this.stop();
  }
  follow() {
    if (playing !== this) return;
    this.show(Math.min(Math.max(audio.currentTime - this.zero, 0), this.end));
    this.frame = requestAnimationFrame(() => this.follow());
  }
  show(seconds) {
    const x = this.left + seconds * this.pace, view = this.scroll;
    this.head.setAttribute("transform", `translate(${x.toFixed(1)} 0)`);
    if (playing === this && (x > view.scrollLeft + view.clientWidth - 40 || x < view.scrollLeft))
      view.scrollLeft = x - 60;
    const text = s => `${Math.floor(s / 60)}:${String(Math.floor(s % 60)).padStart(2, "0")}`;
    this.time.textContent = `${text(seconds)} / ${text(this.end)}`;
  }
  stop() {
    clearInterval(this.timer);
    cancelAnimationFrame(this.frame);
    playing = null;
    this.out.gain.setTargetAtTime(0, audio.currentTime, .02);
    setTimeout(out => out.disconnect(), 300, this.out);
    this.label("Play", false);
    this.roll.classList.remove("on");
    this.show(0);
  }
  label(word, pressed) {
    this.button.textContent = word;
    this.button.setAttribute("aria-label", this.button.getAttribute("aria-label").replace(/^\w+/, word));
    this.button.setAttribute("aria-pressed", pressed);
  }
}

if (window.AudioContext)
  for (const figure of document.querySelectorAll(".piece")) if (figure.querySelector("script")) new Player(figure);

// The contents show where the reader is; on paper everything that is folded lies open.
const links = new Map([...document.querySelectorAll("nav a")].map(a => [a.hash.slice(1), a]));
const seen = new IntersectionObserver(entries => {
  for (const entry of entries) if (entry.isIntersecting) {
    for (const link of links.values()) link.classList.remove("here");
    links.get(entry.target.id).classList.add("here");
  }
}, {rootMargin: "-15% 0px -75% 0px"});
for (const id of links.keys()) seen.observe(document.getElementById(id));
addEventListener("beforeprint", () => document.querySelectorAll(".fold").forEach(fold => fold.open = true));

"use strict";
// The player of all our pages: a plain synthesiser for notes given as numbers (rendering/player.py). One piece sounds at a
// time.
//   unpacked(flat) -> notes     [[onset, length (seconds), pitch, loudness 0..1, track], ...] by onset
//   new Performance(programs, notes, {gain, onstop(ended)})
//     .play(from) .pause() .seek(seconds) .position .playing .end     in seconds
const AHEAD = 0.4; // seconds of music that are handed to the sound card in advance
// By General MIDI family: wave, seconds to rise, seconds to fall (0: holds while the key is down), brightness in Hz.
const VOICES = [
  ["triangle", .004, 1.4, 4500], ["sine", .002, .7, 7000], ["square", .02, 0, 1400], ["sawtooth", .004, .9, 2200],
  ["triangle", .008, 1.1, 900], ["sawtooth", .07, 0, 2200], ["sawtooth", .09, 0, 1700], ["sawtooth", .04, 0, 2600],
  ["square", .03, 0, 1700], ["sine", .04, 0, 5000], ["sawtooth", .01, 0, 3200], ["triangle", .15, 0, 2000],
  ["triangle", .1, 0, 2600], ["sawtooth", .004, .6, 2600], ["sine", .002, .4, 5000], ["sawtooth", .05, .8, 1200]];
let audio, master, noise, sounding = null;

function openAudio() {
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

function unpacked(flat) {
  const notes = [];
  for (let i = 0, onset = 0; i < flat.length; i += 5) {
    onset += flat[i] / 1000;
    notes.push([onset, flat[i + 1] / 1000, flat[i + 2], flat[i + 3] / 100, flat[i + 4]]);
  }
  return notes;
}

class Performance {
  constructor(programs, notes, {gain = 1, onstop = () => {}} = {}) {
    Object.assign(this, {programs, notes, gain, onstop, rest: 0});
    this.end = notes.reduce((end, note) => Math.max(end, note[0] + note[1]), 0);
  }
  get playing() { return sounding === this; }
  get position() {
    return this.playing ? Math.min(Math.max(audio.currentTime - this.zero, 0), this.end) : this.rest;
  }
  play(from = this.rest) {
    if (sounding) sounding.halt(false);
    openAudio();
    audio.resume();
    sounding = this;
    this.out = audio.createGain();
    this.out.gain.value = this.gain;
    this.out.connect(master);
    this.zero = audio.currentTime + .08 - from; // when, on the audio clock, the piece began
    this.next = this.notes.findIndex(note => note[0] >= from);
    if (this.next < 0) this.next = this.notes.length;
    this.timer = setInterval(() => this.feed(), 100);
    this.feed();
  }
  pause() {
    if (this.playing) this.halt(false);
  }
  seek(seconds) {
    const to = Math.min(Math.max(seconds, 0), this.end);
    if (this.playing) this.play(to);
    else this.rest = to;
  }
  feed() {
    const now = audio.currentTime - this.zero;
    for (; this.next < this.notes.length && this.notes[this.next][0] < now + AHEAD; this.next++) {
      const [onset, length, pitch, loud, track] = this.notes[this.next], program = this.programs[track];
      const at = Math.max(this.zero + onset, audio.currentTime);
      if (program === 128) drum(this.out, at, pitch, loud);
      else tone(this.out, at, length, pitch, loud, program);
    }
    if (now > this.end + .5) this.halt(true);
  }
  halt(ended) {
    this.rest = ended ? 0 : this.position;
    clearInterval(this.timer);
    sounding = null;
    this.out.gain.setTargetAtTime(0, audio.currentTime, .02);
    setTimeout(out => out.disconnect(), 300, this.out);
    this.onstop(ended);
  }
}

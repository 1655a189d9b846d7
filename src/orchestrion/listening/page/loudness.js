"use strict";
// How loud the player makes a piece, so that all can be made equally loud. Needs player.js.
//   loudness(programs, notes, seconds) -> Promise of LUFS (ITU-R BS.1770-4, one channel); -Infinity where nothing sounds
//   evenGain(programs, notes, seconds) -> Promise of the gain that brings the piece to LOUDNESS
const LOUDNESS = -12; // LUFS before the player's own level; about −22 comes out of its limiter, which hardly works then
const RATE = 44100, BLOCK = .4, BLOCKS_EACH = 4; // blocks of 0.4 s, four of which overlap

async function loudness(programs, notes, seconds) {
  const samples = await rendered(programs, notes, seconds);
  const hop = Math.round(RATE * BLOCK / BLOCKS_EACH), powers = [];
  for (let start = 0; start + hop <= samples.length; start += hop) {
    let sum = 0;
    for (let i = start; i < start + hop; i++) sum += samples[i] * samples[i];
    powers.push(sum / hop);
  }
  const blocks = [];
  for (let i = 0; i + BLOCKS_EACH <= powers.length; i++)
    blocks.push(powers.slice(i, i + BLOCKS_EACH).reduce((a, b) => a + b) / BLOCKS_EACH);
  const level = power => 10 * Math.log10(power) - .691, mean = list => list.reduce((a, b) => a + b, 0) / list.length;
  const loud = blocks.filter(power => level(power) > -70); // digital silence is no music
  const gate = level(mean(loud)) - 10;
  return loud.length ? level(mean(loud.filter(power => level(power) > gate))) : -Infinity;
}

async function evenGain(programs, notes, seconds) {
  const level = await loudness(programs, notes, seconds);
  return Number.isFinite(level) ? 10 ** ((LOUDNESS - level) / 20) : 1;
}

// The player's own functions, put to work on a sound card that is none. They are called in one go, so that what plays
// meanwhile keeps its own.
function rendered(programs, notes, seconds) {
  openAudio();
  const card = audio, deaf = new OfflineAudioContext(1, Math.ceil(RATE * (seconds + .5)), RATE);
  const shelf = deaf.createBiquadFilter(), pass = deaf.createBiquadFilter();
  Object.assign(shelf, {type: "highshelf"}).frequency.value = 1682;
  shelf.gain.value = 4;
  Object.assign(pass, {type: "highpass"}).frequency.value = 38;
  pass.Q.value = -6; // dB, 0.5
  shelf.connect(pass).connect(deaf.destination);
  try {
    audio = deaf;
    for (const [onset, length, pitch, loud, track] of notes) {
      if (programs[track] === 128) drum(shelf, onset, pitch, loud);
      else tone(shelf, onset, length, pitch, loud, programs[track]);
    }
  } finally {
    audio = card;
  }
  return deaf.startRendering().then(sound => sound.getChannelData(0));
}

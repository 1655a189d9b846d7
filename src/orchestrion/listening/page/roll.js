"use strict";
// A piano roll on a canvas that scrolls under a play head.
//   new Roll(canvas, piece, onseek(seconds))    piece as pieces.py sends it
//   .draw(seconds) .close()
const BLACK_KEYS = [1, 3, 6, 8, 10], KEY_C = 0, FEWEST_ROWS = 24, HEAD_AT = .25; // of the width
const TOP = 17; // pixels for the numbers of the bars

class Roll {
  constructor(canvas, piece, onseek = () => {}) {
    this.canvas = canvas;
    this.piece = piece;
    this.notes = unpacked(piece.notes);
    this.longest = this.notes.reduce((most, note) => Math.max(most, note[1]), 0);
    const drums = track => piece.programs[track] === 128;
    const pitches = this.notes.filter(note => !drums(note[4])).map(note => note[2]);
    let low = Math.min(...pitches, 127), high = Math.max(...pitches, 0);
    if (!pitches.length) low = 60, high = 59;
    else for (let up = true; high - low + 1 < FEWEST_ROWS; up = !up) up ? high++ : low--;
    const strokes = [...new Set(this.notes.filter(note => drums(note[4])).map(note => note[2]))].sort((a, b) => a - b);
    Object.assign(this, {low, high, strokes});
    this.rows = high - low + 1 + strokes.length + (pitches.length && strokes.length ? 1 : 0);
    this.row = note => drums(note[4]) ? this.rows - 1 - strokes.indexOf(note[2]) : high - note[2];
    this.seconds = 0;
    this.cleanup = new AbortController();
    const listen = (target, kinds, act) => kinds.split(" ").forEach(
      kind => target.addEventListener(kind, act, {signal: this.cleanup.signal}));
    let dragged = null; // [x, seconds] where the hand took hold
    listen(canvas, "pointerdown", event => {
      dragged = {x: event.clientX, seconds: this.seconds, moved: false};
      canvas.setPointerCapture(event.pointerId);
    });
    listen(canvas, "pointermove", event => {
      if (!dragged || Math.abs(event.clientX - dragged.x) < 4 && !dragged.moved) return;
      dragged.moved = true;
      onseek(dragged.seconds - (event.clientX - dragged.x) / this.pace);
    });
    listen(canvas, "pointerup", event => {
      if (dragged && !dragged.moved) onseek(this.at(event.clientX - canvas.getBoundingClientRect().left));
      dragged = null;
    });
    listen(canvas, "pointercancel", () => dragged = null);
    listen(matchMedia("(prefers-color-scheme: dark)"), "change", () => this.measure());
    this.resized = new ResizeObserver(() => this.measure());
    this.resized.observe(canvas);
    this.measure();
  }
  close() {
    this.cleanup.abort();
    this.resized.disconnect();
  }
  measure() {
    const {width, height} = this.canvas.getBoundingClientRect(), dots = devicePixelRatio || 1;
    this.canvas.width = Math.round(width * dots);
    this.canvas.height = Math.round(height * dots);
    Object.assign(this, {width, height, dots, pace: width / Math.min(Math.max(width / 95, 5), 10)});
    const style = getComputedStyle(document.documentElement), of = name => style.getPropertyValue(name).trim();
    this.colour = {ink: of("--ink"), line: of("--line"), faint: of("--faint"), soft: of("--soft"), accent: of("--accent")};
    const lift = Number(of("--lift")); // as bright as the page is dark
    this.tracks = this.piece.tracks.map(track => "#" + [1, 3, 5].map(at => {
      const part = parseInt(track.colour.slice(at, at + 2), 16);
      return Math.round(part + (255 - part) * lift).toString(16).padStart(2, "0");
    }).join(""));
    this.draw(this.seconds);
  }
  x(seconds) { return this.width * HEAD_AT + (seconds - this.seconds) * this.pace; }
  at(x) { return this.seconds + (x - this.width * HEAD_AT) / this.pace; }
  draw(seconds) {
    this.seconds = seconds;
    const c = this.canvas.getContext("2d"), {width, height, rows, colour} = this;
    const tall = (height - TOP) / rows, from = this.at(0), to = this.at(width);
    c.setTransform(this.dots, 0, 0, this.dots, 0, 0);
    c.clearRect(0, 0, width, height);
    for (let pitch = this.low; pitch <= this.high; pitch++) {
      const y = TOP + (this.high - pitch) * tall;
      c.fillStyle = colour.faint;
      if (BLACK_KEYS.includes(pitch % 12)) c.fillRect(0, y, width, tall);
      c.fillStyle = colour.line;
      if (pitch % 12 === KEY_C) c.fillRect(0, y + tall - .5, width, 1);
    }
    c.fillStyle = colour.line;
    if (this.strokes.length && this.high >= this.low) c.fillRect(0, TOP + (this.high - this.low + 1.5) * tall - .5, width, 1);
    c.font = "10.5px system-ui, sans-serif";
    this.piece.bars.forEach((bar, index) => {
      if (bar < from - 3 || bar > to) return;
      const x = Math.round(this.x(bar));
      c.fillStyle = colour.line;
      c.fillRect(x, 0, 1, height);
      if (index === this.piece.bars.length - 1) return;
      c.fillStyle = colour.soft;
      c.fillText(index + 1, x + 4, 12);
    });
    let first = 0, last = this.notes.length;
    while (first < last) { // the first note that may still sound at the left edge
      const middle = first + last >> 1;
      if (this.notes[middle][0] < from - this.longest) first = middle + 1; else last = middle;
    }
    for (let i = first; i < this.notes.length && this.notes[i][0] < to; i++) {
      const note = this.notes[i], [onset, length, , loud, track] = note, x = this.x(onset);
      const wide = Math.max(length * this.pace - 1, 3), sounds = onset <= seconds && seconds < onset + length;
      c.globalAlpha = sounds ? 1 : .45 + .4 * loud;
      c.fillStyle = this.tracks[track];
      c.beginPath();
      c.roundRect(x, TOP + this.row(note) * tall + .5, wide, Math.max(tall - 1, 2), Math.min(3, tall / 3));
      c.fill();
      if (sounds) c.strokeStyle = colour.ink, c.lineWidth = 1.2, c.stroke();
    }
    c.globalAlpha = 1;
    c.fillStyle = colour.accent;
    c.fillRect(Math.round(width * HEAD_AT) - 1, 0, 2, height);
  }
}

"use strict";
// The page of a blind listening test: what is heard, what is asked about it, and nothing that was answered is lost.
const BREAK_AFTER = 15 * 60 * 1000; // milliseconds of listening in one go
const SETTLE = 350; // milliseconds in which an answer is seen before the next piece comes
const AGAIN_SOON = 2000; // milliseconds
const QUESTIONS = {
  rating: ["How good is this piece?", [["good", "Good"], ["average", "Average"], ["poor", "Poor"]]],
  inspiring: ["Do you find it inspiring?", [["yes", "Yes"], ["no", "No"]]],
  real: ["Who wrote it?", [["human", "A human"], ["machine", "A machine"]]],
  preference: ["Which do you like better?", [["first", "The first"], ["same", "The same"], ["second", "The second"]]],
};
const pieces = new Map(); // id -> promise of what plays, with its gain
const heard = new Map(); // id -> seconds, as far as it was heard
let me = "", trials = [], log = [], leastSeconds = 0, began = 0; // log: {item, question, answer, key}, in order
let trial = null, players = [], shownAt = 0, restedAt = 0, moving = 0, frame = 0;

function show(part) {
  for (const id of ["welcome", "work", "pause", "end"]) $(id).hidden = id !== part;
  $("beside").hidden = part === "welcome";
  document.body.dataset.part = part;
}

function made(name, properties = {}, ...inside) {
  const element = Object.assign(document.createElement(name), properties);
  element.append(...inside);
  return element;
}

// What was answered: all that the server knows, and what it has not got yet ------------------------------------------

const given = (item, question) => log.findLast(entry => entry.item === item && entry.question === question);
const done = one => one.questions.every(question => given(one.item, question));

async function begin(name) {
  let told;
  try {
    await unsent.flush();
    const answer = await post("api/begin", {labeler: name});
    told = await answer.json();
    if (!answer.ok) return welcome(told.error);
  } catch { return welcome("The server cannot be reached. Is it running?"); }
  me = name;
  remembered.set("name", name);
  [trials, log, leastSeconds, began] = [told.trials, told.answers, told.least_seconds, performance.now()];
  restedAt = began;
  for (const {path, body} of unsent.waiting()) {
    if (body.labeler !== me) continue;
    if (path === "api/answers") log.push(body);
    else log = log.filter(entry => entry.key !== body.key);
  }
  $("who").textContent = name;
  $("who").setAttribute("aria-label", `${name}: change the name`);
  $("who").hidden = false;
  if (log.length && !trials.every(done)) rest("Welcome back", "You go on where you were. If you have not been here before, take another name.");
  else next();
}

function welcome(reason = "") {
  notice(reason);
  show("welcome");
  $("name").select();
}

function say(question, answer) {
  if (!trial?.ready || $("questions").querySelector(`[data-question=${question}]`).disabled) return;
  if (given(trial.item, question)?.answer === answer) return;
  const entry = {item: trial.item, question, answer, key: randomKey(), labeler: me,
    seconds: Math.round(performance.now() - shownAt) / 1000};
  log.push(entry);
  unsent.put("api/answers", entry);
  marked();
  clearTimeout(moving);
  if (done(trial)) moving = setTimeout(next, SETTLE);
}

function undo() {
  const last = log.at(-1);
  if (!last || !me) return;
  clearTimeout(moving);
  log = log.filter(entry => entry !== last);
  unsent.put("api/undo", {key: last.key, labeler: me});
  const of = trials.find(one => one.item === last.item);
  if (of === trial && !$("work").hidden) marked();
  else present(of);
}

// What comes next ----------------------------------------------------------------------------------------------------

function next() {
  clearTimeout(moving);
  const open = trials.filter(one => !done(one));
  counted();
  if (!open.length) return over();
  if (performance.now() - restedAt > BREAK_AFTER)
    return rest("Time for a break?", "Ears tire. Everything you said is kept; go on when you like, now or another day.");
  for (const one of open.slice(0, 2)) for (const id of one.pieces) piece(id).catch(() => {});
  present(open[0]);
}

function rest(title, text) {
  hush();
  restedAt = performance.now();
  $("pause-title").textContent = title;
  $("pause-text").textContent = text;
  counted();
  show("pause");
  $("pause-title").focus({preventScroll: true});
}

function over() {
  hush();
  trial = null;
  show("end");
  $("end-title").textContent = `Thank you, ${me}`;
  $("end-text").textContent = "You have heard everything there is to hear. Your answers are in; you may close this page.";
  $("end-title").focus({preventScroll: true});
  unsent.flush().then(all => {
    if (!all) $("end-text").textContent = "You have heard everything there is to hear. Please leave this page open until the server has all your answers.";
  });
}

function counted() {
  const finished = trials.filter(done).length;
  $("bar").firstElementChild.style.width = `${trials.length ? 100 * finished / trials.length : 0}%`;
  $("bar").setAttribute("aria-valuemax", trials.length);
  $("bar").setAttribute("aria-valuenow", finished);
  $("counts").textContent = `${finished} of ${trials.length}`;
  $("undo").disabled = !log.length;
}

// What is heard: no picture of the notes, which would tell more than the ear ----------------------------------------

function piece(id) {
  if (!pieces.has(id)) pieces.set(id, (async () => {
    const answer = await fetch(`api/pieces/${encodeURIComponent(id)}`);
    if (!answer.ok) throw new Error(`status ${answer.status}`);
    const {programs, notes: flat, seconds} = await answer.json(), notes = unpacked(flat);
    return {programs, notes, gain: await evenGain(programs, notes, seconds)};
  })().catch(error => { pieces.delete(id); throw error; }));
  return pieces.get(id);
}

async function present(one) {
  hush();
  const mine = trial = {...one, ready: false};
  players = [];
  show("work");
  const of = trials.filter(other => other.pieces.length === one.pieces.length);
  $("trial-title").textContent = `${one.pieces.length === 2 ? "Two pieces" : "A piece"} · ${of.findIndex(other => other.item === one.item) + 1} of ${of.length}`;
  $("questions").replaceChildren(...one.questions.map(asked));
  $("players").replaceChildren(...one.pieces.map(shownPlayer));
  $("hint").textContent = "One moment …";
  marked();
  let found;
  try { found = await Promise.all(one.pieces.map(piece)); } catch {
    if (mine !== trial) return;
    $("hint").textContent = "The music cannot be fetched just now; it is tried again.";
    moving = setTimeout(() => mine === trial && present(one), AGAIN_SOON);
    return;
  }
  if (mine !== trial) return;
  players = found.map(({programs, notes, gain}, place) =>
    new Performance(programs, notes, {gain, onstop: ended => stopped(mine, place, ended)}));
  trial.ready = true;
  shownAt = performance.now();
  $("trial-title").focus({preventScroll: true});
  if ($("at-once").checked) players[0].play(0);
  drawn();
}

function stopped(mine, place, ended) {
  if (mine !== trial || !players[place]) return;
  if (ended) heard.set(mine.pieces[place], players[place].end);
  if (ended && players[place + 1] && !heard.has(mine.pieces[place + 1]) && $("at-once").checked) players[place + 1].play(0);
  drawn();
}

function hush() {
  clearTimeout(moving);
  cancelAnimationFrame(frame);
  for (const player of players) player.pause();
}

function toggle(place = Math.max(0, players.findIndex(player => player.playing))) {
  const player = players[place];
  if (!player) return;
  if (player.playing) player.pause(); else player.play();
  drawn();
}

function shownPlayer(_, place, all) {
  const name = all.length === 2 ? ["First", "Second"][place] : "";
  const button = made("button", {type: "button", className: "play", textContent: "Play"});
  button.addEventListener("click", () => toggle(place));
  if (all.length === 2) button.setAttribute("aria-keyshortcuts", "AB"[place]);
  const bar = made("div", {className: "progress"}, made("div"));
  const box = made("div", {className: "player"}, made("b", {textContent: name}), button, bar, made("output"));
  if (all.length === 2) button.after(made("kbd", {textContent: "AB"[place]}));
  return box;
}

function asked(question) {
  const [text, choices] = QUESTIONS[question];
  const buttons = choices.map(([answer, label], place) => {
    const button = made("button", {type: "button", textContent: label}, made("kbd", {textContent: place + 1}));
    button.dataset.answer = answer;
    button.addEventListener("click", () => say(question, answer));
    return button;
  });
  const set = made("fieldset", {disabled: true}, made("legend", {textContent: text}), made("div", {className: "choices"}, ...buttons));
  set.dataset.question = question;
  return set;
}

function marked() {
  const open = trial.questions.find(question => !given(trial.item, question));
  for (const set of $("questions").children) {
    set.classList.toggle("now", set.dataset.question === open);
    for (const button of set.querySelectorAll("button"))
      button.setAttribute("aria-pressed", given(trial.item, set.dataset.question)?.answer === button.dataset.answer);
  }
  counted();
}

const clock = s => `${Math.floor(s / 60)}:${String(Math.floor(s % 60)).padStart(2, "0")}`;
function drawn() {
  cancelAnimationFrame(frame);
  [...$("players").children].forEach((box, place) => {
    const player = players[place];
    if (!player) return;
    const at = player.position;
    if (player.playing) heard.set(trial.pieces[place], Math.max(heard.get(trial.pieces[place]) ?? 0, at));
    box.dataset.on = player.playing;
    box.querySelector(".progress div").style.width = `${100 * at / player.end}%`;
    box.querySelector("output").textContent = `${clock(at)} / ${clock(player.end)}`;
    box.querySelector(".play").textContent = player.playing ? "Pause" : "Play";
    box.querySelector(".play").setAttribute("aria-pressed", player.playing);
  });
  const enough = trial.ready && players.every((player, place) =>
    (heard.get(trial.pieces[place]) ?? 0) >= Math.min(leastSeconds, player.end - .3));
  for (const set of $("questions").children) if (set.disabled === enough) set.disabled = !enough;
  const hint = enough ? "" : players.length === 2 ? "Listen to both for a little first." : "Listen for a little first.";
  if ($("hint").textContent !== hint) $("hint").textContent = hint;
  if (players.some(player => player.playing)) frame = requestAnimationFrame(drawn);
}

// Hands --------------------------------------------------------------------------------------------------------------

$("enter").addEventListener("submit", event => {
  event.preventDefault();
  const name = $("name").value.replace(/\s+/gu, " ").trim();
  openAudio(); // while a hand is on the page, or the browser keeps it mute
  if (name) begin(name);
});
$("who").addEventListener("click", () => {
  hush();
  [me, trial, players] = ["", null, []];
  $("who").hidden = true;
  welcome();
});
$("go-on").addEventListener("click", next);
$("undo").addEventListener("click", undo);
$("at-once").addEventListener("change", () => remembered.set("at-once", $("at-once").checked));
// A button that the mouse has pressed lets go of the focus, or the space bar would press it again.
document.addEventListener("click", event => event.detail && event.target.closest("button")?.blur());
document.addEventListener("keydown", event => {
  if (event.ctrlKey || event.metaKey || event.altKey || event.repeat || event.target.closest("#welcome")) return;
  const key = event.key.toLowerCase(), on = event.target.closest("button, input");
  if (key === "u") undo();
  if ($("work").hidden) return;
  if (key === " " && !on) event.preventDefault(), toggle();
  if (players.length === 2 && "ab".includes(key)) toggle("ab".indexOf(key));
  const now = $("questions").querySelector(".now");
  if (now && "123".includes(key)) now.querySelectorAll("button")[Number(key) - 1]?.click();
});
addEventListener("storage", () => unsent.tell());

$("name").value = remembered.get("name") ?? "";
$("at-once").checked = remembered.get("at-once") !== "false";
$("name").focus();
welcome();

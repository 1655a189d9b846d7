"use strict";
// The oracle's page: one piece after another, a key for each answer, and nothing that was answered is lost.
const HOLD_OFF = 350; // milliseconds after a piece appears in which an answer is the second half of a double click
const PIECES_KEPT = 12; // for going back
const LOOK_AGAIN = 15000, LOOK_SOON = 2000; // milliseconds
const ANSWER_KEYS = {r: "real", f: "fake", g: "good", p: "poor", s: "skip"};
const tab = randomKey();
const pieces = new Map(); // id -> promise of notes
const answered = new Set(), given = []; // ids; {key, item, answer} in this tab
let me = "", current = null, ahead = null, lastKept = null, state = "open", player = null, roll = null, agreeing = false;

function show(part) {
  for (const id of ["welcome", "work", "end"]) $(id).hidden = id !== part;
  $("beside").hidden = part === "welcome";
  $("bar").style.visibility = part === "welcome" ? "hidden" : "";
  $("skip").hidden = document.querySelector(".at-once").hidden = part !== "work";
  document.body.dataset.part = part;
}

// What is heard ----------------------------------------------------------------------------------------------------

function piece(id) {
  if (!pieces.has(id)) pieces.set(id, (async () => {
    const answer = await fetch(`api/items/${encodeURIComponent(id)}`);
    if (!answer.ok && answer.status < 500) return {error: (await answer.json()).error};
    if (!answer.ok) throw new Error(answer.status);
    return answer.json();
  })().catch(error => { pieces.delete(id); throw error; }));
  if (pieces.size > PIECES_KEPT) pieces.delete(pieces.keys().next().value);
  return pieces.get(id);
}

async function present(item) {
  current = {...item, key: randomKey(), at: performance.now()};
  const mine = current;
  show("work");
  $("piece-title").textContent = item.sentence ? `“${item.sentence}”` : "What is it?";
  let notes;
  try { notes = await piece(item.id); } catch {
    if (mine === current) current = null, waitFor();
    return;
  }
  if (mine !== current) return;
  close();
  if (notes.error) notice(`${notes.error}. Skip it.`);
  else {
    player = new Performance(notes.programs, unpacked(notes.notes), {onstop: () => drawn(true)});
    roll = new Roll($("roll"), notes, seconds => { player.seek(seconds); drawn(); });
    $("seek").max = player.end;
    $("tracks").replaceChildren(...notes.tracks.map(({name, colour}) => {
      const entry = document.createElement("li");
      entry.textContent = name;
      entry.style.setProperty("--c", colour);
      return entry;
    }));
    const tracks = notes.tracks.map(track => track.name).join(", ");
    $("roll").setAttribute("aria-label", `Piano roll: ${notes.notes.length / 5} notes; ${tracks}`);
  }
  current.at = performance.now();
  current.ready = true;
  if (player && $("at-once").checked) player.play(0);
  drawn();
}

function close() {
  player?.pause();
  roll?.close();
  player = roll = null;
}

const clock = s => `${Math.floor(s / 60)}:${String(Math.floor(s % 60)).padStart(2, "0")}`;
let frame = 0;
function drawn() {
  cancelAnimationFrame(frame);
  if (!player) return;
  const at = player.position;
  roll.draw(at);
  if (document.activeElement !== $("seek") || player.playing) $("seek").value = at;
  $("time").textContent = `${clock(at)} / ${clock(player.end)}`;
  $("seek").setAttribute("aria-valuetext", $("time").textContent);
  $("play").textContent = player.playing ? "Pause" : "Play";
  $("play").setAttribute("aria-pressed", player.playing);
  if (player.playing) frame = requestAnimationFrame(drawn);
}

function toggle() {
  if (!player) return;
  if (player.playing) player.pause(); else player.play();
  drawn();
}

// What is answered -------------------------------------------------------------------------------------------------

function say(answer) {
  if (!current?.ready || performance.now() - current.at < HOLD_OFF) return;
  const {id: item, key, at} = current;
  given.push({key, answer, item: current});
  answered.add(item);
  close();
  current = null;
  const sent = unsent.put("api/answers",
    {item, labeler: me, answer, key, seconds: Math.round(performance.now() - at) / 1000});
  undoable();
  if (ahead) [current, ahead] = [ahead, null], present(current);
  else waitFor();
  sent.then(all => all && look());
}

function undo() {
  let last = given.pop();
  if (!last && lastKept && !answered.has(lastKept.id)) last = {key: lastKept.key, item: lastKept};
  if (!last) return;
  lastKept = null;
  close();
  if (current) ahead = current;
  answered.delete(last.item.id);
  const sent = unsent.put("api/undo", {key: last.key, labeler: me, tab});
  undoable();
  present({id: last.item.id, sentence: last.item.sentence});
  sent.then(all => all && look());
}

function undoable() {
  const last = given.at(-1) ?? lastKept;
  $("undo").disabled = !last;
  $("undo").firstChild.textContent = last ? `Undo “${last.answer}”` : "Undo";
}

// What comes next --------------------------------------------------------------------------------------------------

let looking = null, timer = 0;
function look() {
  looking ??= ask().finally(() => looking = null);
  return looking;
}

async function ask() {
  clearTimeout(timer);
  timer = setTimeout(look, current ? LOOK_AGAIN : LOOK_SOON);
  if (!me) return;
  let told;
  try {
    const answer = await fetch(`api/next?${new URLSearchParams({labeler: me, tab})}`, {cache: "no-store"});
    told = await answer.json();
    if (!answer.ok) throw new Error(told.error);
  } catch (error) {
    if (!current) waitFor(error instanceof TypeError ? "The server cannot be reached. This page tries again by itself."
      : error.message);
    return;
  }
  unsent.reached || unsent.flush();
  state = told.state;
  counted(told.progress);
  lastKept = told.progress.last;
  undoable();
  const fresh = told.items.filter(item => !answered.has(item.id) && item.id !== current?.id);
  if (!current && fresh.length) {
    const [first, second] = ahead && !answered.has(ahead.id) ? [ahead, fresh.find(item => item.id !== ahead.id)] : fresh;
    ahead = second ?? null;
    present(first);
  } else if (!ahead) ahead = fresh[0] ?? null;
  if (ahead) piece(ahead.id).catch(() => {});
  if (!current) over(told.progress);
}

function waitFor(reason = "") {
  close();
  show("end");
  $("end-title").textContent = "One moment";
  $("end-text").textContent = reason || "The next piece is on its way.";
  clearTimeout(timer);
  timer = setTimeout(look, LOOK_SOON / 4);
}

function over(progress) {
  const left = progress.wanted - progress.given, own = progress.own === 1 ? "1 answer" : `${progress.own} answers`;
  const [title, text] = {
    done: ["All is labelled", `Every piece has its answers. ${own} came from you. Thank you! You may close this page.`],
    budget: ["The budget is used", `All ${progress.given} answers are in, ${own} of them yours. Thank you! You may close this page.`],
    yours: ["That was all for you", `You have heard every piece that is open; ${left} more answers have to come from ` +
      `other people. You gave ${own}. Thank you! You may close this page.`],
    busy: ["The rest is with others", "Somebody has the last pieces open just now, perhaps you in another tab. This page " +
      "goes on by itself if one comes back."],
    open: ["One moment", "The next piece is on its way."],
  }[state];
  close();
  show("end");
  if ($("end-title").textContent !== title) $("end").focus({preventScroll: true});
  $("end-title").textContent = title;
  $("end-text").textContent = text;
}

function counted(progress) {
  const share = progress.wanted ? progress.given / progress.wanted : 1;
  $("bar").firstElementChild.style.width = `${100 * share}%`;
  $("bar").setAttribute("aria-valuemax", progress.wanted);
  $("bar").setAttribute("aria-valuenow", progress.given);
  const budget = progress.budget === null ? "" : ` · budget ${progress.budget}`;
  $("counts").textContent = `${progress.given} of ${progress.wanted} answers${budget} · yours ${progress.own}`;
  agreeing = progress.per_item > 1;
}

let agreement = 0;
async function agree() {
  clearTimeout(agreement);
  agreement = setTimeout(agree, LOOK_AGAIN);
  if (!agreeing) return;
  try {
    const {alpha, items} = await (await fetch("api/agreement")).json();
    $("agreement").textContent = alpha === null ? "Agreement (Krippendorff’s α): not yet, too few pieces have several answers"
      : `Agreement (Krippendorff’s α): ${alpha.toFixed(2)} over ${items} ${items === 1 ? "piece" : "pieces"} with several answers`;
  } catch { /* the next time */ }
}

// Hands ------------------------------------------------------------------------------------------------------------

function begin(name) {
  me = name;
  remembered.set("name", name);
  $("who").textContent = name;
  $("who").setAttribute("aria-label", `${name}: change the name`);
  $("who").hidden = false;
  waitFor();
  unsent.flush().then(look);
  setTimeout(agree, 500);
}

$("enter").addEventListener("submit", event => {
  event.preventDefault();
  const name = $("name").value.replace(/\s+/gu, " ").trim();
  if (name) begin(name);
});
$("who").addEventListener("click", () => {
  leave();
  close();
  me = "";
  [current, ahead, lastKept] = [null, null, null];
  given.length = 0;
  answered.clear();
  undoable();
  $("who").hidden = true;
  show("welcome");
  $("name").select();
});
$("play").addEventListener("click", toggle);
$("undo").addEventListener("click", undo);
$("seek").addEventListener("input", () => { player?.seek(Number($("seek").value)); drawn(); });
$("at-once").addEventListener("change", () => remembered.set("at-once", $("at-once").checked));
for (const button of document.querySelectorAll("[data-answer]"))
  button.addEventListener("click", event => event.detail > 1 || say(button.dataset.answer)); // 2: of a double click
// A button that the mouse has pressed lets go of the focus, or the space bar would press it again.
document.addEventListener("click", event => event.detail && event.target.closest("button")?.blur());
document.addEventListener("keydown", event => {
  if (event.ctrlKey || event.metaKey || event.altKey || event.target.closest?.("#welcome")) return;
  const key = event.key.toLowerCase(), on = event.target.closest?.("button, input");
  if (key === " " && (!on || on.type === "range")) event.preventDefault(), event.repeat || toggle();
  if (event.repeat) return;
  if (key === "u") undo();
  if (key in ANSWER_KEYS) say(ANSWER_KEYS[key]);
});
function leave() {
  if (me) navigator.sendBeacon("api/leave", new Blob([JSON.stringify({labeler: me, tab})], {type: "application/json"}));
}
addEventListener("pagehide", leave);
addEventListener("pageshow", event => event.persisted && look());
addEventListener("storage", () => unsent.tell());

const asked = new URLSearchParams(location.search).get("name");
$("name").value = asked ?? remembered.get("name") ?? "";
$("at-once").checked = remembered.get("at-once") !== "false";
show("welcome");
$("name").focus();

"use strict";
// What was answered and not yet acknowledged. It lies in localStorage, so that it outlives a closed tab and a killed
// server, and is sent again until the server has it; keys make that harmless.
//   new Unsent(store, changed)    changed({waiting, reached, refused}) after each change
//   .put(path, body)              body.key names it; sent in the order put
//   .flush() -> Promise<boolean>  whether all was acknowledged
const AGAIN = 2000; // milliseconds between two attempts

class Unsent {
  constructor(store, changed = () => {}) {
    Object.assign(this, {prefix: `orchestrion:${store}:unsent:`, changed, reached: true, refused: "", memory: new Map(),
      last: 0});
  }
  get kept() { // localStorage, where the browser allows it
    try { return window.localStorage; } catch { return null; }
  }
  put(path, body) {
    this.last = Math.max(this.last + 1, Date.now() * 1000);
    const name = `${this.prefix}${path}:${body.key}`, value = JSON.stringify({path, body, at: this.last});
    this.memory.set(name, value);
    try { this.kept?.setItem(name, value); } catch { /* full: memory has it */ }
    this.tell();
    return this.flush();
  }
  waiting() { // other tabs' too
    const found = new Map(this.memory), kept = this.kept;
    for (let i = 0; kept && i < kept.length; i++) {
      const name = kept.key(i);
      if (name.startsWith(this.prefix)) found.set(name, kept.getItem(name));
    }
    return [...found].flatMap(([name, value]) => {
      try { return [{name, ...JSON.parse(value)}]; } catch { return []; } // not ours
    }).sort((a, b) => a.at - b.at);
  }
  drop(name) {
    this.memory.delete(name);
    this.kept?.removeItem(name);
  }
  flush() {
    this.sending ??= this.send().finally(() => this.sending = null);
    return this.sending;
  }
  async send() {
    clearTimeout(this.timer);
    for (let next; (next = this.waiting()[0]);) {
      let answer = null;
      try { answer = await post(next.path, next.body); } catch { /* not reached */ }
      this.reached = answer !== null && answer.status < 500;
      if (!this.reached) {
        this.timer = setTimeout(() => this.flush(), AGAIN);
        this.tell();
        return false;
      }
      if (!answer.ok) { // it will never be taken: put aside, not away
        this.refused = (await answer.json().catch(() => ({}))).error ?? `status ${answer.status}`;
        try { this.kept?.setItem(next.name.replace(":unsent:", ":refused:"), JSON.stringify(next)); } catch { /* full */ }
      }
      this.drop(next.name);
      this.tell();
    }
    return true;
  }
  tell() { this.changed({waiting: this.waiting().length, reached: this.reached, refused: this.refused}); }
}

function post(path, body) {
  return fetch(path, {method: "POST", headers: {"content-type": "application/json"}, body: JSON.stringify(body),
    keepalive: true, signal: AbortSignal.timeout?.(15000)});
}

function randomKey() {
  return [...crypto.getRandomValues(new Uint8Array(12))].map(byte => byte.toString(16).padStart(2, "0")).join("");
}

"use strict";
// What the pages for labels and for listening tests share: what a browser remembers, and what is said of answers unsent.
const $ = id => document.getElementById(id);
const store = document.querySelector("meta[name=store]").content;

const remembered = {
  get(name) { try { return localStorage.getItem(`orchestrion:${name}`); } catch { return null; } },
  set(name, value) { try { localStorage.setItem(`orchestrion:${name}`, value); } catch { /* asked again next time */ } },
};
const unsent = new Unsent(store, ({waiting, reached, refused}) => {
  const many = waiting === 1 ? "1 answer is" : `${waiting} answers are`;
  if (!reached && waiting) notice(`The server cannot be reached. ${many} kept in this browser and will be sent when it is back.`);
  else if (refused) notice(`The server did not take an answer: ${refused}. It is kept in this browser.`);
  else if (reached && !waiting) notice("");
});

function notice(text) {
  if ($("notice").textContent !== text) $("notice").textContent = text;
  $("notice").hidden = !text;
}

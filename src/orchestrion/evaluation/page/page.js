// The report: each roll with its player, `Performance` of player.js, which stands before this file in the page.
class Player {
  constructor(figure) {
    const data = JSON.parse(figure.querySelector("script").textContent);
    this.piece = new Performance(data.programs, unpacked(data.notes), {onstop: () => this.stopped()});
    this.button = figure.querySelector(".play");
    this.time = figure.querySelector(".time");
    this.scroll = figure.querySelector(".scroll");
    this.roll = figure.querySelector(".roll");
    this.head = figure.querySelector(".playhead");
    this.left = Number(this.roll.dataset.left);
    this.pace = Number(this.roll.dataset.pace);
    this.button.hidden = this.time.hidden = false;
    this.button.addEventListener("click", () => this.piece.playing ? this.piece.pause() : this.play(0));
    this.roll.addEventListener("click", event => {
      const box = this.roll.getBoundingClientRect(), scale = this.roll.viewBox.baseVal.width / box.width;
      this.play(Math.max(0, ((event.clientX - box.left) * scale - this.left) / this.pace));
    });
    this.show(0);
  }
  play(from) {
    this.piece.play(from);
    this.label("Stop", true);
    this.roll.classList.add("on");
    this.follow();
  }
  follow() {
    if (!this.piece.playing) return;
    this.show(this.piece.position);
    this.frame = requestAnimationFrame(() => this.follow());
  }
  show(seconds) {
    const x = this.left + seconds * this.pace, view = this.scroll;
    this.head.setAttribute("transform", `translate(${x.toFixed(1)} 0)`);
    if (this.piece.playing && (x > view.scrollLeft + view.clientWidth - 40 || x < view.scrollLeft))
      view.scrollLeft = x - 60;
    const text = s => `${Math.floor(s / 60)}:${String(Math.floor(s % 60)).padStart(2, "0")}`;
    this.time.textContent = `${text(seconds)} / ${text(this.piece.end)}`;
  }
  stopped() {
    cancelAnimationFrame(this.frame);
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

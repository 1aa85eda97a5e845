// Wins in, a celebration of a few seconds each out: one at a time, never at night, with or without sound.
// The queue is short: a floor that wins faster than it can celebrate does not want to see old ones.

import { make, motionIsReduced, setHidden, setText } from "./dom.js";

const WAITING_MAX = 5, SEEN_MAX = 200, TOO_OLD_MS = 120000, SPARKS = 28, SOUND_WAIT_MS = 800;

export class Wins {
  constructor(root, f, say) {
    Object.assign(this, { root, f, say });
    this.waiting = [];
    this.seen = new Set();
    this.current = null;
    this.endMs = 0;
    this.seconds = 8;
    this.sound = null;
    this.quietHours = null;
    this.build();
  }

  build() {
    this.picture = make("img");
    this.picture.alt = "";
    this.picture.addEventListener("error", () => this.showInitials());
    this.initials = make("span");
    this.headline = make("p", "headline");
    this.who = make("bdi", "who");
    this.amount = make("bdi", "amount");
    this.team = make("p", "team");
    this.sparks = make("div", "sparks", ...Array.from({ length: SPARKS }, (_, place) => {
      const spark = make("i");
      const turn = place / SPARKS * 2 * Math.PI + (place % 3) * 0.11, far = 26 + (place * 37) % 23;
      spark.style.setProperty("--x", `${(Math.cos(turn) * far * 1.3).toFixed(1)}vmin`);
      spark.style.setProperty("--y", `${(Math.sin(turn) * far).toFixed(1)}vmin`);
      spark.style.setProperty("--turn", `${(place * 97) % 360}deg`);
      return spark;
    }));
    this.sparks.setAttribute("aria-hidden", "true");
    const face = make("div", "face", this.initials, this.picture);
    face.setAttribute("aria-hidden", "true");
    this.card = make("div", "card", face, this.headline, make("p", "", this.who), make("p", "", this.amount), this.team);
    this.root.append(this.sparks, this.card);
    this.root.addEventListener("click", () => this.end());
  }

  take(hello) {
    this.seconds = hello.win ? hello.win.seconds : 8;
    this.quietHours = hello.quiet_hours || null;
  }

  add(win, nowMs) {
    const key = `${win.id} ${win.closed_ms}`;
    if (this.seen.has(key)) return;
    this.seen.add(key);
    if (this.seen.size > SEEN_MAX) this.seen.delete(this.seen.values().next().value);
    if (this.seconds <= 0 || this.isQuiet(nowMs)) return;
    this.waiting.push({ win, heardMs: nowMs });
    if (this.waiting.length > WAITING_MAX) this.waiting.shift();
  }

  revert(id) {
    this.waiting = this.waiting.filter(({ win }) => win.id !== id);
    for (const key of this.seen) if (key.startsWith(`${id} `)) this.seen.delete(key);
    if (this.current && this.current.id === id) this.end();
  }

  // Quiet hours are times of day in the floor's zone, `[from, to)`, and may go over midnight.
  isQuiet(nowMs) {
    if (!this.quietHours) return false;
    const [from, to] = this.quietHours.map(time => String(time).slice(0, 5));
    const now = new Intl.DateTimeFormat("en-GB", { timeZone: this.f.zone, hour: "2-digit", minute: "2-digit" }).format(nowMs);
    return from <= to ? from <= now && now < to : from <= now || now < to;
  }

  beat(nowMs) {
    if (this.current && (nowMs >= this.endMs || nowMs < this.endMs - 60000)) this.end();
    if (this.current) return;
    while (this.waiting.length) {
      const { win, heardMs } = this.waiting.shift();
      if (nowMs - heardMs < TOO_OLD_MS) { this.begin(win, nowMs); return; }
    }
  }

  begin(win, nowMs) {
    this.current = win;
    this.endMs = nowMs + this.seconds * 1000;
    const name = win.rep_name || win.rep || this.f.ui("somebody");
    const priced = typeof win.amount_minor === "number";
    const amount = priced ? this.f.money(win.amount_minor, win.currency, win.currency_exponent) : "";
    setText(this.headline, this.f.ui("win"));
    setText(this.who, name);
    setText(this.amount, amount);
    setText(this.team, win.team || "");
    this.showInitials(name);
    if (win.picture) {
      this.picture.src = win.picture;
      setHidden(this.picture, false);
    }
    this.root.classList.toggle("calm", motionIsReduced());
    setHidden(this.root, false);
    this.say(this.f.ui(priced ? "win_said" : "win_said_without_amount", { name, amount }));
    if (this.sound) this.sound.play();
  }

  showInitials(name) {
    setHidden(this.picture, true);
    this.picture.removeAttribute("src");
    if (name === undefined) return;
    const words = name.split(/\s+/).filter(Boolean);
    setText(this.initials, words.slice(0, 2).map(word => [...word][0]).join("").toUpperCase());
  }

  end() {
    this.current = null;
    setHidden(this.root, true);
    this.picture.removeAttribute("src");
  }
}

// Four rising notes. A browser plays nothing before somebody touched the page, unless it was started to; the
// wall then stays silent, and does not play all it missed at the first touch.
export class Sound {
  constructor() { this.context = null; }

  async play() {
    try {
      this.context = this.context || new AudioContext();
      if (this.context.state !== "running") await Promise.race([this.context.resume(), waited(SOUND_WAIT_MS)]);
      if (this.context.state === "running") this.notes();
      else throw new Error("the browser plays nothing");
    } catch {
      if (this.context) this.context.close().catch(() => {});
      this.context = null;
    }
  }

  notes() {
    const start = this.context.currentTime;
    [523.25, 659.25, 783.99, 1046.5].forEach((pitch, place) => {
      const tone = this.context.createOscillator(), loudness = this.context.createGain();
      const from = start + place * 0.12;
      tone.type = "triangle";
      tone.frequency.value = pitch;
      loudness.gain.setValueAtTime(0, from);
      loudness.gain.linearRampToValueAtTime(0.18, from + 0.02);
      loudness.gain.exponentialRampToValueAtTime(0.0001, from + 0.5);
      tone.connect(loudness).connect(this.context.destination);
      tone.start(from);
      tone.stop(from + 0.55);
    });
  }
}

function waited(ms) { return new Promise(done => setTimeout(done, ms)); }

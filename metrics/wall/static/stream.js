// Board names in, messages of /wall/stream out, for months: finds out by itself when the line is dead, the
// machine slept or the server is gone, and opens it again. Never touches the page.

const QUIET_MS = 15000;       // the server speaks every second; this long without a word is a dead line
const SLEPT_MS = 5000;        // the heart beats every second; a longer gap means that the machine stood still
const RETRY_MS = [1000, 2000, 4000, 8000, 15000, 30000];
const NAMES = ["hello", "board", "change", "win", "win_reverted", "alerts"];

class Line {
  constructor(url, board, nowMs, receive, broken) {
    this.board = board;
    this.heardMs = nowMs;
    this.ready = false;
    this.source = new EventSource(url);
    for (const name of NAMES) this.source.addEventListener(name, event => receive(this, name, event));
    // The browser's own retries end at a refusal and know no backoff; ours do not.
    this.source.addEventListener("error", () => broken(this));
  }

  close() { this.source.close(); }
}

export class Stream {
  // `urlOf(board)` names the address; `receive(name, data)` gets messages; `lost()` is told of a broken line.
  constructor({ urlOf, receive, lost, refused }) {
    Object.assign(this, { urlOf, receive, lost, refused });
    this.live = null;          // the line whose board is shown
    this.next = null;          // the line of the board that shall be shown
    this.wanted = null;
    this.failures = 0;
    this.retryMs = 0;
    this.beatMs = Date.now();
    document.addEventListener("visibilitychange", () => { if (!document.hidden) this.wake(); });
    window.addEventListener("online", () => this.wake());
    window.addEventListener("pageshow", event => { if (event.persisted) this.wake(); });
  }

  // The old board stays until the new one's numbers are there.
  show(board) {
    this.wanted = board;
    if (this.next) { this.next.close(); this.next = null; }
    if (this.live && this.live.board === board) return;
    if (this.live && this.live.ready) this.next = this.open(board);
    else this.reopen();
  }

  open(board) {
    return new Line(this.urlOf(board), board, Date.now(),
      (line, name, event) => this.heard(line, name, event), line => this.broke(line));
  }

  reopen() {
    for (const line of [this.live, this.next]) if (line) line.close();
    this.next = null;
    this.live = this.open(this.wanted);
  }

  heard(line, name, event) {
    if (line !== this.live && line !== this.next) return;
    line.heardMs = Date.now();
    let data;
    try { data = JSON.parse(event.data); } catch { return; }
    if (name === "board") {
      line.ready = true;
      this.failures = 0;
      if (line === this.next) {
        if (this.live) this.live.close();
        this.live = line;
        this.next = null;
      }
    }
    if (line === this.next && name === "change") return;
    this.receive(name, data);
  }

  broke(line) {
    line.close();
    if (line === this.next) {
      this.next = null;
      this.wanted = this.live ? this.live.board : this.wanted;
      this.refused(line.board);
    } else if (line === this.live) {
      this.live = null;
      this.later();
      this.lost();
    }
  }

  later() {
    const wait = RETRY_MS[Math.min(this.failures, RETRY_MS.length - 1)];
    this.failures += 1;
    // A little of chance, so that a hundred walls do not come back in the same instant.
    this.retryMs = Date.now() + wait * (0.75 + Math.random() / 2);
  }

  // The page's heart, once a second.
  beat() {
    const nowMs = Date.now(), gapMs = nowMs - this.beatMs;
    this.beatMs = nowMs;
    if (gapMs < 0) this.setBack(nowMs);
    if (gapMs > SLEPT_MS && !document.hidden) { this.wake(); return; }
    if (this.next && nowMs - this.next.heardMs > QUIET_MS) this.broke(this.next);
    if (this.live && nowMs - this.live.heardMs > QUIET_MS) this.broke(this.live);
    if (!this.live && nowMs >= this.retryMs) {
      if (this.next) { this.live = this.next; this.next = null; } else this.reopen();
    }
  }

  // Somebody set the clock back: what was heard and when to retry is of another time.
  setBack(nowMs) {
    for (const line of [this.live, this.next]) if (line) line.heardMs = Math.min(line.heardMs, nowMs);
    this.retryMs = Math.min(this.retryMs, nowMs + RETRY_MS[0]);
  }

  // The machine slept, the network came back, the page is seen again: an open line may be dead already.
  wake() {
    const nowMs = Date.now();
    this.beatMs = nowMs;
    if (this.live && nowMs - this.live.heardMs < SLEPT_MS) return;
    this.failures = 0;
    this.reopen();
  }
}

// Boards and the time in, which board to show out. Knows neither the page nor the line.

export class Rotation {
  // `chosen` is the board of the address, if it names one: then nothing rotates.
  constructor(chosen) {
    this.chosen = chosen;
    this.boards = [];
    this.rotates = false;
    this.paused = false;
    this.current = chosen;
    this.turnMs = 0;
    this.zone = "UTC";
  }

  take(hello) {
    this.boards = hello.boards || [];
    this.rotates = hello.rotate !== false && !this.chosen;
    this.zone = hello.zone || "UTC";
  }

  // Boards whose dates hold the day, of days as YYYY-MM-DD in the floor's zone; `to` is the last day.
  running(nowMs) {
    const day = new Intl.DateTimeFormat("en-CA", { timeZone: this.zone, year: "numeric", month: "2-digit", day: "2-digit" })
      .format(nowMs);
    return this.boards.filter(board => (!board.from || board.from <= day) && (!board.to || day <= board.to));
  }

  shown(name, nowMs) {
    this.current = name;
    const board = this.boards.find(each => each.name === name);
    this.turnMs = nowMs + 1000 * ((board && board.seconds) || 20);
  }

  // The board that is due now, or null to stay.
  due(nowMs) {
    if (!this.rotates || this.paused || nowMs < this.turnMs) return null;
    const next = this.beside(1, nowMs);
    if (next === null) this.turnMs = nowMs + 5000;
    return next;
  }

  // The board `step` places further, or null if there is no other.
  beside(step, nowMs) {
    const running = this.running(nowMs);
    if (!running.length) return null;
    const place = running.findIndex(board => board.name === this.current);
    const next = running[(place + step + running.length) % running.length].name;
    return next === this.current ? null : next;
  }
}

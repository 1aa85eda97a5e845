// In place of the network: lines that a test can speak through as fast as the page listens.
window.lines = new Set();
window.EventSource = class {
  constructor() {
    this.hearers = {};
    window.lines.add(this);
    setTimeout(() => { for (const [name, data] of window.greeting) this.speak(name, data); }, 0);
  }
  addEventListener(name, hearer) { this.hearers[name] = hearer; }
  speak(name, data) { if (this.hearers[name]) this.hearers[name]({ data }); }
  close() { window.lines.delete(this); }
};

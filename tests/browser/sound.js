// In place of the loudspeaker: counts the tones.
window.tones = 0;
window.AudioContext = class {
  constructor() { this.state = "running"; this.currentTime = 0; this.destination = {}; }
  createOscillator() {
    return { frequency: {}, connect: next => next, start: () => { window.tones += 1; }, stop: () => {} };
  }
  createGain() {
    const ramp = () => {};
    return { gain: { setValueAtTime: ramp, linearRampToValueAtTime: ramp, exponentialRampToValueAtTime: ramp }, connect: next => next };
  }
};

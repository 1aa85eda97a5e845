// Long: every tick is heard; every thousandth is drawn, and now and then something happens or the line breaks.
async ({ ticks, messages, wins, alerts }) => {
  const frame = () => new Promise(done => requestAnimationFrame(done));
  for (let tick = 0; tick < ticks; tick++) {
    for (const line of window.lines) line.speak('change', messages[tick % messages.length]);
    if (tick % 1000 === 0) await frame();
    if (tick % 5000 === 0) for (const line of window.lines) line.speak('alerts', alerts[tick / 5000 % 2]);
    if (tick % 20000 === 0) for (const line of window.lines) line.speak('win', wins[tick / 20000 % wins.length]);
    if (tick % 20000 === 10000) for (const line of window.lines) line.speak('win_reverted', JSON.stringify({ id: 'any' }));
    if (tick % 40000 === 30000) { for (const line of window.lines) line.hearers.error(); window.dispatchEvent(new Event('online')); await frame(); }
  }
  await frame();
}

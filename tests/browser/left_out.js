// Lines whose words had no room.
() => [...document.querySelectorAll('.delta, .target p')]
  .filter(line => line.offsetParent && line.scrollHeight > line.clientHeight * 1.5).map(line => line.textContent)

// Labels of KPIs of which something is hidden.
() => [...document.querySelectorAll('.kpi h2')].filter(title => title.scrollHeight > title.clientHeight + 2)
  .map(title => title.textContent)

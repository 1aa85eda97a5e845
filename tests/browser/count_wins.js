// Counts how often a celebration begins: the overlay loses its `hidden`.
() => {
  window.begun = 0;
  new MutationObserver(records => { window.begun += records.filter(record => record.oldValue !== null).length; })
    .observe(document.getElementById("win"), { attributeFilter: ["hidden"], attributeOldValue: true });
}

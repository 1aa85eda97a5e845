// The size of the smallest text that is seen without a pointer.
() => Math.min(...[...document.querySelectorAll('body *')]
  .filter(node => node.offsetParent && !node.closest('.unseen, #boards, button')
    && [...node.childNodes].some(child => child.nodeType === 3 && child.data.trim()))
  .map(node => parseFloat(getComputedStyle(node).fontSize)))

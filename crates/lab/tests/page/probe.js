const box = (element) => {
  const r = element.getBoundingClientRect();
  return [r.left, r.top, r.right, r.bottom].map((n) => Math.round(n * 10) / 10);
};
const seen = (selector, root = document) =>
  [...root.querySelectorAll(selector)].filter((e) => e.getBoundingClientRect().height > 0);
const colour = (element, what) => getComputedStyle(element)[what];
const told = {
  width: [document.documentElement.scrollWidth, window.innerWidth],
  scripts: document.scripts.length,
  pwned: typeof pwned !== 'undefined',
  paper: colour(document.body, 'backgroundColor'),
  // With what is behind it, if that is not the paper.
  ink: seen('svg text, h1, p, li span').map((e) => {
    const bar = e.classList.contains('in') ? e.parentElement.querySelector('.bar') : null;
    return [colour(e, e instanceof SVGElement ? 'fill' : 'color'), bar ? colour(bar, 'fill') : ''];
  }),
  drawings: seen('svg').map((svg) => ({
    box: box(svg),
    texts: seen('text', svg).map((e) => [e.textContent, ...box(e)]),
    bars: seen('.bar', svg).map((e) => [e.getAttribute('class'), ...box(e)]),
    rows: seen('.row', svg).map((row) => ({
      told: row.querySelector('title').textContent,
      label: row.getAttribute('aria-label'),
      parts: seen('.name, .took, .bar, .trouble', row).map((e) => [e.getAttribute('class'), ...box(e)]),
    })),
  })),
};
const output = document.createElement('pre');
output.id = 'told';
output.textContent = JSON.stringify(told);
document.body.append(output);

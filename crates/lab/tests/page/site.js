const channel = (n) => (n / 255 <= 0.03928 ? n / 3294.6 : ((n / 255 + 0.055) / 1.055) ** 2.4);
const light = ([r, g, b]) => 0.2126 * channel(r) + 0.7152 * channel(g) + 0.0722 * channel(b);
const numbers = (colour) => colour.match(/[\d.]+/g).map(Number);
const contrast = (a, b) => {
  const [dark, bright] = [light(a), light(b)].sort((x, y) => x - y);
  return (bright + 0.05) / (dark + 0.05);
};
// What is behind an element.
const paper = (view, element) => {
  for (let e = element; e; e = e.parentElement) {
    const [r, g, b, a = 1] = numbers(view.getComputedStyle(e).backgroundColor);
    if (a > 0) return [r, g, b];
  }
  return [255, 255, 255];
};
const look = (frame) => {
  const view = frame.contentWindow;
  const { document } = view;
  const told = { page: document.title, width: view.innerWidth, texts: 0, faintest: [99, ''], beyond: [] };
  if (document.documentElement.scrollWidth > view.innerWidth) told.beyond.push('the page scrolls sideways');
  for (const e of document.querySelectorAll('body *')) {
    const box = e.getBoundingClientRect();
    if (!box.width || !box.height) continue;
    // What scrolls within itself may be wider.
    const scrolls = e.parentElement.closest('pre, .scroll, .Bl-column');
    if (box.right > view.innerWidth + 1 && !scrolls) told.beyond.push(e.outerHTML.slice(0, 120));
    if (![...e.childNodes].some((n) => n.nodeType === 3 && n.data.trim())) continue;
    told.texts += 1;
    const ratio = contrast(numbers(view.getComputedStyle(e).color), paper(view, e));
    if (ratio < told.faintest[0]) told.faintest = [ratio, e.outerHTML.slice(0, 120)];
  }
  return { ...told, paper: light(paper(view, document.body)) };
};
window.onload = () => {
  const output = document.createElement('pre');
  output.id = 'told';
  output.textContent = JSON.stringify([...document.querySelectorAll('iframe')].map(look));
  document.body.replaceChildren(output);
};

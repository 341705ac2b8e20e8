/* The runs, and what the reader has chosen. The choices live in the address
   after '#', so that a copied address opens the same view. */
var PAGES = ['overview', 'gallery', 'sample', 'evaluation', 'counterfactual'];
var PALETTES = ['viridis', 'cividis', 'inferno', 'magma', 'grey'];
var DIVERGING = ['purple-orange', 'red-blue'];
var RANGES = ['map', 'sample', 'method', 'fixed'];
var SMOOTH = ['auto', 'pixels', 'smooth'];
var THEMES = ['auto', 'light', 'dark'];

var DEFAULTS = {
  page: 'overview', run: 0, theme: 'auto',
  q: '', labels: '', flags: '', verdicts: '', threshold: -1, sort: 'order', down: true, pair: '',
  sample: -1, label: -1, method: 0, share: 0.1, columns: '', metric: 0, klass: -1,
  overlay: true, opacity: 0.85, palette: 'viridis', diverging: 'purple-orange', range: 'map', low: 0, high: 1,
  smooth: 'auto', contours: false, boxes: true, size: 150,
  weights: '', locks: '', by: 'overall', rising: false, hoc: -1, layer: -1
};
var ALLOWED = { page: PAGES, palette: PALETTES, diverging: DIVERGING, range: RANGES, smooth: SMOOTH, theme: THEMES };
var LIMITS = { threshold: [-1, 1], share: [0, 1], opacity: [0, 1], size: [72, 420] };
/* What changes only how maps are painted. */
var LOOK = ['overlay', 'opacity', 'palette', 'diverging', 'range', 'low', 'high', 'smooth', 'contours', 'boxes', 'theme'];

var state = Object.assign({}, DEFAULTS);
var listeners = [];
var writing = 0;

function parsed(text) { try { return JSON.parse(text); } catch (error) { return null; } }

var runBlocks = Array.prototype.slice.call(document.querySelectorAll('script[type="application/json"][id^="run-"]'));
var loadedRuns = [];

/* Run number `i`, read when it is first looked at. */
function runAt(i) {
  if (!loadedRuns[i] && runBlocks[i]) {
    var run = parsed(runBlocks[i].textContent);
    run.samples.forEach(function (sample, at) {
      sample.at = at;
      sample.probability = new Map(sample.probabilities);
      sample.answers.forEach(function (answer, number) {
        answer.at = number;
        answer.maps.forEach(function (map, method) { map.signed = map.signed || false; map.method = method; map.of = { sample: sample, answer: number }; });
      });
    });
    loadedRuns[i] = run;
  }
  return loadedRuns[i];
}

function currentRun() { return runAt(state.run); }

function labelName(run, label) {
  if (label === run.labels.length) return t('background');
  var name = run.labels[label];
  return name === undefined || name === '' ? String(label) : name;
}

/* A list of whole numbers, as '1.4.7' in the address. */
function listed(text) { return text === '' ? [] : text.split('.').map(Number).filter(function (n) { return n >= 0 && n === Math.floor(n); }); }

function readAddress() {
  var next = Object.assign({}, DEFAULTS);
  var asked = new URLSearchParams(location.hash.slice(1));
  asked.forEach(function (text, key) {
    if (!Object.prototype.hasOwnProperty.call(DEFAULTS, key)) return;
    var kind = typeof DEFAULTS[key];
    var value = kind === 'number' ? Number(text) : kind === 'boolean' ? text === '1' : text.slice(0, 2000);
    if (kind === 'number' && !isFinite(value)) return;
    if (ALLOWED[key] && ALLOWED[key].indexOf(value) < 0) return;
    if (LIMITS[key]) value = clamp(value, LIMITS[key][0], LIMITS[key][1]);
    next[key] = value;
  });
  next.run = clamp(Math.floor(next.run), 0, Math.max(0, runBlocks.length - 1));
  return next;
}

function address() {
  var asked = new URLSearchParams();
  Object.keys(DEFAULTS).forEach(function (key) {
    if (state[key] !== DEFAULTS[key]) asked.set(key, typeof state[key] === 'boolean' ? (state[key] ? '1' : '0') : state[key]);
  });
  return '#' + asked.toString();
}

/* A new page is a step that the Back button undoes; other changes are not.
   They wait, since browsers slow down whoever changes the address often. */
function writeAddress(step) {
  clearTimeout(writing);
  if (step) location.hash = address();
  else writing = setTimeout(function () { if (address() !== location.hash) location.replace(address()); }, 300);
}

/* Changes choices and tells whoever shows them. */
function set(changes) {
  var changed = Object.keys(changes).filter(function (key) { return state[key] !== changes[key]; });
  if (!changed.length) return;
  Object.assign(state, changes);
  writeAddress(changed.indexOf('page') >= 0);
  tell(changed);
}

function tell(changed) { listeners.forEach(function (listener) { listener(changed); }); }

window.addEventListener('hashchange', function () {
  if (address() === location.hash || (location.hash === '' && address() === '#')) return;
  var next = readAddress();
  var changed = Object.keys(DEFAULTS).filter(function (key) { return state[key] !== next[key]; });
  Object.assign(state, next);
  if (changed.length) tell(changed);
});

/* The value after the present one, in a circle. */
function following(list, value, by) {
  return list[(list.indexOf(value) + (by || 1) + list.length) % list.length];
}

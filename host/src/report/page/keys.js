/* The keyboard: shortcuts, the sheet that lists them, and the palette of all
   commands. */
var going = 0;

var GO = { o: 'overview', g: 'gallery', s: 'sample', e: 'evaluation', c: 'counterfactual' };

/* Key, words, act. */
var KEYS = [
  ['?', 'help', function () { helpSheet(); }],
  ['o', 'overlay', function () { set({ overlay: !state.overlay }); tellOf('overlay', state.overlay); }],
  ['[', 'opacity', function () { set({ opacity: clamp(Math.round(20 * state.opacity - 2) / 20, 0, 1) }); tellOf('opacity', percent(state.opacity)); }],
  [']', 'opacity', function () { set({ opacity: clamp(Math.round(20 * state.opacity + 2) / 20, 0, 1) }); tellOf('opacity', percent(state.opacity)); }],
  ['c', 'palette', function () { set({ palette: following(PALETTES, state.palette) }); tellOf('palette', t('palette.' + state.palette)); }],
  ['r', 'range', function () { set({ range: following(RANGES, state.range) }); tellOf('range', t('range.' + state.range)); }],
  ['p', 'pixels', function () { set({ smooth: following(SMOOTH, state.smooth) }); tellOf('smooth', t('smooth.' + state.smooth)); }],
  ['x', 'contours', function () { set({ contours: !state.contours }); tellOf('contours', state.contours); }],
  ['b', 'boxes', function () { set({ boxes: !state.boxes }); tellOf('boxes', state.boxes); }],
  ['t', 'theme', function () { nextTheme(); }],
  ['/', 'find', function () { if (state.page !== 'gallery') set({ page: 'gallery' }); var field_ = byId('find'); if (field_) field_.focus(); }]
];

function tellOf(name, value) {
  say(t(name) + ': ' + (value === true ? t('on') : value === false ? t('off') : value));
}

function nextTheme() {
  set({ theme: following(THEMES, state.theme) });
  say(t('theme.' + state.theme));
}

function typing(element) {
  return /^(TEXTAREA|SELECT)$/.test(element.tagName) || (element.tagName === 'INPUT' && !/^(checkbox|range)$/.test(element.type));
}

document.addEventListener('keydown', function (event) {
  if ((event.ctrlKey || event.metaKey) && event.key.toLowerCase() === 'k') { event.preventDefault(); commandPalette(); return; }
  if (event.defaultPrevented || event.ctrlKey || event.metaKey || event.altKey || typing(event.target) || document.querySelector('dialog[open]')) return;
  if (event.key === ' ' && !/^(BUTTON|INPUT|SUMMARY)$/.test(event.target.tagName)) {
    document.documentElement.classList.add('original');
    event.preventDefault();
    return;
  }
  if (going && GO[event.key]) { clearTimeout(going); going = 0; goTo(GO[event.key]); event.preventDefault(); return; }
  if (event.key === 'g') { clearTimeout(going); going = setTimeout(function () { going = 0; }, 1200); return; }
  if (state.page === 'sample' && /^[jkhl]$/.test(event.key) && sampleView) {
    if (event.key === 'j' || event.key === 'k') stepSample(event.key === 'j' ? 1 : -1);
    else if (sampleView.answer) set({ sample: sampleView.sample.id, label: following(sampleView.sample.answers, sampleView.answer, event.key === 'l' ? 1 : -1).label });
    event.preventDefault();
    return;
  }
  KEYS.some(function (key) {
    if (key[0] !== event.key) return false;
    event.preventDefault();
    key[2]();
    return true;
  });
});

document.addEventListener('keyup', function (event) { if (event.key === ' ') document.documentElement.classList.remove('original'); });
window.addEventListener('blur', function () { document.documentElement.classList.remove('original'); });

function goTo(page) {
  set({ page: page });
  byId('main').focus();
}

/* A dialog of its own; Esc closes it and gives the focus back. */
function openDialog(title, content, cls) {
  var before = document.activeElement;
  var dialog = h('dialog', { class: cls, 'aria-label': title }, h('header', null, h('h2', null, data(title)), button('\u2715', function () { dialog.close(); }, { class: 'quiet', 'aria-label': t('close') })), content);
  dialog.addEventListener('close', function () { dialog.remove(); if (before && before.isConnected) before.focus(); });
  dialog.addEventListener('click', function (event) { if (event.target === dialog) dialog.close(); });
  document.body.append(dialog);
  dialog.showModal();
  return dialog;
}

function helpSheet() {
  function rows(list) {
    return h('dl', { class: 'keys' }, list.map(function (pair) { return [h('dt', null, pair[0].split(' ').map(function (key) { return h('kbd', null, key); })), h('dd', null, t('key.' + pair[1]))]; }));
  }
  var seen = {};
  var everywhere = [['Ctrl-K', 'commands'], ['Esc', 'close'], ['g', 'go'], ['Space', 'original']].concat(KEYS.filter(function (key) { var first = !seen[key[1]]; seen[key[1]] = true; return first; }).map(function (key) { return [key[1] === 'opacity' ? '[ ]' : key[0], key[1]]; }));
  openDialog(t('keys.title'), h('div', { class: 'sheet' }, h('div', null, h('h3', null, t('keys.everywhere')), rows(everywhere)),
    h('div', null, h('h3', null, t('keys.rows')), rows([['\u2190 \u2191 \u2192 \u2193', 'arrows'], ['j k', 'rows'], ['h l', 'labels'], ['1 \u2026 9', 'methods'], ['Enter', 'detail']]),
      h('h3', null, t('keys.panes')), rows([['+ \u2212 0', 'zoom'], ['Shift-\u2190', 'pan'], ['\u2190 \u2192', 'cross'], ['j k', 'step']])),
    h('div', { class: 'notes' }, h('h3', null, t('keys.notes')), ['notes.evidence', 'notes.quantised', 'notes.clip', 'notes.jpeg', 'notes.turbo'].map(function (note) { return h('p', { class: 'small' }, t(note)); }))), 'help');
}

/* Everything that can be done: {words, act}. */
function commands() {
  var run = currentRun(), all = PAGES.map(function (page) { return { words: t('page.' + page), act: function () { goTo(page); } }; });
  runBlocks.forEach(function (block, i) { if (runBlocks.length > 1) all.push({ words: t('command.run', { name: runAt(i).name }), act: function () { set({ run: i }); } }); });
  KEYS.forEach(function (key) { if (key[0] !== '[') all.push({ words: t(key[1] === 'opacity' ? 'opacity' : 'key.' + key[1]), hint: key[0], act: key[2] }); });
  all.push({ words: t('command.print'), act: function () { window.print(); } }, { words: t('filter.reset'), act: function () { set({ q: '', labels: '', flags: '', verdicts: '', pair: '', threshold: -1 }); } });
  ['equal', 'family', 'faithfulness', 'localization'].forEach(function (name) {
    all.push({ words: t('command.preset', { name: t('evaluation.preset.' + name) }), act: function () { set({ page: 'evaluation' }); preset(name); } });
  });
  labelCounts(run).forEach(function (pair) {
    all.push({ words: t('command.only', { label: labelName(run, pair[0]) }), act: function () { set({ page: 'gallery', labels: String(pair[0]) }); } });
  });
  run.samples.forEach(function (sample) { all.push({ words: t('command.open', { file: sample.file }), act: function () { openSample(sample, sample.answers[0]); } }); });
  return all;
}

function commandPalette() {
  if (document.querySelector('dialog[open]')) return;
  var all = commands(), at = 0, listed_ = [];
  var list = h('ul', { role: 'listbox', id: 'commands', 'aria-label': t('commands') });
  var input = h('input', { type: 'search', role: 'combobox', 'aria-expanded': 'true', 'aria-controls': 'commands', 'aria-label': t('command.find'), placeholder: t('command.find'), autofocus: true });
  function show() {
    var text = input.value.trim().toLowerCase();
    listed_ = all.filter(function (command) { return command.words.toLowerCase().indexOf(text) >= 0; }).slice(0, 12);
    at = clamp(at, 0, Math.max(0, listed_.length - 1));
    put(list, listed_.length ? listed_.map(function (command, i) {
      return h('li', { role: 'option', id: 'command-' + i, 'aria-selected': i === at ? 'true' : 'false', on: { click: function () { run(i); } } }, data(command.words), command.hint ? h('kbd', null, command.hint) : null);
    }) : h('li', { class: 'faint' }, t('command.none')));
    if (listed_.length) input.setAttribute('aria-activedescendant', 'command-' + at);
    else input.removeAttribute('aria-activedescendant');
  }
  function run(i) {
    var command = listed_[i];
    dialog.close();
    if (command) command.act();
  }
  input.addEventListener('input', function () { at = 0; show(); });
  input.addEventListener('keydown', function (event) {
    if (event.key === 'ArrowDown' || event.key === 'ArrowUp') { at = clamp(at + (event.key === 'ArrowDown' ? 1 : -1), 0, listed_.length - 1); show(); event.preventDefault(); }
    if (event.key === 'Enter') { event.preventDefault(); run(at); }
  });
  show();
  var dialog = openDialog(t('commands'), [input, list], 'palette');
  input.focus();
}

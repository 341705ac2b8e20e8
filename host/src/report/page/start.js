/* Frame, navigation, and the page that the address asks for. */
var SHOW = { overview: overviewPage, gallery: galleryPage, sample: samplePage, evaluation: evaluationPage, counterfactual: counterfactualPage };

var ICONS = {
  overview: 'M2 2H8V9H2ZM10 2H16V6H10ZM10 8H16V16H10ZM2 11H8V16H2Z',
  gallery: 'M2 3H6V7H2ZM8 3H12V7H8ZM14 3H17V7H14ZM2 9H6V13H2ZM8 9H12V13H8ZM14 9H17V13H14Z',
  sample: 'M2 3H16V15H2ZM5 11L8 8L10 10L12.5 6.5L15 11',
  evaluation: 'M3 16V9M7 16V4M11 16V7M15 16V2',
  counterfactual: 'M2 2H16V16H2ZM6 6H12V12H6Z'
};

function icon(name) { return s('svg', { class: 'icon', viewBox: '0 0 18 18', width: 18, height: 18, 'aria-hidden': 'true' }, s('path', { d: ICONS[name] })); }

/* A fovea: the pit in the middle sees sharpest. */
function logo() {
  return s('svg', { class: 'logo', viewBox: '0 0 28 28', width: 28, height: 28, 'aria-hidden': 'true' }, s('circle', { cx: 14, cy: 14, r: 12.5, class: 'ring' }), s('circle', { cx: 14, cy: 14, r: 7.5, class: 'ring' }), s('circle', { cx: 14, cy: 14, r: 3, class: 'pit' }));
}

function frame() {
  var run = currentRun(), p = run.provenance;
  var theme = button('', nextTheme, { class: 'quiet', id: 'theme' });
  put(byId('top'), h('div', { class: 'brand' }, logo(), h('b', null, 'Foveola')),
    runBlocks.length > 1 ? choice(t('run'), runBlocks.map(function (block, i) { return [i, runAt(i).name]; }), state.run, function (value) { set({ run: Number(value), sample: -1, label: -1, labels: '', pair: '' }); }, { id: 'run' }) : h('span', { class: 'run-name' }, data(run.name)),
    h('dl', { class: 'facts' }, [['model', p.model + ' ' + p.model_hash.slice(0, 12)], ['data', p.data + ' ' + p.data_hash.slice(0, 12)], ['seed', p.seed], ['Foveola', p.tool]].map(function (fact) { return h('div', null, h('dt', null, t(fact[0])), h('dd', null, data(fact[1]))); })),
    h('span', { class: 'gap' }), button(t('commands'), commandPalette, { class: 'quiet', 'aria-keyshortcuts': 'Control+K' }), theme, button('?', helpSheet, { class: 'quiet round', 'aria-label': t('help') }));
  theme.textContent = { auto: '\u25d0', light: '\u2600', dark: '\u263e' }[state.theme];
  theme.setAttribute('aria-label', t('theme.' + state.theme));
  theme.title = t('theme.' + state.theme);
  put(byId('rail'), PAGES.map(function (page) {
    return h('button', { type: 'button', 'aria-current': page === state.page ? 'page' : null, title: t('page.' + page + '.what'), on: { click: function () { set({ page: page }); } } }, icon(page), h('span', null, t('page.' + page)));
  }), h('p', { class: 'shown faint small' }, t(run.samples.length < run.counts.pictures ? 'shown' : 'shown.all', { shown: run.samples.length, total: run.counts.pictures })));
}

function show() {
  var main = byId('main');
  stopPlaying();
  main.className = 'page-' + state.page;
  SHOW[state.page](main);
  document.title = t('page.' + state.page) + ' \u00b7 ' + currentRun().name + ' \u00b7 Foveola';
  forgetPanes();
}

function has(changed, keys) { return keys.some(function (key) { return changed.indexOf(key) >= 0; }); }

/* What must be made anew when these choices change. */
function follow(changed) {
  if (has(changed, ['page', 'run'])) { frame(); show(); if (has(changed, ['page'])) { window.scrollTo(0, 0); say(t('page.' + state.page)); } return; }
  if (has(changed, LOOK)) { repaint(); if (has(changed, ['theme'])) frame(); }
  var rest = changed.filter(function (key) { return LOOK.indexOf(key) < 0; });
  if (state.page === 'gallery') {
    if (rest.length) refreshGallery(); else gallery.look.refresh();
  } else if (state.page === 'sample') {
    if (has(rest, ['sample', 'label', 'method', 'columns'])) keepFocus(show);
    else if (has(rest, ['share']) && sampleView.topk) refreshTopk();
    else if (sampleView && sampleView.look) sampleView.look.refresh();
  } else if (state.page === 'evaluation' && rest.length && evaluationView) refreshEvaluation();
  else if (state.page === 'counterfactual' && rest.length) {
    if (has(rest, ['sample', 'label'])) keepFocus(show); else if (hocView) refreshHoc();
  }
}

/* Makes a page anew; the focus goes to the element that took its place. */
function keepFocus(act) {
  var main = byId('main'), held = document.activeElement, at = -1, id = held && held.id;
  if (main.contains(held)) at = Array.prototype.indexOf.call(main.querySelectorAll('button, input, select, [tabindex="0"]'), held);
  act();
  var next = (id && byId(id)) || main.querySelectorAll('button, input, select, [tabindex="0"]')[at];
  if (at >= 0 && next) next.focus({ preventScroll: true });
}

byId('skip').addEventListener('click', function (event) { event.preventDefault(); byId('main').focus(); });
var resizing = 0;
window.addEventListener('resize', function () {
  clearTimeout(resizing);
  resizing = setTimeout(function () { if (state.page === 'gallery' && gallery) refreshGallery(); }, 120);
});
matchMedia('(prefers-color-scheme: dark)').addEventListener('change', repaint);

state = readAddress();
if (currentRun()) {
  listeners.push(follow);
  repaint();
  frame();
  show();
} else byId('main').textContent = t('norun');

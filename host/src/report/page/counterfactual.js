/* Hierarchical occlusion: which part is enough, layer by layer. */
var hocView = null;

/* Answers that were searched: {sample, answer}. */
function searched(run) {
  var all = [];
  run.samples.forEach(function (sample) {
    sample.answers.forEach(function (answer) { if (answer.region) all.push({ sample: sample, answer: answer, key: sample.id * 4096 + answer.label }); });
  });
  return all;
}

function found(item) { return typeof item.answer.region === 'object'; }

function counterfactualPage(main) {
  stopPlaying();
  var run = currentRun(), all = searched(run), good = all.filter(found), bad = all.filter(function (item) { return !found(item); });
  if (!all.length) { put(main, h('h1', null, t('page.counterfactual')), h('p', null, t(run.unit ? 'hoc.none.v' : 'hoc.none'))); return; }
  var item = good.filter(function (one) { return one.sample.id === state.sample && one.answer.label === state.label; })[0] || good[0];
  hocView = { run: run, all: all, item: item };
  put(main, h('h1', null, t('page.counterfactual')), h('p', { class: 'faint' }, item && !item.answer.region.reveal ? t('hoc.cover.what') : t('hoc.what')),
    h('div', { class: 'hoc' }, hocList(good, bad), item ? hocDetail(item) : null));
}

function hocList(good, bad) {
  var v = hocView;
  function entry(item) {
    var last = item.answer.region.layers[item.answer.region.layers.length - 1];
    return h('li', null, h('button', { type: 'button', class: 'item', 'aria-current': item === v.item ? 'true' : null, on: { click: function () { set({ sample: item.sample.id, label: item.answer.label, layer: -1 }); } } },
      thumbnail(item.sample), h('span', { class: 'item-text' }, h('b', null, data(labelName(v.run, item.answer.label))), data(item.sample.file, 'faint'), h('span', { class: 'num' }, last ? t('hoc.area', { area: percent(last[1]) }) : ''))));
  }
  var list = h('ol', { class: 'first tall' }, good.map(entry));
  list.addEventListener('keydown', function (event) {
    var step = { ArrowDown: 'nextElementSibling', ArrowUp: 'previousElementSibling' }[event.key];
    var line = event.target.closest('li');
    if (!step || !line || !line[step]) return;
    line[step].querySelector('button').focus();
    event.preventDefault();
  });
  return h('section', { class: 'panel' }, h('h2', null, t('hoc.list')), h('p', { class: 'faint small' }, t('hoc.found', { n: good.length, without: bad.length })), list,
    bad.length ? [h('h3', null, t('hoc.without')), h('ol', { class: 'first tall short' }, bad.map(function (item) {
      return h('li', null, h('button', { type: 'button', class: 'item', on: { click: function () { openSample(item.sample, item.answer); } } }, thumbnail(item.sample), h('span', { class: 'item-text' }, h('b', null, data(labelName(v.run, item.answer.label))), data(item.sample.file, 'faint'), h('span', null, data(item.answer.region)))));
    }))] : null);
}

/* Steps of the strip: the whole picture, then layers from coarse to fine. */
function stepsOf(item) {
  return [{ name: t('hoc.original'), p: item.answer.p, area: item.answer.region.reveal ? 1 : 0, boxes: null }].concat(item.answer.region.layers.map(function (layer, i) {
    return { name: t('hoc.layer', { i: i + 1 }), p: layer[0], area: layer[1], boxes: layer[2] };
  }));
}

function hocDetail(item) {
  var v = hocView, run = v.run, steps = stepsOf(item);
  v.steps = steps;
  v.big = h('canvas', { role: 'img' });
  v.words = h('p', { class: 'words', 'aria-live': 'polite' });
  v.boxes = h('div', { class: 'tall' });
  v.scrub = h('input', { type: 'range', min: 0, max: steps.length - 1, step: 1, 'aria-label': t('hoc.step'), on: { input: function () { stopPlaying(); set({ layer: Number(v.scrub.value) }); } } });
  v.play = button('', function () { if (v.timer) stopPlaying(); else play(); }, { id: 'play' });
  v.strip = steps.map(function (step, i) {
    var canvas = h('canvas', { 'aria-hidden': 'true' });
    drawRegion(canvas, item, step);
    return h('button', { type: 'button', class: 'step', on: { click: function () { stopPlaying(); set({ layer: i }); } } }, canvas, h('span', null, step.name), h('span', { class: 'num' }, worth(run, step.p)));
  });
  var chips = item.sample.answers.filter(function (answer) { return answer.region; }).map(function (answer) {
    return labelChip(run, item.sample, answer, answer === item.answer, function () { if (found({ answer: answer })) set({ sample: item.sample.id, label: answer.label, layer: -1 }); }, 0);
  });
  var rows = [[t('hoc.step'), t('chart.value'), t('hoc.area', { area: '' })]].concat(steps.map(function (step) { return [step.name, step.p, step.area]; }));
  var items = steps.map(function (step, i) { return { name: step.name, value: step.p, text: worth(run, step.p), series: i ? 0 : 4 }; });
  var range = run.unit ? worthRange(steps.map(function (step) { return step.p; })) : [0, 1];
  var detail = h('section', { class: 'panel' }, h('div', { class: 'line' }, h('h2', null, data(item.sample.file)), h('span', { class: 'gap' }), button(t('hoc.open'), function () { openSample(item.sample, item.answer); }, { class: 'quiet' })),
    h('div', { class: 'chips wide' }, chips), h('div', { class: 'strip', role: 'group', 'aria-label': t('hoc.step') }, v.strip),
    h('div', { class: 'line' }, v.play, v.scrub, button(t('hoc.enlarge'), enlarge)), h('div', { class: 'hoc-big' }, v.big, h('div', null, v.words, chart(t(run.unit ? 'hoc.chart.v' : 'hoc.chart'), bars(items, range, steps.map(function (step) { return step.name + ' ' + worth(run, step.p); }).join(', ')), rows), v.boxes)));
  refreshHoc();
  return detail;
}

function stepNumber() {
  var last = hocView.steps.length - 1;
  return state.layer < 0 ? last : clamp(Math.floor(state.layer), 0, last);
}

function stepWords(step) {
  var run = hocView.run;
  return step.name + ': ' + t(run.unit ? 'hoc.p.v' : 'hoc.p', { p: worth(run, step.p) }) + (step.boxes ? ', ' + t('hoc.area', { area: percent(step.area) }) : '') + '; ' + t('hoc.threshold', { p: worth(run, run.threshold) }) + '.';
}

function refreshHoc() {
  var v = hocView;
  if (!v.item) return;
  var i = stepNumber(), step = v.steps[i];
  v.scrub.value = i;
  v.scrub.setAttribute('aria-valuetext', stepWords(step));
  v.play.textContent = (v.timer ? '\u275a\u275a ' + t('hoc.pause') : '\u25b6 ' + t('hoc.play'));
  v.strip.forEach(function (one, at) { one.setAttribute('aria-current', at === i ? 'step' : 'false'); });
  v.words.textContent = stepWords(step);
  v.big.setAttribute('aria-label', stepWords(step));
  drawRegion(v.big, v.item, step);
  put(v.boxes, step.boxes ? table(['', t('hoc.box')], step.boxes.map(function (box, n) { return [String(n + 1), { text: box.join(', '), class: 'num' }]; }), { 'aria-label': t('hoc.boxes') }) : null);
}

/* The picture with what does not count darkened and grey. */
function drawRegion(canvas, item, step) {
  if (!item.sample.picture.src) return;
  picturePixels(item.sample).then(function (picture) {
    var w = picture.width, h = picture.height, region = item.answer.region;
    var inside = new Uint8Array(w * h), sx = w / region.size[1], sy = h / region.size[0];
    (step.boxes || []).forEach(function (box) {
      var right = Math.round((box[0] + box[2]) * sx), low = Math.round((box[1] + box[3]) * sy);
      for (var y = Math.round(box[1] * sy); y < low; y++) for (var x = Math.round(box[0] * sx); x < right; x++) inside[y * w + x] = 1;
    });
    var out = new ImageData(w, h), kept = region.reveal ? 1 : 0;
    for (var i = 0; i < w * h; i++) {
      var r = picture.data[4 * i], g = picture.data[4 * i + 1], b = picture.data[4 * i + 2];
      if (step.boxes && inside[i] !== kept) r = g = b = 0.55 * (0.299 * r + 0.587 * g + 0.114 * b);
      out.data[4 * i] = r;
      out.data[4 * i + 1] = g;
      out.data[4 * i + 2] = b;
      out.data[4 * i + 3] = 255;
    }
    canvas.width = w;
    canvas.height = h;
    canvas.classList.toggle('crisp', w <= 96);
    canvas.getContext('2d').putImageData(out, 0, 0);
  }, function (error) { canvas.replaceWith(h('span', { class: 'badge fault' }, t('picture.missing', { why: error.message }))); });
}

function play() {
  var v = hocView;
  if (matchMedia('(prefers-reduced-motion: reduce)').matches) { say(t('hoc.reduced')); v.words.textContent = t('hoc.reduced'); return; }
  if (stepNumber() === v.steps.length - 1) set({ layer: 0 });
  v.timer = setInterval(function () {
    if (stepNumber() === v.steps.length - 1) stopPlaying();
    else set({ layer: stepNumber() + 1 });
  }, 900);
  refreshHoc();
}

function stopPlaying() {
  if (!hocView || !hocView.timer) return;
  clearInterval(hocView.timer);
  hocView.timer = 0;
  if (hocView.item && hocView.play.isConnected) refreshHoc();
}

function enlarge() {
  var v = hocView, canvas = h('canvas', { role: 'img', 'aria-label': stepWords(v.steps[stepNumber()]) });
  drawRegion(canvas, v.item, v.steps[stepNumber()]);
  openDialog(labelName(v.run, v.item.answer.label), [canvas, h('p', null, stepWords(v.steps[stepNumber()]))], 'enlarged');
}

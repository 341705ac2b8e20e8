/* Elements, numbers and files. Text only ever becomes text nodes and
   attributes, so labels and file names cannot become elements. */
var drawing = document.getElementById('drawing').namespaceURI;

function fillIn(element, props, children) {
  Object.keys(props || {}).forEach(function (key) {
    var value = props[key];
    if (value === null || value === undefined || value === false) return;
    if (key === 'on') Object.keys(value).forEach(function (type) { element.addEventListener(type, value[type]); });
    else if (key === 'style') Object.keys(value).forEach(function (name) { element.style.setProperty(name, value[name]); });
    else if (key === 'value' || key === 'checked' || key === 'selected') element[key] = value;
    else element.setAttribute(key, value === true ? '' : String(value));
  });
  (function add(list) {
    list.forEach(function (child) {
      if (Array.isArray(child)) add(child);
      else if (child !== null && child !== undefined && child !== false) element.append(child);
    });
  })(children);
  return element;
}

/* An HTML element: h('p', {class: 'x', on: {click: f}}, 'text', child). */
function h(tag, props) {
  return fillIn(document.createElement(tag), props, Array.prototype.slice.call(arguments, 2));
}

/* An SVG element. */
function s(tag, props) {
  return fillIn(document.createElementNS(drawing, tag), props, Array.prototype.slice.call(arguments, 2));
}

function put(element) {
  element.replaceChildren();
  return fillIn(element, null, Array.prototype.slice.call(arguments, 1));
}

function byId(id) { return document.getElementById(id); }

/* Text that others wrote: kept apart from the direction of what surrounds it. */
function data(text, cls) { return h('bdi', { class: 'data' + (cls ? ' ' + cls : '') }, text); }

function button(text, act, props) {
  return h('button', Object.assign({ type: 'button', on: { click: act } }, props), text);
}

/* A select of [value, text] pairs. */
function choice(label, pairs, value, act, props) {
  var select = h('select', Object.assign({ 'aria-label': label, on: { change: function () { act(select.value); } } }, props),
    pairs.map(function (pair) { return h('option', { value: pair[0] }, pair[1]); }));
  select.value = value;
  return select;
}

/* A slider with a number field beside it; `act` gets each new value. */
function slider(label, limits, value, act) {
  var props = { min: limits[0], max: limits[1], step: limits[2], 'aria-label': label };
  var range = h('input', Object.assign({ type: 'range', value: value }, props));
  var field = h('input', Object.assign({ type: 'number', value: value, inputmode: 'decimal' }, props));
  function from(source, other) {
    return function () {
      var number = parseFloat(source.value);
      if (!isFinite(number)) return;
      number = Math.min(limits[1], Math.max(limits[0], number));
      other.value = number;
      act(number);
    };
  }
  range.addEventListener('input', from(range, field));
  field.addEventListener('input', from(field, range));
  var whole = h('span', { class: 'slider' }, range, field);
  whole.show = function (number) {
    if (document.activeElement !== field) field.value = number;
    range.value = number;
  };
  return whole;
}

function field(label, control, cls) { return h('label', { class: 'field' + (cls ? ' ' + cls : '') }, h('span', null, label), control); }

function toggle(label, on, act, props) {
  return button(label, act, Object.assign({ 'aria-pressed': on ? 'true' : 'false', class: 'toggle' }, props));
}

/* Numbers as people read them. */
function number(value) {
  if (value === null || value === undefined || !isFinite(value)) return '\u2013';
  var size = Math.abs(value);
  if (size === 0) return '0';
  if (size < 1e-3 || size >= 1e5) return value.toExponential(1).replace('-', '\u2212').replace('+', '');
  return (value < 0 ? '\u2212' : '') + size.toFixed(size >= 100 ? 0 : size >= 10 ? 1 : size >= 0.1 ? 3 : 4);
}

function percent(share) {
  if (share === null || share === undefined || !isFinite(share)) return '\u2013';
  var value = 100 * share;
  if (share < 1 && value > 99.9) return '> 99.9 %';
  return (value >= 10 || value === 0 ? value.toFixed(value < 99.95 && value > 90 ? 1 : 0) : value.toFixed(1)) + ' %';
}

/* What a run says of a label: a probability, or the value of a unit of the network. */
function worth(run, value) { return run.unit ? number(value) : percent(value); }

/* The range of a chart of a unit's values: 0 and all of them. */
function worthRange(values) { return [Math.min.apply(null, [0].concat(values)), Math.max.apply(null, [1e-6].concat(values))]; }

/* A table; cells are text, numbers, elements, or {text, ...attributes}. */
function table(head, rows, props) {
  function cell(tag, value) {
    if (value instanceof Node || typeof value !== 'object' || value === null) return h(tag, tag === 'th' ? { scope: 'col' } : null, value === null ? '\u2013' : value);
    var own = Object.assign({}, value);
    delete own.text;
    return h(own.scope ? 'th' : tag, own, value.text);
  }
  return h('div', { class: 'scroll', tabindex: 0, role: 'region', 'aria-label': (props && props['aria-label']) || t('chart.table') },
    h('table', props,
      h('thead', null, h('tr', null, head.map(function (value) { return cell('th', value); }))),
      h('tbody', null, rows.map(function (row) { return h('tr', null, row.map(function (value) { return cell('td', value); })); }))));
}

/* Comma-separated values by RFC 4180. A text that a spreadsheet would run as
   a formula gets an apostrophe. */
function csv(rows) {
  return rows.map(function (row) {
    return row.map(function (value) {
      if (typeof value === 'number') return isFinite(value) ? String(value) : '';
      var text = value === null || value === undefined ? '' : String(value);
      if (/^[=+\-@\t\r]/.test(text)) text = '\'' + text;
      return /[",\r\n]/.test(text) ? '"' + text.replace(/"/g, '""') + '"' : text;
    }).join(',');
  }).join('\r\n') + '\r\n';
}

function download(name, type, text) {
  var address = URL.createObjectURL(new Blob([text], { type: type }));
  var link = h('a', { href: address, download: name.replace(/[^\w.-]+/g, '-') });
  link.click();
  setTimeout(function () { URL.revokeObjectURL(address); }, 1000);
}

/* Tells a screen reader. */
function say(text) { byId('say').textContent = text; }

function clamp(value, low, high) { return Math.min(high, Math.max(low, value)); }

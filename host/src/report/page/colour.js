/* From grey values to numbers, and from numbers to colours. */
var tables = {};
(function () {
  var coded = parsed(byId('colours').textContent);
  Object.keys(coded).forEach(function (name) {
    var bytes = new Uint8Array(768);
    for (var i = 0; i < 768; i++) bytes[i] = parseInt(coded[name].substr(2 * i, 2), 16);
    tables[name] = bytes;
  });
})();

/* Decoded maps, the latest ones: a long list of pictures must not fill memory. */
var decoded = new Map();
var KEPT = 600;

/* The grey values of a map; a promise. */
function greys(map) {
  if (decoded.has(map)) return decoded.get(map);
  var promise = new Promise(function (resolve, reject) {
    var image = new Image();
    image.onload = function () {
      var h = map.grid[0], w = map.grid[1];
      var canvas = document.createElement('canvas');
      canvas.width = w;
      canvas.height = h;
      var context = canvas.getContext('2d', { willReadFrequently: true });
      context.drawImage(image, 0, 0);
      var pixels = context.getImageData(0, 0, w, h).data;
      var out = new Uint8Array(w * h);
      for (var i = 0; i < out.length; i++) out[i] = pixels[4 * i];
      map.greys = out;
      resolve(out);
    };
    image.onerror = function () { reject(new Error('map')); };
    mapSource(map).then(function (address) { image.src = address; }, reject);
  });
  decoded.set(map, promise);
  if (decoded.size > KEPT) {
    var oldest = decoded.keys().next().value;
    delete oldest.greys;
    decoded.delete(oldest);
  }
  return promise;
}

/* The number that a grey stands for. */
function valueOf(map, grey) {
  return map.signed ? (grey - 128) / 127 * map.high : map.low + grey / 255 * (map.high - map.low);
}

/* The number at row `y` and column `x`, if the map is decoded. */
function valueAt(map, y, x) {
  return map.greys ? valueOf(map, map.greys[y * map.grid[1] + x]) : null;
}

/* Least and greatest number of many maps; symmetric around 0 for signed ones. */
function spread(maps, signed) {
  var low = Infinity, high = -Infinity;
  maps.forEach(function (map) {
    if (!map || !map.src) return;
    low = Math.min(low, map.low);
    high = Math.max(high, map.high);
  });
  if (signed) { high = Math.max(-low, high); low = -high; }
  return low < high ? [low, high] : [0, 1];
}

/* Ends of the colours for one map of a sample. */
function ends(run, sample, map) {
  if (state.range === 'fixed') return map.signed ? [-Math.abs(state.high), Math.abs(state.high)] : [state.low, state.high];
  if (state.range === 'sample') {
    return spread(sample.answers.map(function (answer) { return answer.maps[map.method]; }), map.signed);
  }
  if (state.range === 'method') {
    run.spreads = run.spreads || [];
    run.spreads[map.method] = run.spreads[map.method] || spread([].concat.apply([], run.samples.map(function (one) {
      return one.answers.map(function (answer) { return answer.maps[map.method]; });
    })), map.signed);
    return run.spreads[map.method];
  }
  return map.clip || spread([map], map.signed);
}

/* 256 colours with opacity, one a grey of this map. Over a picture, weak
   evidence lets the picture through. */
function greyColours(map, range) {
  var colours = tables[map.signed ? state.diverging : state.palette];
  var out = new Uint8ClampedArray(1024);
  for (var grey = 0; grey < 256; grey++) {
    var place = clamp((valueOf(map, grey) - range[0]) / (range[1] - range[0] || 1), 0, 1);
    var at = 3 * Math.round(255 * place);
    var strength = map.signed ? Math.sqrt(Math.abs(2 * place - 1)) : 0.2 + 0.8 * place;
    out[4 * grey] = colours[at];
    out[4 * grey + 1] = colours[at + 1];
    out[4 * grey + 2] = colours[at + 2];
    out[4 * grey + 3] = state.overlay ? 255 * strength : 255;
  }
  return new Uint32Array(out.buffer);
}

/* Paints a decoded map at its own resolution. */
function paint(canvas, map, range) {
  var h = map.grid[0], w = map.grid[1];
  if (canvas.width !== w || canvas.height !== h) { canvas.width = w; canvas.height = h; }
  var context = canvas.getContext('2d');
  var pixels = context.createImageData(w, h);
  var to = new Uint32Array(pixels.data.buffer);
  var colours = greyColours(map, range);
  var from = map.greys;
  for (var i = 0; i < to.length; i++) to[i] = colours[from[i]];
  context.putImageData(pixels, 0, 0);
}

/* A bar of the colours, as wide as it is put. */
function paintScale(canvas, signed) {
  canvas.width = 256;
  canvas.height = 1;
  var context = canvas.getContext('2d');
  var pixels = context.createImageData(256, 1);
  var colours = tables[signed ? state.diverging : state.palette];
  for (var i = 0; i < 256; i++) {
    for (var c = 0; c < 3; c++) pixels.data[4 * i + c] = colours[3 * i + c];
    pixels.data[4 * i + 3] = 255;
  }
  context.putImageData(pixels, 0, 0);
}

/* Lines between the greys on both sides of `level` (marching squares on the
   centres of the cells), as an SVG path in cells. */
function contour(map, level) {
  var h = map.grid[0], w = map.grid[1], grey = map.greys, path = '';
  for (var y = 0; y + 1 < h; y++) {
    for (var x = 0; x + 1 < w; x++) {
      var a = grey[y * w + x], b = grey[y * w + x + 1], c = grey[(y + 1) * w + x + 1], d = grey[(y + 1) * w + x];
      var cut = [];
      if ((a < level) !== (b < level)) cut.push([x + (level - a) / (b - a), y]);
      if ((b < level) !== (c < level)) cut.push([x + 1, y + (level - b) / (c - b)]);
      if ((c < level) !== (d < level)) cut.push([x + (level - d) / (c - d), y + 1]);
      if ((d < level) !== (a < level)) cut.push([x, y + (level - a) / (d - a)]);
      for (var i = 0; i + 1 < cut.length; i += 2) {
        path += 'M' + (cut[i][0] + 0.5).toFixed(2) + ' ' + (cut[i][1] + 0.5).toFixed(2) +
          'L' + (cut[i + 1][0] + 0.5).toFixed(2) + ' ' + (cut[i + 1][1] + 0.5).toFixed(2);
      }
    }
  }
  return path;
}

/* A map enlarged to `w` x `h`: bilinear, half-pixel centres, as metrics rank it. */
function enlarged(map, h, w) {
  var mh = map.grid[0], mw = map.grid[1], from = map.greys, out = new Float32Array(h * w);
  for (var y = 0; y < h; y++) {
    var v = clamp((y + 0.5) * mh / h - 0.5, 0, mh - 1), y0 = Math.floor(v), y1 = Math.min(mh - 1, y0 + 1), fy = v - y0;
    for (var x = 0; x < w; x++) {
      var u = clamp((x + 0.5) * mw / w - 0.5, 0, mw - 1), x0 = Math.floor(u), x1 = Math.min(mw - 1, x0 + 1), fx = u - x0;
      var top = from[y0 * mw + x0] * (1 - fx) + from[y0 * mw + x1] * fx;
      var low = from[y1 * mw + x0] * (1 - fx) + from[y1 * mw + x1] * fx;
      out[y * w + x] = top * (1 - fy) + low * fy;
    }
  }
  return out;
}

'use strict';
/* The flame graph: bars on a canvas, so that half a million frames are no burden; names of those that
 * have room for one as elements, for readers of the screen, for the browser's own tools, for tests.
 *
 *     data --tree.js--> tree, totals and places of the shown column --draw()--> bars and labels
 *
 * Names go into the page as text only, never as HTML.
 */

const ROW = 20, SMALLEST = 0.35, LABEL_FROM = 30, LABELS_MAX = 1500;
const graph = byId('graph'), space = byId('space'), canvas = byId('bars'), labels = byId('labels');

performance.mark('begin');
const data = JSON.parse(byId('data').textContent);
const frameCount = data.frames.length / 2;
const functionOf = frame => frame < 0 ? 'all' : data.frames[2 * frame];
const moduleOf = frame => (data.modules[frame < 0 ? -1 : data.frames[2 * frame + 1]] || [''])[0];
const colourOf = new Uint8Array(frameCount);
for (let frame = 0; frame < frameCount; frame++)
	colourOf[frame] = (data.modules[data.frames[2 * frame + 1]] || ['', 0])[1];
const tree = treeOf(data.stacks, data.columns.length);
data.stacks = null;
performance.measure('flame-read', 'begin');

/* ---- what is shown ---- */

const shown = {
	column: data.column, upwards: false, bySize: false,
	focus: 0, /* the node that is as wide as the page */
	chosen: -1, hovered: -1,
	total: null, left: null, /* of the column */
	marked: null, /* frames that are searched for */
	rows: 1, /* deepest level under the focus, and 1 */
	width: 0, top: 0,
};
const unitOf = () => (data.columns[shown.column] || {unit: ''}).unit;
const selfOf = () => tree.self[shown.column] || tree.self[0];

function chooseColumn(column) {
	shown.column = column;
	shown.total = totalsOf(tree, selfOf());
	place();
	if (!shown.total[shown.focus])
		shown.focus = 0;
	if (shown.chosen >= 0 && !shown.total[shown.chosen])
		shown.chosen = -1;
}

function place() {
	shown.left = placesOf(tree, selfOf(), shown.total, shown.bySize);
}

function isAbove(node, below) { /* an ancestor, or the node itself */
	return node <= below && below < tree.end[node];
}

/* In pixels, of a node under the focus or above it. */
function boxOf(node) {
	if (isAbove(node, shown.focus))
		return {x: 0, width: shown.width, row: tree.level[node]};
	const scale = shown.width / shown.total[shown.focus];
	return {
		x: (shown.left[node] - shown.left[shown.focus]) * scale,
		width: shown.total[node] * scale,
		row: tree.level[node],
	};
}

const yOf = row => (shown.upwards ? shown.rows - 1 - row : row) * ROW;

/* ---- drawing ---- */

function countRows() {
	let deepest = tree.level[shown.focus];
	const least = shown.total[shown.focus] / Math.max(1, shown.width) * SMALLEST;
	for (let node = shown.focus; node < tree.end[shown.focus];) {
		if (shown.total[node] < least || !shown.total[node]) {
			node = tree.end[node];
			continue;
		}
		deepest = Math.max(deepest, tree.level[node]);
		node++;
	}
	return deepest + 1;
}

/* Every node that is to be seen, once. Of those too narrow for a pixel, one for each pixel. */
function visit(firstRow, lastRow, draw) {
	const {total, left, focus, width} = shown;
	const scale = width / total[focus], from = left[focus];
	const taken = new Uint8Array((lastRow - firstRow + 1) * (Math.ceil(width) + 1));
	const seen = row => row >= firstRow && row <= lastRow;
	for (let node = focus; node !== 0;) {
		node = tree.parent[node];
		if (seen(tree.level[node]))
			draw(node, 0, width, true);
	}
	if (!total[focus])
		return;
	for (let node = focus; node < tree.end[focus];) {
		const row = tree.level[node], wide = total[node] * scale;
		if (row > lastRow || !total[node]) {
			node = tree.end[node];
			continue;
		}
		const x = (left[node] - from) * scale;
		if (seen(row)) {
			const pixel = (row - firstRow) * (Math.ceil(width) + 1) + Math.floor(x);
			if (wide < 1) {
				if (wide < SMALLEST && taken[pixel] || taken[pixel] > 1) {
					node = tree.end[node];
					continue;
				}
				taken[pixel]++;
			}
			draw(node, x, wide, false);
		} else if (wide < SMALLEST) {
			node = tree.end[node];
			continue;
		}
		node++;
	}
}

const labelPool = [];

function writeLabel(number, node, x, width, row, above) {
	let element = labelPool[number];
	if (!element) {
		element = labelPool[number] = document.createElement('div');
		element.setAttribute('role', 'treeitem');
		labels.append(element);
	}
	const name = functionOf(tree.frame[node]);
	element.hidden = false;
	element.id = `n${node}`;
	element.textContent = width < 12 ? '' : clipName(name, Math.floor((width - 8) / letterWidth));
	element.style.left = `${x}px`;
	element.style.top = `${yOf(row)}px`;
	element.style.width = `${width}px`;
	element.className = above ? 'dim' : shown.marked && shown.marked[tree.frame[node]] ? 'match' : '';
	element.setAttribute('aria-level', row + 1);
	element.setAttribute('aria-selected', node === shown.chosen);
	element.setAttribute('aria-label', `${name.slice(0, 200)}, ${formatShare(shown.total[node], shown.total[0])}`);
}

let letterWidth = 7;

/* The colours of now: pairs of a module's two shades, and what else the canvas needs. */
function coloursNow() {
	const dark = document.documentElement.dataset.theme === 'dark' ? 1 : 0;
	const style = getComputedStyle(document.documentElement);
	return {
		bars: Array.from({length: data.palette.length / 2}, (_, i) => data.palette[2 * i + dark]),
		match: style.getPropertyValue('--match'),
		paper: style.getPropertyValue('--paper'),
	};
}

function draw() {
	performance.mark('draw');
	shown.width = Math.max(50, graph.clientWidth - 32);
	const rows = countRows();
	if (rows !== shown.rows || space.clientHeight !== rows * ROW) {
		shown.rows = rows;
		space.style.height = `${rows * ROW}px`;
		shown.width = Math.max(50, graph.clientWidth - 32); /* a scroll bar may have come */
	}
	const top = Math.max(0, graph.scrollTop - 8), height = Math.min(graph.clientHeight, rows * ROW);
	let firstRow = Math.floor(top / ROW), lastRow = Math.min(rows - 1, Math.ceil((top + height) / ROW));
	if (shown.upwards)
		[firstRow, lastRow] = [rows - 1 - lastRow, rows - 1 - firstRow];
	drawBars(firstRow, lastRow, top, height);
	ring(byId('chosen'), shown.chosen);
	ring(byId('hover'), shown.hovered);
	graph.setAttribute('aria-activedescendant', shown.chosen >= 0 ? `n${shown.chosen}` : '');
	byId('reset').disabled = shown.focus === 0;
	performance.measure('flame-draw', 'draw');
	document.documentElement.dataset.draws = Number(document.documentElement.dataset.draws || 0) + 1;
}

function drawBars(firstRow, lastRow, top, height) {
	const density = window.devicePixelRatio || 1, colours = coloursNow();
	canvas.width = Math.ceil(shown.width * density);
	canvas.height = Math.ceil((height + ROW) * density);
	canvas.style.width = `${shown.width}px`;
	canvas.style.height = `${height + ROW}px`;
	canvas.style.top = `${top}px`;
	const pen = canvas.getContext('2d');
	pen.scale(density, density);
	let count = 0;
	visit(firstRow, lastRow, (node, x, width, above) => {
		const frame = tree.frame[node], row = tree.level[node];
		const matches = shown.marked && frame >= 0 && shown.marked[frame];
		pen.globalAlpha = above ? 0.45 : shown.marked && !matches ? 0.35 : width < 1 ? Math.max(0.3, width) : 1;
		pen.fillStyle = matches ? colours.match : colours.bars[frame < 0 ? 0 : colourOf[frame]];
		pen.fillRect(x, yOf(row) - top, width > 2.5 ? width - 0.75 : Math.max(width, 0.75), ROW - 1);
		if ((width >= LABEL_FROM && count < LABELS_MAX) || node === shown.chosen)
			writeLabel(count++, node, x, width, row, above);
	});
	for (; count < labelPool.length && !labelPool[count].hidden; count++) {
		labelPool[count].hidden = true;
		labelPool[count].removeAttribute('id');
	}
}

function ring(element, node) {
	element.hidden = node < 0 || !(isAbove(node, shown.focus) || isAbove(shown.focus, node));
	if (element.hidden)
		return;
	const box = boxOf(node);
	element.style.left = `${box.x}px`;
	element.style.top = `${yOf(box.row)}px`;
	element.style.width = `${Math.max(2, box.width - 0.75)}px`;
}

let drawAsked = 0;
function drawSoon() {
	drawAsked = drawAsked || requestAnimationFrame(() => {
		drawAsked = 0;
		draw();
	});
}

/* ---- a frame in words ---- */

function sharesOf(node) {
	const total = shown.total, parts = [
		`${formatValue(total[node], unitOf())}`,
		`${formatShare(total[node], total[0])} of all`,
	];
	if (node > 0 && tree.parent[node] > 0)
		parts.push(`${formatShare(total[node], total[tree.parent[node]])} of its caller`);
	const self = selfOf()[node];
	if (node > 0)
		parts.push(self ? `itself ${formatValue(self, unitOf())}, ${formatShare(self, total[0])}` : 'itself nothing');
	return parts.join(' · ');
}

function nameWithModule(node) {
	const name = functionOf(tree.frame[node]), module = moduleOf(tree.frame[node]);
	return module && !name.startsWith('[') ? `${name}  [${module}]` : name;
}

function tellChosen() {
	const at = byId('frame'), node = shown.chosen >= 0 ? shown.chosen : shown.focus;
	const code = document.createElement('code'), span = document.createElement('span');
	code.textContent = nameWithModule(node);
	span.textContent = `  ${sharesOf(node)}`;
	at.replaceChildren(code, span);
}

/* ---- moving ---- */

function choose(node) {
	shown.chosen = node;
	tellChosen();
	scrollTo(node);
	drawSoon();
}

function scrollTo(node) {
	if (node < 0)
		return;
	const y = yOf(tree.level[node]) + 8;
	if (y < graph.scrollTop)
		graph.scrollTop = y - ROW;
	else if (y + ROW > graph.scrollTop + graph.clientHeight)
		graph.scrollTop = y + 2 * ROW - graph.clientHeight;
}

function zoom(node) {
	shown.focus = node;
	shown.hovered = -1;
	byId('tip').hidden = true;
	draw();
	if (shown.upwards)
		graph.scrollTop = graph.scrollHeight;
	scrollTo(node);
	tellChosen();
	tellFound();
	fillTable();
	drawSoon();
}

function nodeAt(clientX, clientY) {
	const box = space.getBoundingClientRect();
	const line = Math.floor((clientY - box.top) / ROW), x = clientX - box.left;
	const row = shown.upwards ? shown.rows - 1 - line : line;
	if (row < 0 || row >= shown.rows || x < 0 || x >= shown.width)
		return -1;
	let node = shown.focus;
	if (row <= tree.level[node]) {
		while (tree.level[node] > row)
			node = tree.parent[node];
		return node;
	}
	const value = shown.left[node] + x * shown.total[node] / shown.width;
	while (tree.level[node] < row) {
		let next = -1;
		for (let child = node + 1; child < tree.end[node]; child = tree.end[child])
			if (shown.left[child] <= value && value < shown.left[child] + shown.total[child])
				next = child;
		if (next < 0)
			return -1;
		node = next;
	}
	return node;
}

/* A step with the arrows, on the screen; -1: there is nobody. */
function neighbour(node, where) {
	if (where === 'caller')
		return node > 0 ? tree.parent[node] : -1;
	if (where === 'called') {
		if (node !== shown.focus && isAbove(node, shown.focus)) { /* towards the focus */
			let below = shown.focus;
			while (tree.parent[below] !== node)
				below = tree.parent[below];
			return below;
		}
		const children = childrenOf(tree, shown.total, node, true);
		return children.length ? children[0] : -1;
	}
	if (isAbove(node, shown.focus))
		return -1;
	const sides = childrenOf(tree, shown.total, tree.parent[node], shown.bySize);
	const at = sides.indexOf(node) + (where === 'right' ? 1 : -1);
	return at >= 0 && at < sides.length ? sides[at] : -1;
}

graph.addEventListener('keydown', event => {
	const ways = {
		ArrowUp: shown.upwards ? 'called' : 'caller', ArrowDown: shown.upwards ? 'caller' : 'called',
		ArrowLeft: 'left', ArrowRight: 'right',
	};
	const node = shown.chosen >= 0 ? shown.chosen : shown.focus;
	if (event.ctrlKey || event.metaKey || event.altKey)
		return;
	if (ways[event.key]) {
		const next = shown.chosen < 0 ? node : neighbour(node, ways[event.key]);
		if (next >= 0)
			choose(next);
	} else if (event.key === 'Enter' || event.key === ' ') {
		zoom(node);
	} else if (event.key === 'Home') {
		zoom(0);
		choose(0);
	} else {
		return;
	}
	event.preventDefault();
});

document.addEventListener('keydown', event => {
	const query = byId('query'), typing = /^(INPUT|SELECT|TEXTAREA)$/.test(event.target.tagName);
	const find = (event.ctrlKey || event.metaKey) && event.key === 'f';
	if ((find && document.activeElement !== query) || (event.key === '/' && !typing)) {
		query.focus();
		query.select();
		event.preventDefault();
	} else if (event.key === 'Escape') {
		if (query.value) {
			query.value = '';
			search();
		} else if (shown.focus) {
			zoom(0);
		} else if (shown.chosen >= 0) {
			choose(-1);
		}
		graph.focus();
		event.preventDefault();
	}
});

space.addEventListener('click', event => {
	const node = nodeAt(event.clientX, event.clientY);
	graph.focus({preventScroll: true});
	if (node < 0)
		return;
	shown.chosen = node;
	zoom(node);
});

space.addEventListener('pointermove', event => {
	const node = nodeAt(event.clientX, event.clientY), tip = byId('tip');
	canvas.style.cursor = node >= 0 ? 'pointer' : '';
	if (node !== shown.hovered) {
		shown.hovered = node;
		ring(byId('hover'), node);
		tip.hidden = node < 0;
		if (node >= 0) {
			tip.firstChild.textContent = nameWithModule(node).slice(0, 1000);
			tip.lastChild.textContent = sharesOf(node);
		}
	}
	if (node < 0)
		return;
	tip.style.left = `${Math.max(4, Math.min(event.clientX + 14, innerWidth - tip.offsetWidth - 8))}px`;
	tip.style.top = `${event.clientY + 18 + tip.offsetHeight > innerHeight ?
		event.clientY - tip.offsetHeight - 10 : event.clientY + 18}px`;
});

space.addEventListener('pointerleave', () => {
	shown.hovered = -1;
	byId('tip').hidden = true;
	ring(byId('hover'), -1);
});

/* ---- search ---- */

/* A test of names, or null for a pattern that is none. */
function matcher(text, regex) {
	if (!regex) {
		const low = text.toLowerCase();
		return name => name.toLowerCase().includes(low);
	}
	try {
		const pattern = new RegExp(text, /[A-Z]/.test(text) ? '' : 'i');
		return name => pattern.test(name);
	} catch {
		return null;
	}
}

function search() {
	const text = byId('query').value;
	const matches = text && matcher(text, isPressed('regex'));
	shown.marked = null;
	if (matches) {
		shown.marked = new Uint8Array(frameCount);
		for (let frame = 0; frame < frameCount; frame++)
			shown.marked[frame] = matches(functionOf(frame)) || matches(moduleOf(frame)) ? 1 : 0;
	}
	byId('found').className = text && !matches ? 'bad' : '';
	tellFound(text && !matches);
	drawSoon();
}

function tellFound(bad) {
	const out = byId('found');
	if (bad || !shown.marked) {
		out.textContent = bad ? 'not a regular expression' : '';
		return;
	}
	const functions = shown.marked.reduce((sum, one) => sum + one, 0);
	const sum = sumOfMarked(tree, shown.total, shown.marked, 0);
	let text = `${formatShare(sum, shown.total[0]) || '0 %'} of all, ${functions} function${functions === 1 ? '' : 's'}`;
	if (shown.focus) {
		const inside = isMarkedAbove() ? shown.total[shown.focus] : sumOfMarked(tree, shown.total, shown.marked, shown.focus);
		text += `; ${formatShare(inside, shown.total[shown.focus])} here`;
	}
	out.textContent = text;
}

/* Is the whole view inside something that is searched for? */
function isMarkedAbove() {
	for (let node = shown.focus; node > 0; node = tree.parent[node])
		if (shown.marked[tree.frame[node]])
			return true;
	return false;
}

/* Enter in the search goes to the widest match, then to the next one. */
function nextMatch(back) {
	if (!shown.marked)
		return;
	const found = [];
	for (let node = 1; node < tree.count; node++)
		if (shown.marked[tree.frame[node]] && shown.total[node] > 0)
			found.push(node);
	found.sort((a, b) => shown.total[b] - shown.total[a] || a - b);
	if (!found.length)
		return;
	const at = found.indexOf(shown.chosen);
	const next = found[(at + (back ? -1 : 1) + found.length) % found.length];
	if (!isAbove(shown.focus, next))
		zoom(0);
	choose(next);
}

byId('search').addEventListener('submit', event => event.preventDefault());
byId('query').addEventListener('input', search);
byId('query').addEventListener('keydown', event => {
	if (event.key === 'Enter')
		nextMatch(event.shiftKey);
});
byId('regex').addEventListener('click', () => {
	pressed('regex', !isPressed('regex'));
	search();
});

/* ---- functions ---- */

const ROWS_SHOWN = 200;

function fillTable() {
	if (byId('table').hidden)
		return;
	const {own, all} = functionsOf(tree, selfOf(), shown.total, shown.focus, frameCount);
	const by = isPressed('sort-self') ? own : all, other = by === own ? all : own;
	const order = Array.from({length: frameCount}, (_, i) => i).filter(i => all[i] > 0);
	order.sort((a, b) => by[b] - by[a] || other[b] - other[a] || a - b);
	const rows = order.slice(0, ROWS_SHOWN).map(frame => functionRow(frame, own[frame], all[frame]));
	byId('rows').replaceChildren(...rows);
	byId('more').textContent = order.length > ROWS_SHOWN ? `and ${order.length - ROWS_SHOWN} more` : '';
}

function functionRow(frame, own, all) {
	const row = document.createElement('tr'), whole = shown.total[0];
	for (const value of [own, all]) {
		const cell = row.insertCell(), small = document.createElement('small');
		small.textContent = formatShare(value, whole);
		cell.append(small);
		cell.title = formatValue(value, unitOf());
	}
	const button = document.createElement('button'), name = functionOf(frame);
	button.type = 'button';
	button.textContent = clipName(name, 120);
	button.title = `${name.slice(0, 1000)}  [${moduleOf(frame)}]`;
	button.addEventListener('click', () => showFunction(frame));
	row.insertCell().append(button);
	return row;
}

/* As searched for by its whole name. */
function showFunction(frame) {
	byId('query').value = functionOf(frame);
	pressed('regex', false);
	search();
	shown.marked.fill(0);
	for (let other = 0; other < frameCount; other++)
		shown.marked[other] = functionOf(other) === functionOf(frame) ? 1 : 0;
	tellFound();
}

/* ---- switches ---- */

function direct(upwards) {
	shown.upwards = upwards;
	pressed('icicle', !upwards);
	pressed('flame', upwards);
	draw();
	graph.scrollTop = upwards ? graph.scrollHeight : 0;
	drawSoon();
}

function order(bySize) {
	shown.bySize = bySize;
	pressed('by-name', !bySize);
	pressed('by-size', bySize);
	place();
	drawSoon();
}

byId('icicle').addEventListener('click', () => direct(false));
byId('flame').addEventListener('click', () => direct(true));
byId('by-name').addEventListener('click', () => order(false));
byId('by-size').addEventListener('click', () => order(true));
byId('reset').addEventListener('click', () => zoom(0));
byId('functions').addEventListener('click', () => {
	byId('table').hidden = !byId('table').hidden;
	pressed('functions', !byId('table').hidden);
	fillTable();
	drawSoon();
});
for (const [one, other] of [['sort-self', 'sort-total'], ['sort-total', 'sort-self']])
	byId(one).addEventListener('click', () => {
		pressed(one, true);
		pressed(other, false);
		fillTable();
	});
byId('column').addEventListener('change', () => {
	chooseColumn(Number(byId('column').value));
	tellAbout();
	zoom(shown.focus);
});

/* ---- the frame round it ---- */

function tellAbout() {
	const parts = [formatValue(shown.total[0], unitOf())];
	const column = data.columns[shown.column];
	if (data.columns.length === 1)
		parts[0] = `${column.name} ${parts[0]}`;
	if (data.time)
		parts.push(data.seconds ? `${data.seconds} s from ${data.time}` : data.time);
	if (column && column.below < 0)
		parts.push(`${formatValue(column.below, column.unit)} went away, not drawn`);
	if (!shown.total[0])
		parts.push('nothing was recorded');
	byId('about').textContent = parts.join(' · ');
}

function tellName() {
	const program = document.createElement('span');
	program.textContent = data.program ? ` of ${data.program}` : '';
	byId('name').replaceChildren(data.profile || 'profile', program);
}

function tellNotes() {
	const notes = data.comments.slice();
	if (data.left_out)
		notes.push(`${data.left_out} of the smallest frames are summed up as [small frames]`);
	byId('notes').hidden = !notes.length;
	byId('comments').replaceChildren(...notes.map(note => {
		const item = document.createElement('li');
		item.textContent = note;
		return item;
	}));
}

function start() {
	data.columns.forEach((column, i) => {
		const option = document.createElement('option');
		option.value = i;
		option.textContent = column.name;
		byId('column').append(option);
	});
	byId('column').value = shown.column;
	byId('column-field').hidden = data.columns.length < 2;
	const pen = canvas.getContext('2d');
	pen.font = '11.5px ui-monospace, SFMono-Regular, Menlo, "DejaVu Sans Mono", Consolas, monospace';
	letterWidth = pen.measureText('x'.repeat(100)).width / 100;
	followTheme(drawSoon);
	chooseColumn(shown.column);
	tellName();
	tellAbout();
	tellNotes();
	tellChosen();
	draw();
	graph.addEventListener('scroll', drawSoon, {passive: true});
	new ResizeObserver(drawSoon).observe(graph);
	performance.measure('flame-begin', 'begin');
	document.documentElement.dataset.ready = 'yes';
}

start();
